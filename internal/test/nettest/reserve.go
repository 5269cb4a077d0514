// Package nettest provides addresses at which nobody listens, for tests of what comes later, goes, or never was there.
//
// A port that was free a moment ago may be somebody else's by the time it is needed: the system gives it to the next one
// who asks for any. One that is still in use by a connection it gives to nobody, though whoever names it may listen on it:
// that is how a server can be restarted while its old connections are open (SO_REUSEADDR, which package net sets).
package nettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
)

// Reserve returns an address of the loopback interface, 127.0.0.1:port, that refuses connections. Until the test ends its
// port is given to nobody who does not ask for this very one; who does may listen on it, once or again and again.
func Reserve(t testing.TB) string {
	t.Helper()
	address, release, err := Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	return address
}

// Hold is Reserve for those who have no test: the port is reserved until release, or until ctx ends before Hold returns.
func Hold(ctx context.Context) (address string, release func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	address = listener.Addr().String()
	client, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("reserve %s: %w", address, err)
	}
	for {
		server, err := listener.Accept()
		if err != nil {
			return "", nil, errors.Join(fmt.Errorf("reserve %s: %w", address, err), client.Close())
		}
		if server.RemoteAddr().String() == client.LocalAddr().String() {
			return address, func() error { return errors.Join(client.Close(), server.Close()) }, nil
		}
		_ = server.Close() // a stranger's, who takes us for whom this port belonged to before
	}
}
