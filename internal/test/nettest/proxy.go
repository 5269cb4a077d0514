package nettest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Proxy listens at the address in HTTPS_PROXY until the test ends, and refuses all connections. asked returns the addresses that
// it was asked to connect to.
//
// Go reads HTTPS_PROXY once per process, so TestMain has to set it, to an address from Hold. Go uses no proxy for the loopback
// interface: let the client call 0.0.0.0, which leads there.
func Proxy(t testing.TB, address string) (asked func() []string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var targets []string
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				mu.Lock()
				targets = append(targets, req.Method+" "+req.Host)
				mu.Unlock()
			}
			_, _ = fmt.Fprint(conn, "HTTP/1.1 403 Forbidden\r\n\r\n")
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return targets
	}
}
