package certs

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// ReadSecret is the content of a file without the blanks around it. Its errors do not contain it.
func ReadSecret(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("%q is empty", file)
	}
	return secret, nil
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
