package telemetry

import (
	"context"
	"slices"
	"sync"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// counted is how many values of a.metric were counted.
func counted(scopes []metricdata.ScopeMetrics) (n uint64) {
	for _, scope := range scopes {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[int64]); ok && m.Name == "a.metric" {
				for _, point := range h.DataPoints {
					n += point.Count
				}
			}
		}
	}
	return n
}

func TestMetricsAreCollectedInTheProcessWhateverIsExported(t *testing.T) {
	for name, variables := range map[string][]string{
		"on stdout": {"OTEL_METRICS_EXPORTER", "console", "OTEL_TRACES_EXPORTER", "none", "OTEL_LOGS_EXPORTER", "none"},
		"nowhere":   {"OTEL_METRICS_EXPORTER", "none", "OTEL_TRACES_EXPORTER", "none", "OTEL_LOGS_EXPORTER", "none"},
		"disabled":  {"OTEL_SDK_DISABLED", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(variables); i += 2 {
				t.Setenv(variables[i], variables[i+1])
			}
			tel := Start(t.Context(), Options{Getenv: environ(variables...), Stdout: new(syncBuffer), Collect: true})
			size := tel.size("a.metric")
			for n := range uint64(3) {
				size.Record(t.Context(), 1)
				got, err := tel.Collect(t.Context())
				if all := counted(got); err != nil || all != n+1 {
					t.Errorf("collected %d values, %v; want %d", all, err, n+1)
				}
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsNotKeptIsNotCollected(t *testing.T) {
	tel := startWith(t, new(syncBuffer), "OTEL_SDK_DISABLED", "true")
	if _, err := tel.Collect(t.Context()); err == nil {
		t.Error("metrics were collected that nobody keeps")
	}
}

// exported keeps how many values it was given.
type exported struct {
	consoleMetrics

	temporality metricdata.Temporality
	mu          sync.Mutex
	counts      []uint64
}

func (e *exported) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality { return e.temporality }

func (e *exported) Export(_ context.Context, m *metricdata.ResourceMetrics) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts = append(e.counts, counted(m.ScopeMetrics))
	return nil
}

func TestCollectingTakesNothingFromTheExport(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		temporality metricdata.Temporality
		want        []uint64 // values in each export
		readers     int
	}{
		"of totals": {metricdata.CumulativeTemporality, []uint64{2, 3}, 1},
		"of deltas": {metricdata.DeltaTemporality, []uint64{2, 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := &exported{temporality: test.temporality}
			all, local := readers(to, true)
			if len(all) != test.readers {
				t.Errorf("%d readers, want %d", len(all), test.readers)
			}
			provider := sdkmetric.NewMeterProvider(all...)
			size := made(provider.Meter(scope).Int64Histogram("a.metric"))
			collect := func(want uint64) {
				t.Helper()
				var m metricdata.ResourceMetrics
				if err := local.Collect(t.Context(), &m); err != nil || counted(m.ScopeMetrics) != want {
					t.Errorf("collected %d, %v; want %d", counted(m.ScopeMetrics), err, want)
				}
			}
			size.Record(t.Context(), 1)
			collect(1)
			size.Record(t.Context(), 1)
			collect(2)
			if err := provider.ForceFlush(t.Context()); err != nil {
				t.Fatal(err)
			}
			size.Record(t.Context(), 1)
			collect(3)
			if err := provider.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(to.counts, test.want) {
				t.Errorf("exported %v values, want %v", to.counts, test.want)
			}
		})
	}
}
