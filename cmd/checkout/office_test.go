package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/store"
)

// office is a record of orders, and the servers that tell of it.
type office struct {
	*store.SQLite

	environ map[string]string
}

// openOffice opens an office that closes with the test. It speaks TLS if it has credentials.
func openOffice(t *testing.T, creds credentials.TransportCredentials) *office {
	t.Helper()
	record, err := store.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	return officeOf(t, record, creds)
}

// officeOf opens an office with a record, which it closes.
func officeOf(t *testing.T, record *store.SQLite, creds credentials.TransportCredentials) *office {
	t.Helper()
	t.Cleanup(func() { _ = record.Close() })
	opts := rpc.Options{Orders: record, Audit: record, Eraser: record, Backuper: record, Credentials: creds, Log: slog.New(slog.DiscardHandler)}
	placer := order.NewPlacer(order.Dependencies{Store: record})
	t.Cleanup(func() { placer.Close(context.Background()) })
	shop, admin := listen(t, "localhost:0"), listen(t, "localhost:0")
	run(t, rpc.NewServer(nil, health.NewServer(), opts), shop)
	run(t, rpc.NewAdminServer(placer, health.NewServer(), opts), admin)
	_, port, _ := net.SplitHostPort(shop.Addr().String())
	return &office{record, map[string]string{"CHECKOUT_PORT": port, "CHECKOUT_ADMIN_ADDR": admin.Addr().String()}}
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run runs a server until the test ends, or it is stopped.
func run(t *testing.T, server *grpc.Server, l net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // a short test stops it before it has begun
			t.Error(err)
		}
	})
}

// id is the id of the nth order.
func id(n int) string { return fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", n) }

// sample is the nth order, of a user of its own.
func sample(t *testing.T, n int) *order.Order {
	t.Helper()
	usd := func(units int64, nanos int32) money.Amount {
		a, err := money.New("USD", units, nanos)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	return &order.Order{
		ID: order.ID(id(n)), State: order.Charging, UserID: fmt.Sprintf("user %d", n), Key: "a key", Currency: "USD", Email: "ada@example.com",
		Items:    []order.Item{{Line: order.Line{ProductID: "lens", Quantity: 2}, Cost: usd(19, 990_000_000)}},
		Shipping: usd(8, 0), Total: usd(47, 980_000_000), Created: time.Now(), Changed: time.Now(),
	}
}

// ago makes an order as old as that, by its id as well.
func ago(d time.Duration) func(*order.Order) {
	return func(o *order.Order) {
		o.Created = time.Now().Add(-d)
		ms := o.Created.UnixMilli()
		o.ID = order.ID(fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)) + o.ID[len("01890a5d-ac96"):]
	}
}

// put records the nth order in a state, at rest.
func (off *office) put(t *testing.T, n int, state order.State, change ...func(*order.Order)) *order.Order {
	t.Helper()
	o := sample(t, n)
	for _, c := range change {
		c(o)
	}
	if conflict, err := off.Open(t.Context(), order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now()}); conflict != nil || err != nil {
		t.Fatalf("recording order %d: %v, %v", n, conflict, err)
	}
	off.move(t, o, state)
	return o
}

// move records that an order has come into a state, and rests in it.
func (off *office) move(t *testing.T, o *order.Order, state order.State) {
	t.Helper()
	from := o.State
	o.State, o.Changed = state, time.Now()
	if err := off.Save(t.Context(), o, from, order.UntilResolved); err != nil {
		t.Fatal(err)
	}
}

// state is the state of the nth order on record.
func (off *office) state(t *testing.T, n int) order.State {
	t.Helper()
	o, err := off.Get(t.Context(), order.ID(id(n)))
	if err != nil {
		t.Fatal(err)
	}
	return o.State
}
