package telemetry

import (
	"context"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"checkout/gen/oteldemo"
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
		"none":       assemble(silent(), both, nil, []rpcConvention{oldRPC()}).DialOptions,
		"ours":       assemble(p(), both, nil, []rpcConvention{oldRPC()}).DialOptions,
		"ours, dup":  assemble(p(), both, nil, []rpcConvention{oldRPC(), stableRPC()}).DialOptions,
		"otelgrpc": func() []grpc.DialOption {
			p := p()
			return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(
				otelgrpc.WithTracerProvider(p.traces), otelgrpc.WithMeterProvider(p.meters), otelgrpc.WithPropagators(both)))}
		},
	} {
		b.Run(name, func(b *testing.B) {
			addr := startServer(b, func(s *grpc.Server) { oteldemo.RegisterCartServiceServer(s, cartServer{}) })
			client := oteldemo.NewCartServiceClient(dial(b, addr, options()...))
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
