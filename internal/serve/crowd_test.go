package serve_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/nettest"
)

// occupy opens so many connections and leaves them as begin does.
func occupy(t *testing.T, addr string, n int, begin func(net.Conn) error) {
	t.Helper()
	for range n {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := begin(conn); err != nil {
			t.Fatal(err)
		}
	}
}

// greet begins HTTP/2, and waits until the server has taken it up.
func greet(conn net.Conn) (*http2.Framer, error) {
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(); err != nil {
		return nil, err
	}
	for { // the server's settings, and that it has ours
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && s.IsAck() {
			return f, nil
		}
	}
}

// watch begins a call that stays, unless there are too many of the kind.
func watch(conn net.Conn) error {
	f, err := greet(conn)
	if err != nil {
		return err
	}
	var header strings.Builder
	encoder := hpack.NewEncoder(&header)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "checkout"},
		{Name: ":path", Value: "/grpc.health.v1.Health/Watch"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(header.String()), EndHeaders: true}); err != nil {
		return err
	}
	if err := f.WriteData(1, true, make([]byte, 5)); err != nil { // an empty message
		return err
	}
	for { // until it is answered
		frame, err := f.ReadFrame()
		if err != nil || frame.Header().StreamID == 1 {
			return err
		}
	}
}

// A liveness check that cannot connect kills a healthy service.
func TestTheProbeAndOrdersGetInHoweverManyConnectionsThereAre(t *testing.T) {
	for name, begin := range map[string]func(net.Conn) error{
		"silent":   func(net.Conn) error { return nil },
		"idle":     func(conn net.Conn) error { _, err := greet(conn); return err },
		"watching": watch,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			occupy(t, s.addr, 300, begin)
			resp, err := grpc_health_v1.NewHealthClient(nettest.DialGRPC(t, s.addr)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("the probe: %v, %v", resp, err)
			}
			if _, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
				t.Errorf("an order: %v", err)
			}
			if !strings.Contains(s.log.String(), "too many connections: one was closed to make room") {
				t.Error("nothing is logged of the connections that were closed")
			}
		})
	}
}

// Users who send many requests at once have them wait for their first ones, and nobody else is refused for that.
func TestRequestsThatWaitForTheirUsersFirstTakeNoPlaces(t *testing.T) {
	for name, greedy := range map[string]struct{ users, requests int }{
		"10 users with 40": {10, 40}, "15 users with 30": {15, 30},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, map[string]string{"CHECKOUT_MAX_ORDERS": "64", "CHECKOUT_CHARGE_TIMEOUT": "15s"})
			s.shop.Payment.Inject(demo.Fault{Kind: demo.Late, Delay: 10 * time.Second})
			var refused atomic.Int64
			var all sync.WaitGroup
			for user := range greedy.users {
				name := fmt.Sprint("greedy-", user)
				s.shop.Cart.Put(name, "OLJCESPC7Z", 1)
				conn := oteldemo.NewCheckoutServiceClient(nettest.DialGRPC(t, s.addr))
				for range greedy.requests {
					all.Go(func() {
						if _, err := conn.PlaceOrder(t.Context(), request(name, "USD")); status.Code(err) == codes.ResourceExhausted {
							refused.Add(1)
						}
					})
				}
			}
			const kept = 33 // of a user, at most: one in progress, and those that wait for it
			least := int64(greedy.users * max(greedy.requests-kept, 0))
			for end := time.Now().Add(patience); refused.Load() < max(least, 1) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
			for user := range 10 {
				all.Go(func() {
					if _, err := s.buy(t.Context(), fmt.Sprint("honest-", user), "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
						t.Errorf("an order of another user: %v", err)
					}
				})
			}
			time.Sleep(300 * time.Millisecond)
			s.shop.Payment.Inject(demo.Fault{})
			all.Wait()
		})
	}
}
