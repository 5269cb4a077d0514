package telemetry

import (
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestTheProcessTellsWhatItTakes(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.observeProcess()
	runtime.GC()
	got := r.metrics(t)
	if !strings.HasPrefix(got[goCycles], "{gc_cycle}\n") || strings.HasPrefix(got[goCycles], "{gc_cycle}\n0\n") {
		t.Errorf("%s is %q, want one at least", goCycles, got[goCycles])
	}
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

func TestPausesAreToldInFewBuckets(t *testing.T) {
	t.Parallel()
	runtime.GC()
	told, err := pauses{}.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	point := told[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints[0]
	var sum uint64
	for _, n := range point.BucketCounts {
		sum += n
	}
	if told[0].Metrics[0].Name != goPause || point.Count == 0 || sum != point.Count {
		t.Errorf("told %+v, want some pauses", told)
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
