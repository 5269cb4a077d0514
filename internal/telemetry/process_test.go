package telemetry

import (
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"checkout/internal/container"
)

func TestTheProcessTellsWhatItTakes(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.observeProcess()
	got := r.metrics(t)
	if runtime.GOOS != "linux" {
		t.Skip("the rest is told on Linux alone")
	}
	u, ok := readUsage()
	if !ok || u.user+u.system <= 0 || u.memory < 1<<20 || u.descriptors < 3 {
		t.Errorf("usage is %+v, %t: want more", u, ok)
	}
	for _, name := range []string{processCPU, processMemory, processDescriptors} {
		if got[name] == "" {
			t.Errorf("no %s among the metrics", name)
		}
	}
}

func TestTheRuntimeTellsWhatCollectingGarbageTakes(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.observeRuntime()
	runtime.GC()
	got := r.metrics(t)
	if !strings.HasPrefix(got[goCycles], "{gc_cycle}\n") || strings.HasPrefix(got[goCycles], "{gc_cycle}\n0\n") {
		t.Errorf("%s is %q, want one at least", goCycles, got[goCycles])
	}
	for state := range processorTime() {
		if !strings.Contains(got[goCPU], "  string go.cpu.state="+state+"\n") {
			t.Errorf("%s is %q, want it of the state %s too", goCPU, got[goCPU], state)
		}
	}
	if strings.Contains(got[goCPU], "\n0\n  string go.cpu.state=gc\n") {
		t.Errorf("%s is %q, want some time for the collection", goCPU, got[goCPU])
	}
}

func TestPausesAndWaitsHaveFewBuckets(t *testing.T) {
	t.Parallel()
	runtime.GC()
	told, err := newDistributions().Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{goPause, goSchedule}
	for i, m := range told[0].Metrics {
		point := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
		var sum uint64
		for _, n := range point.BucketCounts {
			sum += n
		}
		if m.Name != want[i] || point.Count == 0 || sum != point.Count || len(point.Bounds) > 12 {
			t.Errorf("told %+v, want some of %s", m, want[i])
		}
	}
	if len(told[0].Metrics) != len(want) {
		t.Errorf("told %d distributions, want %d", len(told[0].Metrics), len(want))
	}
}

func TestAHistogramOfTheRuntimeIsPutIntoOurBuckets(t *testing.T) {
	t.Parallel()
	h := &metrics.Float64Histogram{
		Counts:  []uint64{1, 0, 2, 3, 4},
		Buckets: []float64{math.Inf(-1), 0, 1, 2, 30, math.Inf(1)},
	}
	got := rebucket(h, []float64{1, 10})
	if diff := cmp.Diff([]uint64{3, 3, 4}, got.BucketCounts); diff != "" || got.Count != 10 || got.Sum != 1*2+2*3+30*4 {
		t.Errorf("%d values of the sum %v; counts (-want +got):\n%s", got.Count, got.Sum, diff)
	}
}

// BenchmarkCollect is what one export of metrics costs the process for what is asked of the runtime and the kernel.
func BenchmarkCollect(b *testing.B) {
	for name, observe := range map[string]func(*Telemetry){
		"process":   (*Telemetry).observeProcess,
		"runtime":   (*Telemetry).observeRuntime,
		"container": func(t *Telemetry) { t.observeContainer(container.OwnMemory) },
	} {
		b.Run(name, func(b *testing.B) {
			r := record(b)
			observe(r.Telemetry)
			var m metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				if err := r.reader.Collect(b.Context(), &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("distributions", func(b *testing.B) {
		b.ReportAllocs()
		d := newDistributions()
		for b.Loop() {
			if _, err := d.Produce(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
