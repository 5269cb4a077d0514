package nettest_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"checkout/internal/test/nettest"
)

func TestAReservedAddressRefusesUnlessAServerListens(t *testing.T) {
	t.Parallel()
	address := nettest.Reserve(t)
	for range 3 {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("before anybody listens: %v, %v; want it refused", conn, err)
		}
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("while somebody listens: %v", err)
		}
		if err := errors.Join(conn.Close(), listener.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAServerOfAllAddressesMayTakeAReservedPort(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(nettest.Reserve(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":"+port)
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}

// The system's choice is a matter of chance, so that this test may pass where a port is not kept. It fails only where one is not.
func TestAReservedPortIsNotGivenAway(t *testing.T) {
	t.Parallel()
	address := nettest.Reserve(t)
	for range 2000 {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if got := listener.Addr().String(); got == address {
			t.Errorf("%s was given to somebody else", got)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
