package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"checkout/internal/test/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recording is telemetry that can be looked at.
type recording struct {
	*Telemetry
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
	logs   *logRecorder
	stdout *syncBuffer
	end    ends

	logProvider *sdklog.LoggerProvider
}

// record records in the names of the release 2.1, with RPCs by the conventions given.
func record(t testing.TB, rpcs ...rpcConvention) *recording {
	t.Helper()
	c := silentEnv().conventions()
	if rpcs != nil {
		c.rpc = rpcs
	}
	return recordIn(t, dialectApp, c)
}

// silentEnv is an environment in which nothing is set.
func silentEnv() env { return env{Options{Getenv: environ()}, slog.New(slog.DiscardHandler)} }

func recordIn(t testing.TB, names string, c conventions) *recording {
	t.Helper()
	r := &recording{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), logs: new(logRecorder), stdout: new(syncBuffer), end: make(ends, 1000)}
	r.logProvider = sdklog.NewLoggerProvider(sdklog.WithProcessor(maskedLogs{}), sdklog.WithProcessor(sdklog.NewSimpleProcessor(r.logs)))
	p := providers{
		traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(maskedSpans{r.spans}), sdktrace.WithSpanProcessor(r.end)),
		meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader)),
		logs:   r.logProvider,
	}
	logger := toBoth(toStdout(r.stdout, slog.LevelInfo), p.logs, slog.LevelInfo)
	r.Telemetry = assemble(p, silentEnv().propagator(), logger, newDialect(names), c)
	t.Cleanup(func() {
		if err := r.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("shut down: %v", err)
		}
	})
	return r
}

// ended are the spans that have ended, by name and kind.
func (r *recording) ended() map[string]sdktrace.ReadOnlySpan {
	spans := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range r.spans.Ended() {
		spans[s.SpanKind().String()+" "+s.Name()] = s
	}
	return spans
}

// span is the only span of that kind and name.
func (r *recording) span(t *testing.T, kindAndName string) sdktrace.ReadOnlySpan {
	t.Helper()
	s, ok := r.ended()[kindAndName]
	if !ok {
		t.Fatalf("no span %q among %v", kindAndName, slices.Sorted(maps.Keys(r.ended())))
	}
	return s
}

// waitFor waits until n spans have ended: a server's span may end after its client has the answer.
func (r *recording) waitFor(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-r.end:
		case <-t.Context().Done():
			t.Fatalf("%d spans have ended, want %d", len(r.spans.Ended()), n)
		}
	}
}

// ends tells of every span that ends.
type ends chan struct{}

func (ends) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (e ends) OnEnd(sdktrace.ReadOnlySpan)                   { e <- struct{}{} }
func (ends) Shutdown(context.Context) error                  { return nil }
func (ends) ForceFlush(context.Context) error                { return nil }

// withBaggage is ctx with baggage, as a header has it.
func withBaggage(t *testing.T, ctx context.Context, header string) context.Context {
	t.Helper()
	bag, err := baggage.Parse(header)
	if err != nil {
		t.Fatal(err)
	}
	return baggage.ContextWithBaggage(ctx, bag)
}

// describe writes a span as text, with what changes from run to run left out.
func describe(s sdktrace.ReadOnlySpan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", s.SpanKind(), s.Name())
	if st := s.Status(); st.Code != codes.Unset {
		fmt.Fprintf(&b, "  status %s %q\n", st.Code, st.Description)
	}
	b.WriteString(attributes("  ", s.Attributes()))
	for _, e := range s.Events() {
		fmt.Fprintf(&b, "  event %s\n%s", e.Name, attributes("    ", e.Attributes))
	}
	return b.String()
}

func attributes(indent string, attrs []attribute.KeyValue) string {
	var lines []string
	for _, a := range attrs {
		value := a.Value.String()
		switch {
		case strings.HasSuffix(string(a.Key), ".port") || strings.HasSuffix(string(a.Key), "duration_ms"):
			value = "#"
		case a.Key == urlFull:
			value = regexp.MustCompile(`:\d+`).ReplaceAllString(value, ":#")
		}
		lines = append(lines, fmt.Sprintf("%s%s %s=%s\n", indent, strings.ToLower(a.Value.Type().String()), a.Key, value))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// collect are the recorded metrics, by name.
func (r *recording) collect(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	var m metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &m); err != nil {
		t.Fatalf("collect: %v", err)
	}
	all := map[string]metricdata.Metrics{}
	for _, s := range m.ScopeMetrics {
		for _, metric := range s.Metrics {
			all[metric.Name] = metric
		}
	}
	return all
}

// metrics are the recorded metrics: name, unit, and the attributes of every point.
func (r *recording) metrics(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, metric := range r.collect(t) {
		out[name] = metric.Unit + "\n" + points(metric.Data)
	}
	return out
}

func points(data metricdata.Aggregation) string {
	var all []string
	switch data := data.(type) {
	case metricdata.Histogram[float64]:
		all = histogram(data.DataPoints)
	case metricdata.Histogram[int64]:
		all = histogram(data.DataPoints)
	case metricdata.Sum[int64]:
		all = values(data.DataPoints)
	case metricdata.Sum[float64]:
		all = values(data.DataPoints)
	case metricdata.Gauge[int64]:
		all = values(data.DataPoints)
	case metricdata.Gauge[float64]:
		all = values(data.DataPoints)
	default:
		all = append(all, fmt.Sprintf("%T", data))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func histogram[N int64 | float64](points []metricdata.HistogramDataPoint[N]) (all []string) {
	for _, p := range points {
		all = append(all, fmt.Sprintf("%d ×\n%s", p.Count, attributes("  ", p.Attributes.ToSlice())))
	}
	return all
}

func values[N int64 | float64](points []metricdata.DataPoint[N]) (all []string) {
	for _, p := range points {
		all = append(all, fmt.Sprintf("%v\n%s", p.Value, attributes("  ", p.Attributes.ToSlice())))
	}
	return all
}

// lines is the log on stdout.
func (r *recording) lines(t *testing.T) []map[string]any { return r.stdout.lines(t) }

// logRecorder keeps log records.
type logRecorder struct {
	mu      sync.Mutex
	records []sdklog.Record
}

func (l *logRecorder) Export(_ context.Context, records []sdklog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.records = append(l.records, r.Clone())
	}
	return nil
}

func (*logRecorder) Shutdown(context.Context) error   { return nil }
func (*logRecorder) ForceFlush(context.Context) error { return nil }

// text writes the records as "SEVERITY body attributes".
func (l *logRecorder) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, r := range l.records {
		fmt.Fprintf(&b, "%s %s%s\n", r.Severity(), r.EventName(), r.Body().AsString())
		var attrs []attribute.KeyValue
		r.WalkAttributes(func(kv attribute.KeyValue) bool {
			attrs = append(attrs, kv)
			return true
		})
		b.WriteString(attributes("  ", attrs))
	}
	return b.String()
}

// syncBuffer is a stdout that several goroutines may use.
type syncBuffer struct{ output.Buffer }

func (s *syncBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(s.String()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("stdout has a line that is not JSON: %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func environ(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}
