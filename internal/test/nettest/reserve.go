// Package nettest provides addresses without a listener, for tests of servers that start later, stop, or never start.
//
// The system may give a port that was free a moment ago to another process, but not one with an open connection. A server that
// names the port may still listen on it (SO_REUSEADDR, which package net sets), so it can be restarted.
package nettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
)

// Reserve returns an address of the loopback interface, 127.0.0.1:port, that refuses connections. Until the test ends the system
// gives its port to no other process, but a server may listen on the address, any number of times.
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

// Hold is Reserve without a test: the port is reserved until release.
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
		_ = server.Close() // of another process, which meant the port's former owner
	}
}
