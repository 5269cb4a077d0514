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

// What contrib's runtime metrics leave out of the conventions for Go, which is what tells a heap that is too small for its
// limit: how often garbage is collected, what that takes of the processors, and what has to wait for it.

// processorTime is where the runtime's processor time goes, by the conventions' names and the runtime's own.
func processorTime() map[string]string {
	return map[string]string{
		"user":     "/cpu/classes/user:cpu-seconds",
		"gc":       "/cpu/classes/gc/total:cpu-seconds",
		"scavenge": "/cpu/classes/scavenge/total:cpu-seconds",
		"idle":     "/cpu/classes/idle:cpu-seconds",
	}
}

// observeRuntime reports them, but for what is a histogram. The runtime counts processor time at the end of each collection
// of garbage: it may lag behind by as much as two minutes.
func (t *Telemetry) observeRuntime() {
	cycles, cpu := t.observedCounter(goCycles), t.observedSeconds(goCPU)
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

// distributions tells how long collections of garbage have stopped the world, and how long goroutines have waited for a
// processor. The runtime keeps histograms of that, which no instrument takes. Contrib has a producer for the second: in the
// runtime's own 160 buckets, which is more than all other series of the process together.
type distributions struct {
	since time.Time
	of    [2]instrument
}

func newDistributions() distributions {
	return distributions{time.Now(), [2]instrument{instrumentOf(goPause), instrumentOf(goSchedule)}}
}

// Produce implements sdkmetric.Producer.
func (d distributions) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	samples := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/latencies:seconds"}}
	metrics.Read(samples)
	now := time.Now()
	told := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: scope}}
	for n, sample := range samples {
		if sample.Value.Kind() != metrics.KindFloat64Histogram {
			continue // an error would cost the whole export
		}
		i := d.of[n]
		point := rebucket(sample.Value.Float64Histogram(), i.buckets)
		point.StartTime, point.Time = d.since, now
		told.Metrics = append(told.Metrics, metricdata.Metrics{
			Name: i.name, Description: i.text, Unit: i.unit,
			Data: metricdata.Histogram[float64]{
				Temporality: metricdata.CumulativeTemporality,
				DataPoints:  []metricdata.HistogramDataPoint[float64]{point},
			},
		})
	}
	return []metricdata.ScopeMetrics{told}, nil
}

var _ sdkmetric.Producer = distributions{}

// rebucket puts a histogram of the runtime's into the given buckets. A value counts as the lower bound of where it lay,
// so that the sum is too small rather than too large.
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
