package rpc

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
	"checkout/internal/fair"
	"checkout/internal/test/rawgrpc"
)

// deaf is a client that lets nothing of its answers be sent, and makes so many calls.
func (c *crowd) deaf(t *testing.T, method string, calls int) (takes func()) {
	t.Helper()
	conn, err := c.listener.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	framer := http2.NewFramer(conn, nil)
	_, err = conn.Write([]byte(http2.ClientPreface))
	err = errors.Join(err, framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	for i := range uint32(calls) {
		err = errors.Join(err,
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: rawgrpc.Block("crowd", method), EndHeaders: true}),
			framer.WriteData(2*i+1, true, rawgrpc.Frame(nil)))
	}
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return func() {
		t.Helper()
		if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16}); err != nil {
			t.Errorf("its connection was closed: %v", err)
		}
		synctest.Wait()
	}
}

func TestWhoTakesItsAnswersLateIsNotHungUpOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		close(c.letGo)
		take := c.deaf(t, oteldemo.CheckoutService_PlaceOrder_FullMethodName, size)
		for range size - 2 {
			headersOnly(t, c.connect(t)) // it takes the place of an answer
		}
		time.Sleep(lateAnswer - time.Millisecond)
		take()
		time.Sleep(2 * messageTime)
		if n := c.hungUp.Load(); n != 0 {
			t.Errorf("hung up %d times", n)
		}
	})
}

func TestAHealthCheckWhoseAnswerIsNotTakenGivesUpItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		close(c.letGo)
		c.deaf(t, grpc_health_v1.Health_Check_FullMethodName, 2*(size+probes))
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order beside answers that nobody takes: %v", err)
		}
	})
}

func TestACallHasItsPlaceUntilItsAnswerHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		close(c.letGo)
		if c.deaf(t, oteldemo.CheckoutService_PlaceOrder_FullMethodName, 2*size); c.ordersPlaced() != size {
			t.Errorf("%d orders were placed whose answers nobody takes, with room for %d", c.ordersPlaced(), size)
		}
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order of another connection: %v", err)
		}
		time.Sleep(2 * messageTime)
		if c.hungUp.Load() == 0 {
			t.Error("a client that takes no answers stays connected")
		}
		all := c.ordersPlaced()
		if c.deaf(t, oteldemo.CheckoutService_PlaceOrder_FullMethodName, 2*size); c.ordersPlaced() != all+size {
			t.Errorf("then %d more are placed, want %d: places are given back", c.ordersPlaced()-all, size)
		}
	})
}
