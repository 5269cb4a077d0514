package telemetry

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
)

// checkoutServer answers as its function says.
type checkoutServer struct {
	oteldemo.UnimplementedCheckoutServiceServer
	place func(context.Context) error
}

func (s checkoutServer) PlaceOrder(ctx context.Context, _ *oteldemo.PlaceOrderRequest) (*oteldemo.PlaceOrderResponse, error) {
	if err := s.place(ctx); err != nil {
		return nil, err
	}
	return &oteldemo.PlaceOrderResponse{Order: &oteldemo.OrderResult{OrderId: "o-1"}}, nil
}

// checkout makes a server that is observed by r, and a client that is, too.
func (r *recording) checkout(t *testing.T, place func(context.Context) error) oteldemo.CheckoutServiceClient {
	t.Helper()
	addr := nettest.ServeGRPC(t, func(s *grpc.Server) {
		oteldemo.RegisterCheckoutServiceServer(s, checkoutServer{place: place})
	}, grpc.StatsHandler(r.ServerHandler()))
	_, port, _ := net.SplitHostPort(addr)
	return oteldemo.NewCheckoutServiceClient(nettest.DialGRPC(t, "passthrough:///localhost:"+port, r.DialOptions()...))
}

func TestACallIsASpanOnEitherSide(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := r.checkout(t, func(context.Context) error { return nil })
	if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, 2)

	const identity = `  string rpc.method=PlaceOrder
  string rpc.service=oteldemo.CheckoutService
  string rpc.system=grpc
`
	const name = "oteldemo.CheckoutService/PlaceOrder"
	wantClient := "client " + name + `
  int64 network.peer.port=#
  int64 rpc.grpc.status_code=0
  int64 server.port=#
  string network.peer.address=127.0.0.1
` + identity + "  string server.address=localhost\n"
	wantServer := "server " + name + `
  int64 network.peer.port=#
  int64 rpc.grpc.status_code=0
  int64 server.port=#
  string network.peer.address=127.0.0.1
` + identity + "  string server.address=127.0.0.1\n"
	got := r.ended()
	if diff := cmp.Diff(wantClient, describe(got["client "+name])); diff != "" {
		t.Errorf("client span (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantServer, describe(got["server "+name])); diff != "" {
		t.Errorf("server span (-want +got):\n%s", diff)
	}
	if got["server "+name].Parent().SpanID() != got["client "+name].SpanContext().SpanID() {
		t.Error("the server's span is not a child of the client's")
	}
}

func TestBothConventionsCanBeEmittedAtOnce(t *testing.T) {
	t.Parallel()
	r := record(t, oldRPC(), stableRPC())
	client := r.checkout(t, func(context.Context) error { return status.Error(codes.NotFound, "no such thing") })
	if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); status.Code(err) != codes.NotFound {
		t.Fatalf("got %v, want NOT_FOUND", err)
	}
	r.waitFor(t, 2)

	const name = "oteldemo.CheckoutService/PlaceOrder"
	want := "client " + name + `
  status Error "no such thing"
  int64 network.peer.port=#
  int64 rpc.grpc.status_code=5
  int64 server.port=#
  string error.type=NOT_FOUND
  string network.peer.address=127.0.0.1
  string rpc.method=PlaceOrder
  string rpc.response.status_code=NOT_FOUND
  string rpc.service=oteldemo.CheckoutService
  string rpc.system.name=grpc
  string rpc.system=grpc
  string server.address=localhost
`
	if diff := cmp.Diff(want, describe(r.ended()["client "+name])); diff != "" {
		t.Errorf("client span (-want +got):\n%s", diff)
	}
	size := `By
1 ×
  int64 server.port=#
  string rpc.method=PlaceOrder
  string rpc.service=oteldemo.CheckoutService
  string rpc.system=grpc
  string server.address=localhost
`
	old := `1 ×
  int64 rpc.grpc.status_code=5
`
	stable := `1 ×
`
	wantMetrics := map[string]string{
		"rpc.client.duration": "ms\n" + old + strings.SplitN(size, "1 ×\n", 2)[1],
		"rpc.server.duration": "ms\n" + old + `  string rpc.method=PlaceOrder
  string rpc.service=oteldemo.CheckoutService
  string rpc.system=grpc
`,
		"rpc.client.request.size": size,
		"rpc.server.request.size": "By\n1 ×\n" + `  string rpc.method=PlaceOrder
  string rpc.service=oteldemo.CheckoutService
  string rpc.system=grpc
`,
		"rpc.client.call.duration": "s\n" + stable + `  int64 server.port=#
  string error.type=NOT_FOUND
  string rpc.method=oteldemo.CheckoutService/PlaceOrder
  string rpc.response.status_code=NOT_FOUND
  string rpc.system.name=grpc
  string server.address=localhost
`,
		"rpc.server.call.duration": "s\n" + stable + `  string rpc.method=oteldemo.CheckoutService/PlaceOrder
  string rpc.response.status_code=NOT_FOUND
  string rpc.system.name=grpc
`,
	}
	if diff := cmp.Diff(wantMetrics, r.metrics(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestAServerIsNotToBlameForItsCallers(t *testing.T) {
	t.Parallel()
	for code, blamed := range map[codes.Code]bool{
		codes.InvalidArgument: false, codes.FailedPrecondition: false, codes.Aborted: false, codes.ResourceExhausted: false,
		codes.NotFound: false, codes.Canceled: false, codes.Unauthenticated: false,
		codes.Internal: true, codes.Unavailable: true, codes.DeadlineExceeded: true, codes.Unknown: true, codes.DataLoss: true,
		codes.Unimplemented: true, codes.Code(99): true,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			r := record(t)
			client := r.checkout(t, func(context.Context) error { return status.Error(code, "because") })
			if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err == nil {
				t.Fatal("the call did not fail")
			}
			r.waitFor(t, 2)
			server := describe(r.span(t, "server oteldemo.CheckoutService/PlaceOrder"))
			if got := strings.Contains(server, `status Error "because"`); got != blamed {
				t.Errorf("server span in error: %t, want %t:\n%s", got, blamed, server)
			}
			if client := describe(r.span(t, "client oteldemo.CheckoutService/PlaceOrder")); !strings.Contains(client, `status Error "because"`) {
				t.Errorf("client span not in error:\n%s", client)
			}
		})
	}
}

func TestHealthChecksAndMadeUpNamesLeaveNoTelemetry(t *testing.T) {
	t.Parallel()
	r := record(t)
	addr := nettest.ServeGRPC(t, func(s *grpc.Server) {
		oteldemo.RegisterCheckoutServiceServer(s, checkoutServer{place: func(context.Context) error { return nil }})
		grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	}, grpc.StatsHandler(r.ServerHandler()))
	conn := nettest.DialGRPC(t, addr)
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Invoke(t.Context(), "/made.Up/Name", &oteldemo.Empty{}, &oteldemo.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Fatalf("got %v, want UNIMPLEMENTED", err)
	}
	if _, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, 1)
	if got := len(r.spans.Started()); got != 1 {
		t.Errorf("%d spans were started, want the one of PlaceOrder", got)
	}
	if got := r.metrics(t)["rpc.server.duration"]; strings.Contains(got, "ealth") || strings.Contains(got, "made") {
		t.Errorf("rpc.server.duration counts what it should not:\n%s", got)
	}
}

// A stream is not observed. What gRPC tells of one that a call opens is not to be taken for the call.
func TestAStreamThatACallOpensLeavesTheCallAlone(t *testing.T) {
	t.Parallel()
	r := record(t)
	watched := nettest.ServeGRPC(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) })
	other := grpc_health_v1.NewHealthClient(nettest.DialGRPC(t, watched, r.DialOptions()...))
	client := r.checkout(t, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := other.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		cancel()
		if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
			return err
		}
		if !trace.SpanFromContext(ctx).IsRecording() {
			t.Error("the call's span has ended with the stream")
		}
		return nil
	})
	if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, 2)
	want := `ms
1 ×
  int64 rpc.grpc.status_code=0
  string rpc.method=PlaceOrder
  string rpc.service=oteldemo.CheckoutService
  string rpc.system=grpc
`
	if diff := cmp.Diff(want, r.metrics(t)["rpc.server.duration"]); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestTraceContextAndBaggageReachTheServer(t *testing.T) {
	t.Parallel()
	r := record(t)
	var got context.Context
	client := r.checkout(t, func(ctx context.Context) error { got = ctx; return nil })
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	parent := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "k")
	ctx = withBaggage(t, trace.ContextWithRemoteSpanContext(ctx, parent), "synthetic_request=true")
	if _, err := client.PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{}); err != nil {
		t.Fatal(err)
	}

	if span := trace.SpanContextFromContext(got); span.TraceID() != parent.TraceID() || span.TraceState().String() != "vendor=1" {
		t.Errorf("the server is in trace %s with state %q, want %s with vendor=1", span.TraceID(), span.TraceState(), parent.TraceID())
	}
	if v := baggage.FromContext(got).Member("synthetic_request").Value(); v != "true" {
		t.Errorf("the server has baggage synthetic_request=%q, want true", v)
	}
	if keys := metadata.ValueFromIncomingContext(got, "idempotency-key"); !cmp.Equal(keys, []string{"k"}) {
		t.Errorf("the server has idempotency-key %q, want the caller's", keys)
	}
}

func TestAServerThatCannotBeReachedIsNamedOnTheSpan(t *testing.T) {
	t.Parallel()
	r := record(t)
	_, port, _ := net.SplitHostPort(nettest.Reserve(t))
	client := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, "passthrough:///localhost:"+port, r.DialOptions()...))
	if _, err := client.GetCart(t.Context(), &oteldemo.GetCartRequest{}); status.Code(err) != codes.Unavailable {
		t.Fatalf("got %v, want UNAVAILABLE", err)
	}
	got := describe(r.span(t, "client oteldemo.CartService/GetCart"))
	for _, want := range []string{"server.address=localhost", "server.port=#", "error.type=UNAVAILABLE", "rpc.grpc.status_code=14"} {
		if !strings.Contains(got, want) {
			t.Errorf("the span has no %s:\n%s", want, got)
		}
	}
}

func TestNoCardGetsOntoASpanByWayOfAnAnswer(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := r.checkout(t, func(context.Context) error {
		return status.Error(codes.Internal, "card 4432-8015 6152 0454 of someone@example.com refused")
	})
	if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err == nil {
		t.Fatal("the call did not fail")
	}
	r.waitFor(t, 2)
	for name, span := range r.ended() {
		if got, want := span.Status().Description, "card ****-**** **** **** of *** refused"; got != want {
			t.Errorf("%s: status %q, want %q", name, got, want)
		}
	}
}
