package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/lib/pq"

	"checkout/internal/certs"
)

// encryption is TLS to PostgreSQL. The driver's own reads the files for each connection, which fails in the middle of a
// rotation, and connects without verification if the authority's file is gone.
type encryption struct {
	files    *certs.Source
	mode     pq.SSLMode
	minimum  uint16
	direct   bool   // without a request
	hostname string // of a server that is reached by another address; empty: the address is the name
}

// encrypt takes the encryption over from the driver. It returns nil where that is left to the driver: where it is optional.
func encrypt(config *pq.Config, failed func(error)) (_ *encryption, err error) {
	e := &encryption{mode: config.SSLMode, direct: config.SSLNegotiation == pq.SSLNegotiationDirect}
	if config.SSLInline || e.mode != pq.SSLModeRequire && e.mode != pq.SSLModeVerifyCA && e.mode != pq.SSLModeVerifyFull {
		return nil, nil
	}
	if config.SSLMinProtocolVersion == pq.SSLProtocolVersionTLS13 {
		e.minimum = tls.VersionTLS13
	}
	if config.Hostaddr.IsValid() {
		e.hostname = config.Host
	}
	files := certs.Files{Cert: fallback(config.SSLCert, "postgresql.crt"), CA: fallback(config.SSLRootCert, "root.crt")}
	if files.Cert != "" {
		files.Key = fallback(config.SSLKey, "postgresql.key")
	}
	if files.CA == "system" {
		files.CA = ""
	} else if files.CA != "" && e.mode == pq.SSLModeRequire {
		e.mode = pq.SSLModeVerifyCA // as in libpq
	}
	config.SSLMode, config.SSLNegotiation = pq.SSLModeDisable, ""
	e.files, err = certs.Load(files, failed)
	return e, err
}

// fallback is the file that libpq uses if none is set.
func fallback(file, name string) string {
	home, err := os.UserHomeDir()
	if file != "" || err != nil {
		return file
	}
	path := filepath.Join(home, ".postgresql", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// secure asks the server at address for TLS and completes the handshake.
func (e *encryption) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if e.hostname != "" {
		host = e.hostname
	}
	config := e.files.Client(host)
	config.MinVersion = max(config.MinVersion, e.minimum)
	if e.mode != pq.SSLModeVerifyFull {
		config.InsecureSkipVerify = true
	}
	if e.mode == pq.SSLModeVerifyCA {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			opts := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
			for _, c := range state.PeerCertificates[1:] {
				opts.Intermediates.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(opts)
			return err
		}
	}
	if e.direct {
		config.NextProtos = []string{"postgresql"}
	} else if err := requestTLS(conn); err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	return secured, secured.HandshakeContext(ctx)
}

// requestTLS sends SSLRequest of the protocol.
func requestTLS(conn net.Conn) error {
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return err
	}
	var answer [1]byte // not a byte more: the rest must come through TLS
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return pq.ErrSSLNotSupported
	}
	return nil
}
