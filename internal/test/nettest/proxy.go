package nettest

import (
	"bufio"
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
	var mu sync.Mutex
	var targets []string
	serveOn(t, address, func(conn net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			mu.Lock()
			targets = append(targets, req.Method+" "+req.Host)
			mu.Unlock()
		}
		_, _ = fmt.Fprint(conn, "HTTP/1.1 403 Forbidden\r\n\r\n")
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return targets
	}
}
