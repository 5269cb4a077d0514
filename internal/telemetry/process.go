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

// usage is what the process takes of the machine.
type usage struct {
	user, system time.Duration
	memory       int64 // bytes
	descriptors  int64 // open ones
}

// observeProcess reports what contrib's runtime metrics leave out: what the process takes of the machine, where the
// system tells it, and how often garbage is collected.
func (t *Telemetry) observeProcess() {
	cpu, memory, descriptors := t.observedSeconds(processCPU), t.observedLevel(processMemory), t.observedLevel(processDescriptors)
	user, system := measurement(cpuMode.String("user")), measurement(cpuMode.String("system"))
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		u, ok := readUsage()
		if !ok {
			return nil // an error would cost the whole export
		}
		o.ObserveFloat64(cpu, u.user.Seconds(), user)
		o.ObserveFloat64(cpu, u.system.Seconds(), system)
		o.ObserveInt64(memory, u.memory)
		o.ObserveInt64(descriptors, u.descriptors)
		return nil
	}, cpu, memory, descriptors))

	cycles := t.observedCounter(goCycles)
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if v := read("/gc/cycles/total:gc-cycles"); v.Kind() == metrics.KindUint64 {
			o.ObserveInt64(cycles, int64(v.Uint64())) //nolint:gosec // a count
		}
		return nil
	}, cycles))
}

// read asks the runtime.
func read(name string) metrics.Value {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value
}

// pauses tells how long the collector of garbage has stopped the world. The runtime keeps a histogram of that, which no
// instrument takes.
type pauses struct{ since time.Time }

// Produce implements sdkmetric.Producer.
func (p pauses) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	v := read("/sched/pauses/total/gc:seconds")
	if v.Kind() != metrics.KindFloat64Histogram {
		return nil, nil // an error would cost the whole export
	}
	point := rebucket(v.Float64Histogram(), pauseBuckets())
	point.StartTime, point.Time = p.since, time.Now()
	i := instrumentOf(goPause)
	return []metricdata.ScopeMetrics{{
		Scope: instrumentation.Scope{Name: scope},
		Metrics: []metricdata.Metrics{{
			Name: i.name, Description: i.text, Unit: i.unit,
			Data: metricdata.Histogram[float64]{
				Temporality: metricdata.CumulativeTemporality,
				DataPoints:  []metricdata.HistogramDataPoint[float64]{point},
			},
		}},
	}}, nil
}

var _ sdkmetric.Producer = pauses{}

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
