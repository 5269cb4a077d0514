package telemetry

import (
	"context"
	"runtime/metrics"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// The runtime metrics that contrib lacks show a heap that is too small for its limit: how often garbage is collected, what
// that takes of the processors, and what has to wait for it.

// processorTime is the runtime's classes of processor time, by their names in the conventions.
func processorTime() map[string]string {
	return map[string]string{
		"user":     "/cpu/classes/user:cpu-seconds",
		"gc":       "/cpu/classes/gc/total:cpu-seconds",
		"scavenge": "/cpu/classes/scavenge/total:cpu-seconds",
		"idle":     "/cpu/classes/idle:cpu-seconds",
	}
}

// observeRuntime reports those that are no histograms. The runtime counts processor time at the end of a garbage collection:
// it may lag by two minutes.
func (t *Telemetry) observeRuntime() {
	cycles, cpu := described(t.meter.Int64ObservableCounter, goCycles), described(t.meter.Float64ObservableCounter, goCPU)
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	states := []metric.MeasurementOption{nil}
	for state, name := range processorTime() {
		samples = append(samples, metrics.Sample{Name: name})
		states = append(states, measurement(goCPUState.String(state)))
	}
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := slices.Clone(samples) // callbacks may run side by side
		metrics.Read(now)
		for i, sample := range now {
			switch sample.Value.Kind() {
			case metrics.KindUint64:
				o.ObserveInt64(cycles, int64(sample.Value.Uint64())) //nolint:gosec // a count
			case metrics.KindFloat64:
				o.ObserveFloat64(cpu, sample.Value.Float64(), states[i])
			case metrics.KindBad, metrics.KindFloat64Histogram: // an error would cost the whole export
			}
		}
		return nil
	}, cycles, cpu))
}

// distributions produces the runtime's histograms of GC pauses and of scheduling latencies, which no instrument takes.
// Contrib has a producer of the latter, in 160 buckets: more than all other series of the process together.
type distributions struct {
	since time.Time
	table map[string]instrument
}

func newDistributions() distributions { return distributions{time.Now(), instruments()} }

func (d distributions) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	names := []string{goPause, goSchedule}
	samples := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/latencies:seconds"}}
	metrics.Read(samples)
	produced := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: scope}}
	for n, sample := range samples {
		if sample.Value.Kind() != metrics.KindFloat64Histogram {
			continue // an error would cost the whole export
		}
		i := d.table[names[n]]
		point := rebucket(sample.Value.Float64Histogram(), i.buckets)
		point.StartTime, point.Time = d.since, time.Now()
		produced.Metrics = append(produced.Metrics, metricdata.Metrics{
			Name: names[n], Description: i.text, Unit: i.unit,
			Data: metricdata.Histogram[float64]{
				Temporality: metricdata.CumulativeTemporality,
				DataPoints:  []metricdata.HistogramDataPoint[float64]{point},
			},
		})
	}
	return []metricdata.ScopeMetrics{produced}, nil
}

var _ sdkmetric.Producer = distributions{}

// rebucket converts a histogram of the runtime to the given buckets. Values count as the lower bound of their bucket, so that
// the sum is too small rather than too large.
func rebucket(h *metrics.Float64Histogram, bounds []float64) metricdata.HistogramDataPoint[float64] {
	point := metricdata.HistogramDataPoint[float64]{Bounds: bounds, BucketCounts: make([]uint64, len(bounds)+1)}
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		lower := max(h.Buckets[i], 0) // the first may be -Inf
		bucket, _ := slices.BinarySearch(bounds, lower)
		point.BucketCounts[bucket] += n
		point.Count += n
		point.Sum += lower * float64(n)
	}
	return point
}
