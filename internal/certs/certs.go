// Package certs provides TLS configurations from PEM files. The files are read again when they have changed, so that
// certificates can be rotated without a restart.
//
// The certificate provider of grpc-go is not used: when a key does not fit its certificate, as in the middle of a rotation,
// it writes both to the log.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
)

// Files names PEM files. An empty name means that there is none.
type Files struct {
	Cert, Key string // a certificate with its chain, and its private key
	CA        string // the certificates that the other side's are verified with
}

// Source is the current content of Files: with each handshake it looks whether they have changed. It is safe for
// concurrent use.
type Source struct {
	files  Files
	failed func(error)

	mu       sync.Mutex
	content  content
	versions versions
	reported versions // that could not be used
}

// content is what the files contained when they were last read without an error.
type content struct {
	cert *tls.Certificate
	ca   *x509.CertPool
}

// versions are the files as they were at one moment; nil is one that is not there.
type versions [3]os.FileInfo

// Load reads the files. Later, when a changed file cannot be used, the content before is kept and failed, unless nil, is
// called with the reason.
func Load(f Files, failed func(error)) (*Source, error) {
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("certificate %q, key %q: set both or neither", f.Cert, f.Key)
	}
	if failed == nil {
		failed = func(error) {}
	}
	s := &Source{files: f, failed: failed, versions: f.versions()}
	var err error
	s.content, err = f.read()
	return s, err
}

func (f Files) read() (c content, err error) {
	if f.Cert != "" {
		pair, err := f.pair()
		if err != nil {
			return content{}, fmt.Errorf("certificate %q, key %q: %w", f.Cert, f.Key, err)
		}
		c.cert = &pair
	}
	if f.CA != "" {
		if c.ca, err = Authorities(f.CA); err != nil {
			return content{}, err
		}
	}
	return c, nil
}

func (f Files) pair() (tls.Certificate, error) {
	cert, err := readFile(f.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(f.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// Authorities reads the certificates in a PEM file; without a file they are the system's, which are nil.
func Authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("certificate authority %q: contains no certificate in PEM", file)
	}
	return pool, nil
}

func (f Files) versions() (v versions) {
	for i, name := range []string{f.Cert, f.Key, f.CA} {
		if info, err := os.Stat(name); err == nil {
			v[i] = info
		}
	}
	return v
}

func (v versions) same(others versions) bool {
	for i, other := range others {
		if v[i] == nil || other == nil {
			if v[i] != other {
				return false
			}
		} else if !v[i].ModTime().Equal(other.ModTime()) || v[i].Size() != other.Size() || !os.SameFile(v[i], other) {
			return false
		}
	}
	return true
}

// current is the content of the files now, or as it was last without an error.
func (s *Source) current() content {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := s.files.versions() // before they are read: what changes meanwhile is noticed the next time
	if versions.same(s.versions) {
		return s.content
	}
	read, err := s.files.read()
	if err != nil {
		if !versions.same(s.reported) { // once, and not to each stranger who connects
			s.failed(fmt.Errorf("the previous certificates stay in use: %w", err))
		}
		s.reported = versions
		return s.content
	}
	s.content, s.versions = read, versions
	return s.content
}

// Server is the configuration of a server with the certificate of s. If s has certificate authorities, clients are asked for
// a certificate from one of them, as auth says.
func (s *Source) Server(auth tls.ClientAuthType) *tls.Config {
	base := func() *tls.Config {
		return &tls.Config{
			MinVersion:             tls.VersionTLS12,
			SessionTicketsDisabled: true, // a resumed session would not be verified with the current authorities
		}
	}
	config := base()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := s.current()
		config := base()
		config.Certificates = []tls.Certificate{*now.cert}
		if now.ca != nil {
			config.ClientCAs, config.ClientAuth = now.ca, auth
		}
		return config, nil
	}
	return config
}

// Names are the DNS names and URIs among the subject alternative names (RFC 5280, §4.2.1.6) of the peer's certificate, if
// that was verified; nil otherwise.
func Names(state tls.ConnectionState) []string {
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	peer := state.PeerCertificates[0]
	names := append([]string{}, peer.DNSNames...)
	for _, uri := range peer.URIs {
		names = append(names, uri.String())
	}
	return names
}

// Client is the configuration for one connection to a server of that name. The server's certificate is verified with the
// certificate authorities of s, or else the system's; if s has a certificate it is presented to servers that ask for one.
func (s *Source) Client(serverName string) *tls.Config {
	now := s.current()
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName, RootCAs: now.ca}
	if now.cert != nil {
		config.Certificates = []tls.Certificate{*now.cert}
	}
	return config
}
