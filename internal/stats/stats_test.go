package stats

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// serve returns a server of metrics of every kind.
func serve(t *testing.T) *Server {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	meter := provider.Meter("test")
	placed := metric.WithAttributes(attribute.String("outcome", "placed"))
	orders, err1 := meter.Int64Counter("orders")
	orders.Add(t.Context(), 3, placed)
	took, err2 := meter.Float64Histogram("took", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	took.Record(t.Context(), 0.5, placed)
	size, err3 := meter.Int64Histogram("size", metric.WithExplicitBucketBoundaries(10))
	size.Record(t.Context(), 20)
	level, err4 := meter.Int64UpDownCounter("level")
	level.Add(t.Context(), -2)
	age, err5 := meter.Float64Gauge("age", metric.WithUnit("s"))
	age.Record(t.Context(), 1.5)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	return &Server{
		Collect: func(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
			var m metricdata.ResourceMetrics
			err := reader.Collect(ctx, &m)
			return m.ScopeMetrics, err
		},
		Started: time.Unix(100, 0), Record: "a record", Manual: []order.State{order.Parked},
	}
}

func TestStatsAreTheMetricsThatAreExported(t *testing.T) {
	t.Parallel()
	got, err := serve(t).GetStats(t.Context(), &checkoutv1.GetStatsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	placed := map[string]string{"outcome": "placed"}
	want := &checkoutv1.Stats{
		StartTime: timestamppb.New(time.Unix(100, 0)), Record: "a record", ManualStates: []checkoutv1.OrderState{checkoutv1.OrderState_PARKED},
		Metrics: []*checkoutv1.Stats_Metric{
			{Name: "orders", Cumulative: true, Points: []*checkoutv1.Stats_Point{{Attributes: placed, Value: 3}}},
			{Name: "took", Unit: "s", Cumulative: true, Points: []*checkoutv1.Stats_Point{
				{Attributes: placed, Value: 0.5, Bounds: []float64{0.1, 1}, Counts: []uint64{0, 1, 0}},
			}},
			{Name: "size", Cumulative: true, Points: []*checkoutv1.Stats_Point{{Value: 20, Bounds: []float64{10}, Counts: []uint64{0, 1}}}},
			{Name: "level", Points: []*checkoutv1.Stats_Point{{Value: -2}}},
			{Name: "age", Unit: "s", Points: []*checkoutv1.Stats_Point{{Value: 1.5}}},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "time")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyTheMetricsThatAreNamedAreReturned(t *testing.T) {
	t.Parallel()
	got, err := serve(t).GetStats(t.Context(), &checkoutv1.GetStatsRequest{Names: []string{"age", "unknown"}})
	if err != nil || len(got.GetMetrics()) != 1 || got.GetMetrics()[0].GetName() != "age" {
		t.Errorf("got %v, %v; want age alone", got.GetMetrics(), err)
	}
}

func TestMetricsThatCannotBeReadAreUnavailable(t *testing.T) {
	t.Parallel()
	s := &Server{Collect: func(context.Context) ([]metricdata.ScopeMetrics, error) { return nil, errors.New("shut down") }}
	if _, err := s.GetStats(t.Context(), nil); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
}
