package telemetry

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

type cartServer struct {
	oteldemo.UnimplementedCartServiceServer
}

func (cartServer) GetCart(context.Context, *oteldemo.GetCartRequest) (*oteldemo.Cart, error) {
	return &oteldemo.Cart{}, nil
}

// BenchmarkClientCall is a call over the loopback and what observing it adds. The server is in the same process, so that
// its allocations count, too, and are the same for all.
func BenchmarkClientCall(b *testing.B) {
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	p := func() providers {
		return providers{
			traces: sdktrace.NewTracerProvider(),
			meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
			logs:   silent().logs,
		}
	}
	for name, options := range map[string]func() []grpc.DialOption{
		"unobserved": func() []grpc.DialOption { return nil },
		"none":       assemble(silent(), both, nil, newDialect(dialectApp), conventions{rpc: []rpcConvention{oldRPC()}}).DialOptions,
		"ours":       assemble(p(), both, nil, newDialect(dialectApp), conventions{rpc: []rpcConvention{oldRPC()}}).DialOptions,
		"ours, dup":  assemble(p(), both, nil, newDialect(dialectApp), conventions{rpc: []rpcConvention{oldRPC(), stableRPC()}}).DialOptions,
		"otelgrpc": func() []grpc.DialOption {
			p := p()
			return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(
				otelgrpc.WithTracerProvider(p.traces), otelgrpc.WithMeterProvider(p.meters), otelgrpc.WithPropagators(both)))}
		},
	} {
		b.Run(name, func(b *testing.B) {
			addr := nettest.ServeGRPC(b, func(s *grpc.Server) { oteldemo.RegisterCartServiceServer(s, cartServer{}) })
			client := oteldemo.NewCartServiceClient(nettest.DialGRPC(b, addr, options()...))
			request := &oteldemo.GetCartRequest{UserId: "u"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.GetCart(b.Context(), request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOrder is what observing an order costs, but for its calls: its span, its line of the log, its metrics, and
// twelve steps.
func BenchmarkOrder(b *testing.B) {
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	for _, names := range []string{dialectApp, dialectDemo, dialectBoth} {
		b.Run(names, func(b *testing.B) {
			p := providers{
				traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(maskedSpans{nowhere{}})),
				meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
				logs:   sdklog.NewLoggerProvider(sdklog.WithProcessor(maskedLogs{})),
			}
			logger := toBoth(toStdout(io.Discard, slog.LevelInfo), p.logs, slog.LevelInfo)
			tel := assemble(p, both, logger, newDialect(names), conventions{})
			o, step := sample(b), tel.Timed(Services{Cart: world{}}).Cart
			placer := tel.Placer(placeFunc(func(ctx context.Context, req order.Request) (*order.Order, error) {
				for range 12 {
					if err := step.Empty(ctx, "u"); err != nil {
						return nil, err
					}
				}
				o.Created, o.Trace = time.Now(), req.Trace
				return o, nil
			}))
			b.ReportAllocs()
			for b.Loop() {
				ctx, span := tel.tracer.Start(b.Context(), "PlaceOrder")
				if _, err := placer.Place(ctx, request()); err != nil {
					b.Fatal(err)
				}
				span.End()
			}
		})
	}
}
