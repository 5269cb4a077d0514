package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/twmb/franz-go/pkg/kgo"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

// What telemetry costs, apart from what it observes: no network, no other services, only what is called on behalf of them.

// costs runs do with telemetry that is exported and dropped, and without.
func costs(b *testing.B, names string, do func(*testing.B, *Telemetry) func()) {
	b.Helper()
	both := silentEnv().propagator()
	on := providers{
		traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(maskedSpans{sdktrace.NewBatchSpanProcessor(dropped{})})),
		meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
		logs:   sdklog.NewLoggerProvider(sdklog.WithProcessor(maskedLogs{}), sdklog.WithProcessor(sdklog.NewBatchProcessor(droppedLogs{}))),
	}
	for _, is := range []struct {
		name string
		providers
	}{{"on", on}, {"none", silent()}} {
		b.Run(is.name, func(b *testing.B) {
			logger := toBoth(toStdout(io.Discard, slog.LevelInfo), is.logs, slog.LevelInfo)
			one := do(b, assemble(is.providers, both, logger, newDialect(names), silentEnv().conventions()))
			b.ReportAllocs()
			for b.Loop() {
				one()
			}
		})
	}
	ended := assemble(on, both, nil, dialect{}, conventions{})
	if err := ended.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
}

type dropped struct{}

func (dropped) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (dropped) Shutdown(context.Context) error                             { return nil }

type droppedLogs struct{}

func (droppedLogs) Export(context.Context, []sdklog.Record) error { return nil }
func (droppedLogs) Shutdown(context.Context) error                { return nil }
func (droppedLogs) ForceFlush(context.Context) error              { return nil }

// call plays what gRPC tells of a call that is served.
func call(ctx context.Context, h stats.Handler, method string, during func(context.Context)) {
	ctx = h.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: method})
	h.HandleRPC(ctx, &stats.Begin{BeginTime: time.Now()})
	h.HandleRPC(ctx, &stats.InPayload{Length: 200})
	during(ctx)
	h.HandleRPC(ctx, &stats.OutPayload{Length: 300})
	h.HandleRPC(ctx, &stats.End{BeginTime: time.Now(), EndTime: time.Now()})
}

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50051}

// calls makes what plays calls to a server, observed by tel.
func calls(b *testing.B, tel *Telemetry) func(ctx context.Context, method string) {
	b.Helper()
	conn := nettest.DialGRPC(b, "cart:8080")
	h := &rpcClient{Telemetry: tel}
	invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		for _, option := range opts {
			if at, ok := option.(grpc.PeerCallOption); ok {
				at.PeerAddr.Addr = loopback
			}
		}
		return ctx.Err()
	}
	return func(ctx context.Context, method string) { _ = h.call(ctx, method, nil, nil, conn, invoke) }
}

// incomingCall is the context of a call that came with a trace context and baggage.
func incomingCall(ctx context.Context, h stats.Handler) context.Context {
	ctx = h.TagConn(ctx, &stats.ConnTagInfo{RemoteAddr: loopback, LocalAddr: loopback})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage", "session.id=abc-123,synthetic_request=true"))
}

// answer answers every request.
type answer struct{}

func (answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

// post makes what posts to a server, observed by tel. It costs some allocations by itself.
func post(b *testing.B, tel *Telemetry) func(context.Context) {
	b.Helper()
	through := tel.Transport(answer{})
	return func(ctx context.Context) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://shipping:50050/get-quote", http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		res, err := through.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

// publishing makes what produces a record, observed by tel.
func publishing(tel *Telemetry) func(context.Context) {
	k := tel.KafkaHook().(kafka)
	return func(ctx context.Context) {
		r := &kgo.Record{Topic: "orders", Context: ctx}
		k.OnProduceRecordBuffered(r)
		k.OnProduceRecordUnbuffered(r, nil)
	}
}

func BenchmarkClientSpan(b *testing.B) {
	costs(b, dialectApp, func(b *testing.B, tel *Telemetry) func() {
		one := calls(b, tel)
		return func() { one(b.Context(), "/oteldemo.CartService/GetCart") }
	})
}

func BenchmarkServerSpan(b *testing.B) {
	costs(b, dialectApp, func(b *testing.B, tel *Telemetry) func() {
		h := tel.ServerHandler()
		ctx := incomingCall(b.Context(), h)
		return func() { call(ctx, h, servedMethods()[0], func(context.Context) {}) }
	})
}

func BenchmarkHTTPSpan(b *testing.B) {
	costs(b, dialectApp, func(b *testing.B, tel *Telemetry) func() {
		one := post(b, tel)
		return func() { one(b.Context()) }
	})
}

func BenchmarkProducerSpan(b *testing.B) {
	costs(b, dialectApp, func(b *testing.B, tel *Telemetry) func() {
		one := publishing(tel)
		return func() { one(b.Context()) }
	})
}

// BenchmarkLogRecord is the line that each order has.
func BenchmarkLogRecord(b *testing.B) {
	costs(b, dialectApp, func(b *testing.B, tel *Telemetry) func() {
		ctx, span := tel.tracer.Start(b.Context(), "PlaceOrder")
		b.Cleanup(func() { span.End() })
		facts, customer := tel.names.placed(sample(b)), tel.names.customer(request())
		return func() { tel.logger.LogAttrs(ctx, slog.LevelInfo, "order placed", fields(facts, customer)...) }
	})
}

// BenchmarkPlaceOrder is all that an order of two products in dollars leaves: its server span, the read phase, six RPCs,
// three requests over HTTP, an event, two evaluations of flags, its line of the log and its metrics.
func BenchmarkPlaceOrder(b *testing.B) {
	for _, names := range []string{dialectApp, dialectBoth} {
		b.Run(names, func(b *testing.B) {
			costs(b, names, func(b *testing.B, tel *Telemetry) func() {
				h := tel.ServerHandler()
				ctx, place := incomingCall(b.Context(), h), placeWhole(b, tel)
				return func() { call(ctx, h, servedMethods()[0], place) }
			})
		})
	}
}

// BenchmarkOverload is an order that is refused because of overload.
func BenchmarkOverload(b *testing.B) {
	costs(b, dialectApp, func(b *testing.B, tel *Telemetry) func() {
		h := tel.ServerHandler()
		full := &order.Error{Kind: order.ErrOverloaded}
		placer := tel.Placer(placeFunc(func(context.Context, order.Request) (*order.Order, error) { return nil, full }))
		ctx := incomingCall(b.Context(), h)
		return func() {
			call(ctx, h, servedMethods()[0], func(ctx context.Context) { _, _ = placer.Place(ctx, request()) })
		}
	})
}

func placeWhole(b *testing.B, tel *Telemetry) func(context.Context) {
	b.Helper()
	rpc, http, publish := calls(b, tel), post(b, tel), publishing(tel)
	w, flags, store := world{}, tel.FlagHook(), tel.Store(brokenStore{})
	shop := tel.Timed(Services{w, w, w, w, w, w, w, w, w})
	evaluate := func(ctx context.Context) {
		flags.Finally(ctx, openfeature.HookContext{}, openfeature.InterfaceEvaluationDetails{Value: false}, openfeature.HookHints{})
	}
	pricer := tel.Pricer(priceFunc(func(ctx context.Context, _ order.Request) (*order.Order, error) {
		_, _ = shop.Cart.Lines(ctx, "")
		rpc(ctx, "/oteldemo.CartService/GetCart")
		for range 2 {
			_, _ = shop.Catalog.Product(ctx, "")
			rpc(ctx, "/oteldemo.ProductCatalogService/GetProduct")
		}
		_, _ = shop.Currency.Supported(ctx)
		rpc(ctx, "/oteldemo.CurrencyService/GetSupportedCurrencies")
		_, _ = shop.Quotes.Quote(ctx, order.Address{}, nil)
		http(ctx)
		return sample(b), nil
	}))
	placer := tel.Placer(placeFunc(func(ctx context.Context, req order.Request) (*order.Order, error) {
		o, err := pricer.Price(ctx, req)
		if err != nil {
			return nil, err
		}
		o.Created, o.Trace = time.Now(), req.Trace
		_, _ = store.Open(ctx, order.Opening{Order: o, Hold: 0, CartRead: time.Time{}})
		evaluate(ctx)
		_, _ = shop.Payment.Charge(ctx, "", o.Total, req.Card)
		rpc(ctx, "/oteldemo.PaymentService/Charge")
		o.State, o.TransactionID = order.Charged, "bd8b8e7d-0f7e-4f0a-9e3e-6f4a3d3f7a0c"
		_ = store.Save(ctx, o, order.Charging, 0)
		_, _ = shop.Shipping.Ship(ctx, "", order.Address{}, nil)
		http(ctx)
		o.State, o.TrackingID = order.Placed, "1f9a6f5e-64a3-4f0b-8a7e-31c7b0a5d9c2"
		_ = store.Save(ctx, o, order.Charged, 0)
		_ = shop.Cart.Empty(ctx, "")
		rpc(ctx, "/oteldemo.CartService/EmptyCart")
		_ = shop.Email.Confirm(ctx, o)
		http(ctx)
		evaluate(ctx)
		_ = shop.Events.Publish(ctx, o)
		publish(ctx)
		return o, nil
	}))
	return func(ctx context.Context) {
		if _, err := placer.Place(ctx, request()); err != nil {
			b.Fatal(err)
		}
	}
}
