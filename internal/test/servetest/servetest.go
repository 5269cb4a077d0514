// Package servetest runs the whole service in the process of a test.
package servetest

import (
	"context"
	"net"
	"sync"
	"testing"

	"checkout/internal/serve"
	"checkout/internal/test/output"
)

// Service is the service at work.
type Service struct {
	Addr string // where it serves the shop, 127.0.0.1:port
	Log  *output.Buffer
	Stop func() error // ends it and waits; may be called twice
}

// Run runs the service in an environment until the test ends.
func Run(t testing.TB, environ map[string]string) Service {
	t.Helper()
	config, err := serve.ParseConfig(nil, func(name string) string { return environ[name] })
	if err != nil {
		t.Fatal(err)
	}
	s := Service{Log: new(output.Buffer)}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- serve.Run(ctx, config, s.Log, func(a net.Addr) { ready <- a.String() }) }()
	s.Stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("the service ended with: %v", err)
		}
		if t.Failed() {
			t.Logf("the service's log:\n%s", s.Log)
		}
	})
	select {
	case addr := <-ready:
		_, port, _ := net.SplitHostPort(addr)
		s.Addr = net.JoinHostPort("127.0.0.1", port)
	case err := <-ended:
		ended <- err
		t.Fatalf("the service did not start: %v", err)
	}
	return s
}
