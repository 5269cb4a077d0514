package rpc

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// placing is a Placer that is one function.
type placing func(ctx context.Context, req order.Request) (*order.Order, error)

func (p placing) Place(ctx context.Context, req order.Request) (*order.Order, error) {
	return p(ctx, req)
}

// serve runs a server for p on loopback and returns a connection to it, and what it logs.
func serve(t *testing.T, p placing) (*grpc.ClientConn, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return reach(t, NewServer(p, health.NewServer(), Options{Deadline: time.Minute, Log: slog.New(slog.NewTextHandler(&log, nil))})), &log
}

// reach runs a server on loopback until the test ends, and returns a connection to it.
func reach(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, server, listener)
}

// dial runs a server on the listener until the test ends, and returns a connection to it.
func dial(t *testing.T, server *grpc.Server, listener net.Listener, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.GracefulStop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return nettest.DialGRPC(t, "passthrough:///"+listener.Addr().String(), opts...)
}

func usd(units int64, nanos int32) money.Amount {
	a, err := money.New("USD", units, nanos)
	if err != nil {
		panic(err)
	}
	return a
}

func TestARequestComesInAndAnOrderGoesOut(t *testing.T) {
	t.Parallel()
	var got order.Request
	var asked creditcard.Card
	conn, _ := serve(t, func(_ context.Context, req order.Request) (*order.Order, error) {
		got, asked = req, req.Card
		got.Card = req.Card.Clone()
		return &order.Order{
			ID: "id", State: order.Placed, TrackingID: "parcel", Shipping: usd(8, 990_000_000), Address: req.Address,
			Items: []order.Item{{Line: order.Line{ProductID: "lens", Quantity: 2}, Cost: usd(0, 200_000_000)}},
		}, nil
	})
	resp, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{
		UserId: "ada", UserCurrency: "USD", Email: "ada@example.com",
		Address:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: "4432-8015-6152-0454", CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := order.Request{
		UserID: "ada", Currency: "USD", Email: "ada@example.com",
		Address: order.Address{Street: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		Card:    creditcard.New("4432-8015-6152-0454", 672, 2039, 1),
	}
	if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if number, cvv, _, _ := asked.Reveal(); number != "" || cvv != 0 {
		t.Error("the card is still in memory after the answer")
	}
	wantResp := &oteldemo.PlaceOrderResponse{Order: &oteldemo.OrderResult{
		OrderId: "id", ShippingTrackingId: "parcel",
		ShippingCost:    &oteldemo.Money{CurrencyCode: "USD", Units: 8, Nanos: 990_000_000},
		ShippingAddress: &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		Items: []*oteldemo.OrderItem{{
			Item: &oteldemo.CartItem{ProductId: "lens", Quantity: 2},
			Cost: &oteldemo.Money{CurrencyCode: "USD", Nanos: 200_000_000},
		}},
	}}
	if diff := cmp.Diff(wantResp, resp, protocmp.Transform()); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestTheKeyOfARequestIsInItsMetadata(t *testing.T) {
	t.Parallel()
	var got []string
	conn, _ := serve(t, func(_ context.Context, req order.Request) (*order.Order, error) {
		got = append(got, req.Key)
		return &order.Order{}, nil
	})
	place := func(keys ...string) error {
		ctx := t.Context()
		for _, key := range keys {
			ctx = metadata.AppendToOutgoingContext(ctx, "Idempotency-Key", key)
		}
		_, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{})
		return err
	}
	for _, keys := range [][]string{nil, {"a key"}} {
		if err := place(keys...); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal(t, place("one", "another"), codes.InvalidArgument, "INVALID_REQUEST", "idempotency-key")
	if diff := cmp.Diff([]string{"", "a key"}, got); diff != "" {
		t.Errorf("keys of the orders placed (-want +got):\n%s", diff)
	}
}

func TestAnOrderThatIsPaidAndNotShippedSaysSoInItsTrailer(t *testing.T) {
	t.Parallel()
	conn, _ := serve(t, func(context.Context, order.Request) (*order.Order, error) {
		return &order.Order{ID: "id", State: order.Charged}, nil
	})
	var trailer metadata.MD
	resp, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}, grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if got := trailer.Get("checkout-order-state"); len(got) != 1 || got[0] != "charged" || resp.GetOrder().GetShippingTrackingId() != "" {
		t.Errorf("trailer %v and tracking id %q, want charged and none", got, resp.GetOrder().GetShippingTrackingId())
	}
}

func TestAPanicEndsItsCallAlone(t *testing.T) {
	t.Parallel()
	conn, log := serve(t, func(_ context.Context, req order.Request) (*order.Order, error) {
		if req.UserID == "bug" {
			panic("a bug")
		}
		return &order.Order{}, nil
	})
	client := oteldemo.NewCheckoutServiceClient(conn)
	_, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{UserId: "bug"})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "a bug") {
		t.Errorf("the call says %v, want INTERNAL and nothing of the inside", err)
	}
	if info, ok := status.Convert(err).Details()[0].(*errdetails.ErrorInfo); !ok || info.GetMetadata()["money_moved"] != "unknown" || info.GetMetadata()["safe_to_retry"] != "false" {
		t.Errorf("the call tells %v, want that nobody knows whether money has moved", info)
	}
	if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err != nil {
		t.Errorf("the next call says %v", err)
	}
	if !strings.Contains(log.String(), "a bug") {
		t.Errorf("logged %q, want the panic", log)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	const ours = 10 * time.Second
	for name, test := range map[string]struct{ callers, want time.Duration }{
		"none: ours":         {0, ours - 200*time.Millisecond},
		"the caller's":       {5 * time.Second, 5*time.Second - 100*time.Millisecond},
		"little":             {500 * time.Millisecond, 480 * time.Millisecond},
		"longer than we can": {time.Hour, maxDeadline - 250*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var left time.Duration
				conn := inMemory(t, NewServer(placing(func(ctx context.Context, _ order.Request) (*order.Order, error) {
					deadline, _ := ctx.Deadline()
					left = time.Until(deadline)
					return &order.Order{}, nil
				}), health.NewServer(), Options{Deadline: ours, Log: slog.New(slog.DiscardHandler)}))
				ctx := t.Context()
				if test.callers > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.callers)
					defer cancel()
				}
				if _, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{}); err != nil {
					t.Fatal(err)
				}
				if left != test.want {
					t.Errorf("the order got %v, want %v: a part is kept back to answer", left, test.want)
				}
			})
		})
	}
}

func TestARequestThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	conn, _ := serve(t, func(context.Context, order.Request) (*order.Order, error) { return &order.Order{}, nil })
	_, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{UserId: strings.Repeat("x", 65<<10)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("65 KiB of request are answered with %v, want RESOURCE_EXHAUSTED", err)
	}
}

func TestHealthIsServed(t *testing.T) {
	t.Parallel()
	conn, _ := serve(t, nil)
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("Check says %v, %v; want SERVING", resp, err)
	}
}

// inMemory runs a server until the test ends, over connections in memory, so that time may be virtual.
func inMemory(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	return dial(t, server, listener, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
}

func TestOnlyOperatorsGetStats(t *testing.T) {
	t.Parallel()
	opts := Options{Stats: checkoutv1.UnimplementedStatsServiceServer{}, Log: slog.New(slog.DiscardHandler)}
	for _, test := range []struct {
		server *grpc.Server
		want   bool
	}{{NewServer(placing(nil), health.NewServer(), opts), false}, {NewAdminServer(nil, health.NewServer(), opts), true}} {
		if _, got := test.server.GetServiceInfo()["checkout.v1.StatsService"]; got != test.want {
			t.Errorf("StatsService is served: %v, want %v", got, test.want)
		}
	}
}
