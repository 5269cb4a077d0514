package demo

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts one server for the time of a test.
func open[T any](t *testing.T, serve func(*Server) (T, func() error)) T {
	t.Helper()
	d, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, stop := serve(newServer(d, newNotifier()))
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// openShop starts a whole shop for the time of a test.
func openShop(t *testing.T) *Shop {
	t.Helper()
	shop, err := Start(t.Context(), Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Close(); err != nil {
			t.Error(err)
		}
	})
	return shop
}

// soon is a context for what should happen right away.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestEveryAddressInTheEnvironmentIsServed(t *testing.T) {
	t.Parallel()
	env := openShop(t).Environ()
	env["FLAGD_ADDR"] = net.JoinHostPort(env["FLAGD_HOST"], env["FLAGD_PORT"])

	for _, name := range []string{
		"CART_ADDR", "PRODUCT_CATALOG_ADDR", "CURRENCY_ADDR", "PAYMENT_ADDR", "SHIPPING_ADDR", "EMAIL_ADDR", "KAFKA_ADDR",
		"FLAGD_ADDR", "OTEL_EXPORTER_OTLP_ENDPOINT",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(env[name], "http://"))
		if err != nil {
			t.Errorf("%s=%s: %v", name, env[name], err)
			continue
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if !strings.HasPrefix(env["SHIPPING_ADDR"], "http://") || !strings.HasPrefix(env["EMAIL_ADDR"], "http://") {
		t.Errorf("shipping and email are %q and %q, want URLs", env["SHIPPING_ADDR"], env["EMAIL_ADDR"])
	}
}

func TestAShopThatCannotOpenLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.Context(), Options{Host: "192.0.2.1", Folder: t.TempDir()}); err == nil {
		t.Error("a shop at an address of another machine has opened")
	}
}

func TestAStoppedListenerRefusesAndKeepsItsAddress(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	address := cart.Address()
	knock := func() error {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	}

	cart.TakeOffline()
	cart.TakeOffline() // gone already
	if knock() == nil || !cart.Offline() {
		t.Error("a server that has left takes calls, or does not say so")
	}
	for range 2 { // the second finds it there already
		if err := cart.BringOnline(); err != nil {
			t.Fatal(err)
		}
	}
	if err := knock(); err != nil || cart.Offline() {
		t.Errorf("a server that has returned: %v", err)
	}
}

func TestLeavingBreaksOpenConnections(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", cart.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // broken by then
	greeting := make([]byte, 9)
	if _, err := conn.Read(greeting); err != nil { // the HTTP/2 settings: the server has accepted
		t.Fatal(err)
	}

	cart.TakeOffline()

	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := conn.Read(greeting)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection is still open")
		}
		if err != nil {
			return
		}
	}
}
