package nettest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Serve listens on the loopback interface until the test ends, and has serve talk to each client, whose connection is closed
// afterwards. It returns the address, 127.0.0.1:port.
func Serve(t testing.TB, serve func(client net.Conn)) (address string) {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", serve)
}

func serveOn(t testing.TB, address string, serve func(client net.Conn)) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = client.Close() })()
				defer client.Close()
				serve(client)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		cancel()
		all.Wait()
	})
	return listener.Addr().String()
}

// Relay passes on what a client says to the server at address, and what that answers, until either hangs up.
func Relay(client net.Conn, address string) {
	server, err := net.Dial("tcp", address) //nolint:noctx // it ends with the client
	if err != nil {
		return
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
	_ = client.Close()
	asking.Wait()
}
