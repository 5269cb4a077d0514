package certs

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"checkout/internal/certs/certstest"
)

// files are those of a server and of a client, each trusting the other's authority.
type files struct {
	ca             *certstest.Authority
	server, client Files
}

func newFiles(t *testing.T, clientNames ...string) files {
	t.Helper()
	dir := t.TempDir()
	f := files{
		certstest.New(t),
		Files{filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "ca.pem")},
		Files{filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"), filepath.Join(dir, "ca.pem")},
	}
	f.ca.Write(f.server.CA)
	f.ca.Issue(f.server.Cert, f.server.Key)
	f.ca.Issue(f.client.Cert, f.client.Key, clientNames...)
	return f
}

func load(t *testing.T, f Files, failed func(error)) *Source {
	t.Helper()
	s, err := Load(f, failed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// handshake connects the two and returns what each side says.
func handshake(server, client *tls.Config) (serverErr, clientErr error) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	served := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		if err != nil {
			_ = a.Close()
		}
		served <- err
	}()
	conn := tls.Client(b, client)
	clientErr = conn.Handshake()
	if clientErr == nil {
		_, clientErr = conn.Read(make([]byte, 1)) // in TLS 1.3 a server refuses after the handshake
	}
	if clientErr != nil {
		_ = b.Close()
	}
	return <-served, clientErr
}

func TestClientsAreVerified(t *testing.T) {
	f := newFiles(t, "spiffe://shop/frontend")
	stranger := newFiles(t)
	for name, test := range map[string]struct {
		server Files
		auth   tls.ClientAuthType
		client Files
		want   bool
	}{
		"of the authority":                        {f.server, tls.RequireAndVerifyClientCert, f.client, true},
		"no certificate":                          {f.server, tls.RequireAndVerifyClientCert, Files{CA: f.server.CA}, false},
		"no certificate where none is required":   {f.server, tls.VerifyClientCertIfGiven, Files{CA: f.server.CA}, true},
		"another authority":                       {f.server, tls.VerifyClientCertIfGiven, Files{stranger.client.Cert, stranger.client.Key, f.server.CA}, false},
		"a server that asks nobody":               {Files{f.server.Cert, f.server.Key, ""}, tls.RequireAndVerifyClientCert, Files{CA: f.server.CA}, true},
		"a server that the client does not trust": {f.server, tls.RequireAndVerifyClientCert, Files{f.client.Cert, f.client.Key, stranger.server.CA}, false},
	} {
		t.Run(name, func(t *testing.T) {
			serverErr, clientErr := handshake(load(t, test.server, nil).Server(test.auth), load(t, test.client, nil).Client("127.0.0.1"))
			if got := serverErr == nil && clientErr == nil; got != test.want {
				t.Errorf("connected: %t (server: %v, client: %v), want %t", got, serverErr, clientErr, test.want)
			}
		})
	}
}

func TestChangedFilesAreUsed(t *testing.T) {
	f := newFiles(t)
	server, client := load(t, f.server, nil), load(t, f.client, nil)
	connect := func() error {
		return errors.Join(handshake(server.Server(tls.RequireAndVerifyClientCert), client.Client("localhost")))
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	next := certstest.New(t)
	next.Write(f.server.CA)
	next.Issue(f.server.Cert, f.server.Key)
	next.Issue(f.client.Cert, f.client.Key)
	if err := connect(); err != nil {
		t.Errorf("after the files have changed: %v", err)
	}
}

func TestFilesInTheMiddleOfARotationAreNotUsed(t *testing.T) {
	f := newFiles(t)
	var problems []error
	server, client := load(t, f.server, func(err error) { problems = append(problems, err) }), load(t, f.client, nil)
	f.ca.Issue(f.server.Cert, filepath.Join(t.TempDir(), "later.key"))
	for range 3 {
		if err := errors.Join(handshake(server.Server(tls.RequireAndVerifyClientCert), client.Client("localhost"))); err != nil {
			t.Errorf("while the key is still to come: %v", err)
		}
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), f.server.Cert) || strings.Contains(problems[0].Error(), "PRIVATE") {
		t.Errorf("reported %v, want one problem with the name of the file", problems)
	}
	if err := os.Remove(f.server.Cert); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(handshake(server.Server(tls.RequireAndVerifyClientCert), client.Client("localhost"))); err != nil {
		t.Errorf("while the certificate is missing: %v", err)
	}
}

func TestUnusableFilesAreNamed(t *testing.T) {
	f := newFiles(t)
	for name, bad := range map[string]Files{
		"set both":                   {Cert: f.server.Cert},
		"no such file":               {Cert: "absent.pem", Key: f.server.Key},
		"contains no certificate":    {CA: f.server.Key},
		"certificate authority: ":    {CA: "absent.pem"},
		"private key does not match": {Cert: f.server.Cert, Key: f.client.Key},
	} {
		if _, err := Load(bad, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Load(%+v) = %v, want an error with %q", bad, err, name)
		}
	}
}

func TestAFileWithoutAnEndIsRefused(t *testing.T) {
	t.Parallel()
	const endless = "/dev/zero"
	if _, err := os.Stat(endless); err != nil {
		t.Skip(err)
	}
	_, ofSecret := ReadSecret(endless)
	_, ofAuthorities := Authorities(endless)
	_, ofPair := Load(Files{Cert: endless, Key: endless}, nil)
	for what, err := range map[string]error{"secret": ofSecret, "authorities": ofAuthorities, "certificate": ofPair} {
		if err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v, want an error that says how long it may be", what, err)
		}
	}
}
