// Package stats serves checkout.v1.StatsService: the metrics that the process exports, read from the same instruments.
package stats

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// Server is a checkoutv1.StatsServiceServer. It costs nothing while it is not called.
type Server struct {
	checkoutv1.UnimplementedStatsServiceServer

	// Collect reads the metrics, counted since Started.
	Collect func(context.Context) ([]metricdata.ScopeMetrics, error)
	Started time.Time
	// Record names the record of orders. Processes that share it use the same name.
	Record string
	// Manual are the states in which an order requires manual action.
	Manual []order.State
}

// GetStats implements checkoutv1.StatsServiceServer.
func (s *Server) GetStats(ctx context.Context, req *checkoutv1.GetStatsRequest) (*checkoutv1.Stats, error) {
	scopes, err := s.Collect(ctx)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "metrics cannot be read: %v", err)
	}
	stats := &checkoutv1.Stats{Time: timestamppb.Now(), StartTime: timestamppb.New(s.Started), Record: s.Record}
	for _, state := range s.Manual {
		stats.ManualStates = append(stats.ManualStates, checkoutv1.OrderState(state))
	}
	for _, scope := range scopes {
		for _, m := range scope.Metrics {
			if names := req.GetNames(); len(names) == 0 || slices.Contains(names, m.Name) {
				stats.Metrics = append(stats.Metrics, messageOf(m))
			}
		}
	}
	return stats, nil
}

func messageOf(m metricdata.Metrics) *checkoutv1.Stats_Metric {
	is := &checkoutv1.Stats_Metric{Name: m.Name, Unit: m.Unit}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		is.Cumulative, is.Points = data.IsMonotonic, values(data.DataPoints)
	case metricdata.Sum[float64]:
		is.Cumulative, is.Points = data.IsMonotonic, values(data.DataPoints)
	case metricdata.Gauge[int64]:
		is.Points = values(data.DataPoints)
	case metricdata.Gauge[float64]:
		is.Points = values(data.DataPoints)
	case metricdata.Histogram[int64]:
		is.Cumulative, is.Points = true, histograms(data.DataPoints)
	case metricdata.Histogram[float64]:
		is.Cumulative, is.Points = true, histograms(data.DataPoints)
	}
	return is
}

func values[N int64 | float64](from []metricdata.DataPoint[N]) (points []*checkoutv1.Stats_Point) {
	for _, p := range from {
		points = append(points, &checkoutv1.Stats_Point{Attributes: attributes(p.Attributes), Value: float64(p.Value)})
	}
	return points
}

func histograms[N int64 | float64](from []metricdata.HistogramDataPoint[N]) (points []*checkoutv1.Stats_Point) {
	for _, p := range from {
		points = append(points, &checkoutv1.Stats_Point{
			Attributes: attributes(p.Attributes), Value: float64(p.Sum), Bounds: p.Bounds, Counts: p.BucketCounts,
		})
	}
	return points
}

func attributes(set attribute.Set) map[string]string {
	all := make(map[string]string, set.Len())
	for _, a := range set.ToSlice() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}
