package certs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ReadSecret is the content of a file without the blanks around it. Its errors do not contain it.
func ReadSecret(file string) (string, error) {
	data, err := readFile(file)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("%q is empty", file)
	}
	return secret, nil
}

// maxFile is how many bytes a file of settings has: some systems have two hundred certificates of authorities, in 250 KB.
const maxFile = 4 << 20

// readFile is os.ReadFile of a file that ends: a device may not.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%q has more than %d bytes", name, maxFile)
	}
	return data, nil
}

// Token is credentials.PerRPCCredentials: it goes with each call as metadata "authorization: Bearer TOKEN" (RFC 6750, §2.1).
// It goes over plaintext connections, too, which are for loopback and for networks that encrypt by themselves.
type Token string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (Token) RequireTransportSecurity() bool { return false }
