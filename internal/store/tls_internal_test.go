//go:build unix

package store

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"checkout/internal/certs/certstest"
	"checkout/internal/test/pgtest"
	"checkout/internal/wait"
)

// secured is a server of PostgreSQL that requires certificates, and the files of its clients.
type secured struct {
	*pgtest.Server
	t             *testing.T
	ca, cert, key string
	previous      []byte // the authority before
	settle        func() // waits until no connection is being made
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	dir := t.TempDir()
	s := &secured{pgtest.StartOwn(t), t, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"), nil, func() {}}
	s.rotate("ssl = on\nssl_ca_file = 'ca.pem'\n", "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n")
	return s
}

// rotate replaces all certificates by those of a new authority, as one does while others are connected: both sides trust both
// authorities meanwhile. No connection is still being made with the old ones.
func (s *secured) rotate(config, rules string) {
	s.t.Helper()
	dir := s.t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) []byte {
		content, err := os.ReadFile(file(name))
		if err != nil {
			s.t.Fatal(err)
		}
		return content
	}
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	next := certstest.New(s.t)
	next.Write(file("ca.pem"))
	next.Issue(file("server.crt"), file("server.key"))
	authority := read("ca.pem")
	both := append(append([]byte{}, authority...), s.previous...)
	s.previous = authority
	must(os.WriteFile(s.ca, both, 0o600))
	must(s.Configure(map[string][]byte{"ca.pem": both}, "", ""))
	if config == "" {
		must(s.Reload(s.t.Context()))
	}
	s.settle()
	next.Issue(s.cert, s.key) // the certificate first: for a moment the key is another one's
	must(s.Configure(map[string][]byte{"server.crt": read("server.crt"), "server.key": read("server.key")}, config, rules))
	must(s.Reload(s.t.Context()))
	s.settle()
}

// url is the server's, with the parameters of a client that verifies it.
func (s *secured) url(more string) string {
	u, err := url.Parse(s.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	u.RawQuery = "connect_timeout=30&sslrootcert=" + s.ca + more
	return u.String()
}

func TestCertificatesOfPostgreSQLAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	server := newSecured(t)
	s, err := OpenPostgres(t.Context(), server.url("&sslmode=verify-full&sslcert="+server.cert+"&sslkey="+server.key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.db.SetMaxIdleConns(-1) // each statement connects anew
	ctx, end := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var statements [2]atomic.Int64
	for i := range statements {
		load.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.version(t.Context()); err != nil {
					t.Errorf("after %d statements: %v", statements[i].Load(), err)
					end()
				}
				statements[i].Add(1)
			}
		})
	}
	server.settle = func() {
		for i := range statements {
			for from := statements[i].Load(); statements[i].Load() < from+2 && wait.For(ctx, time.Millisecond); {
			}
		}
	}
	for range 50 {
		server.rotate("", "")
	}
	end()
	load.Wait()
	if _, err := s.version(t.Context()); err != nil {
		t.Errorf("after all rotations: %v", err)
	}
	t.Logf("%d and %d connections", statements[0].Load(), statements[1].Load())
}

func TestPostgreSQLIsVerifiedAsTheModeSays(t *testing.T) {
	t.Parallel()
	server := newSecured(t)
	stranger := filepath.Join(t.TempDir(), "ca.pem")
	certstest.New(t).Write(stranger)
	client := "&sslcert=" + server.cert + "&sslkey=" + server.key
	for name, test := range map[string]struct{ url, want string }{
		"verify-full":                       {server.url("&sslmode=verify-full" + client), ""},
		"verify-full, by its name":          {strings.Replace(server.url("&hostaddr=127.0.0.1&sslmode=verify-full"+client), "@127.0.0.1", "@localhost", 1), ""},
		"verify-full, with another name":    {strings.Replace(server.url("&hostaddr=127.0.0.1&sslmode=verify-full"+client), "@127.0.0.1", "@db.example", 1), "db.example"},
		"verify-full, of another authority": {strings.Replace(server.url("&sslmode=verify-full"+client), server.ca, stranger, 1), "unknown authority"},
		"verify-ca, with another name":      {strings.Replace(server.url("&hostaddr=127.0.0.1&sslmode=verify-ca"+client), "@127.0.0.1", "@db.example", 1), ""},
		"verify-ca, of another authority":   {strings.Replace(server.url("&sslmode=verify-ca"+client), server.ca, stranger, 1), "unknown authority"},
		"require":                           {strings.Replace(server.url("&sslmode=require"+client), "&sslrootcert="+server.ca, "", 1), ""},
		"require, of another authority":     {strings.Replace(server.url("&sslmode=require"+client), server.ca, stranger, 1), "unknown authority"},
		"no client certificate":             {server.url("&sslmode=verify-full"), "certificate"},
		"no such file":                      {strings.Replace(server.url("&sslmode=verify-full"+client), server.ca, "/nowhere", 1), "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenPostgres(t.Context(), test.url)
			if err == nil {
				_ = s.Close()
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("opened: %v; want %q", err, test.want)
			}
		})
	}
}
