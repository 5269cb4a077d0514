package demo

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	logscollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"checkout/internal/test/nettest"
)

// update rewrites the golden files.
var update = flag.Bool("update", false, "rewrite the golden files")

const remoteParent = 0x300

// span makes a span of trace "1", from and to milliseconds after the beginning.
func span(id, parent, name string, from, to float64) *trace.Span {
	s := &trace.Span{
		TraceId: []byte("1"), SpanId: []byte(id), Name: name,
		StartTimeUnixNano: at(from), EndTimeUnixNano: at(to),
	}
	if parent != "" {
		s.ParentSpanId = []byte(parent)
	}
	return s
}

func at(ms float64) uint64 {
	return uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()) + uint64(ms*1e6)
}

func export(t *testing.T, c *Collector, spans ...*trace.Span) {
	t.Helper()
	_, err := tracecollector.NewTraceServiceClient(nettest.DialGRPC(t, c.Address())).Export(soon(t), &tracecollector.ExportTraceServiceRequest{
		ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: "checkout"}, Spans: spans,
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCollectorKeepsAllThreeSignals(t *testing.T) {
	t.Parallel()
	c := open(t, newCollector)
	export(t, c, span("a", "", "PlaceOrder", 0, 1))
	conn := nettest.DialGRPC(t, c.Address())
	_, err := metricscollector.NewMetricsServiceClient(conn).Export(soon(t), &metricscollector.ExportMetricsServiceRequest{
		ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{{Name: "orders"}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = logscollector.NewLogsServiceClient(conn).Export(soon(t), &logscollector.ExportLogsServiceRequest{
		ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{SeverityText: "INFO"}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}

	if got := c.Spans(); len(got) != 1 || got[0].GetName() != "PlaceOrder" || got[0].Scope != "checkout" {
		t.Errorf("spans %v", got)
	}
	if got := c.Metrics(); len(got) != 1 || got[0].GetName() != "orders" {
		t.Errorf("metrics %v", got)
	}
	if got := c.Logs(); len(got) != 1 || got[0].GetSeverityText() != "INFO" {
		t.Errorf("logs %v", got)
	}
}

func TestATraceIsCompleteWhenItsNamesAndParentsAreThere(t *testing.T) {
	t.Parallel()
	c := open(t, newCollector)
	root := span("root", "browser", "PlaceOrder", 0, 9)
	root.Flags = remoteParent
	other := span("x", "", "of another trace", 0, 1)
	other.TraceId = []byte("2")
	id := hex.EncodeToString([]byte("1"))
	steps := []struct {
		arrives *trace.Span
		whole   bool
	}{
		{span("child", "parent", "charge", 2, 3), false},
		{span("parent", "root", "pay", 1, 4), false},
		{root, false},
		{other, false},
		{span("late", "root", "publish", 5, 6), true},
	}
	for _, step := range steps {
		export(t, c, step.arrives)
		ctx := soon(t)
		if !step.whole {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
		}
		spans, err := c.AwaitTrace(ctx, id, "PlaceOrder", "publish")
		if step.whole != (err == nil) || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: error %v", step.arrives.GetName(), err)
		}
		if step.whole && (len(spans) != 4 || spans[0].GetName() != "PlaceOrder") {
			t.Errorf("the trace is %v", spans)
		}
	}
}

func TestWaterfall(t *testing.T) {
	t.Parallel()
	c := open(t, newCollector)
	place := span("root", "browser", "oteldemo.CheckoutService/PlaceOrder", 0, 20)
	place.Events = []*trace.Span_Event{{Name: "prepared", TimeUnixNano: at(8)}, {Name: "charged", TimeUnixNano: at(14.5)}}
	ship := span("ship", "root", "HTTP POST", 15, 19.5)
	ship.Attributes = []*common.KeyValue{
		{Key: "http.request.method", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "POST"}}},
		{Key: "url.full", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "http://shipping:50050/ship-order"}}},
	}
	ship.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR}
	export(t, c,
		span("quote", "prep", "HTTP POST", 2, 7.5),
		span("prep", "root", "prepareOrderItemsAndShippingQuoteFromCart", 0.1, 8),
		span("cart", "prep", "oteldemo.CartService/GetCart", 0.2, 2),
		span("charge", "root", "oteldemo.PaymentService/Charge", 8.1, 14.4),
		ship, place,
		span("publish", "root", "orders publish", 20.5, 20.5),
	)

	got := Waterfall(c.Trace(hex.EncodeToString([]byte("1"))), 40)

	golden := filepath.Join("testdata", "waterfall.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestRowsAreTheWaterfallForThoseWhoDrawIt(t *testing.T) {
	t.Parallel()
	place := span("root", "", "PlaceOrder", 0, 20)
	place.Events = []*trace.Span_Event{{Name: "charged", TimeUnixNano: at(14.5)}}
	charge := span("charge", "prep", "Charge", 8, 14)
	charge.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR}
	var spans []Span
	for _, s := range []*trace.Span{place, span("prep", "root", "prepare", 1, 15), charge} {
		spans = append(spans, Span{Span: s})
	}
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	want := []Row{
		{Name: "PlaceOrder", Length: ms(20)},
		{Name: "charged", Depth: 1, Start: ms(14.5), Event: true},
		{Name: "prepare", Depth: 1, Start: ms(1), Length: ms(14)},
		{Name: "Charge", Depth: 2, Start: ms(8), Length: ms(6), Failed: true},
	}
	if diff := cmp.Diff(want, Rows(spans), cmpopts.IgnoreUnexported(Row{})); diff != "" {
		t.Error(diff)
	}
	if rows := Rows(nil); rows != nil {
		t.Errorf("of no spans: %v", rows)
	}
}

func TestTracesThatAreLinkedToOneAreFound(t *testing.T) {
	t.Parallel()
	c := open(t, newCollector)
	later := func(id string, from float64, to ...string) *trace.Span {
		s := span(id, "", "resume", from, from+1)
		s.TraceId = []byte(id)
		for _, other := range to {
			s.Links = append(s.Links, &trace.Span_Link{TraceId: []byte(other)})
		}
		return s
	}
	export(t, c, span("root", "", "PlaceOrder", 0, 1), later("c", 9, "1"), later("b", 5, "x", "1"), later("b", 6, "1"), later("d", 3, "x"), later("1", 4, "1"))
	want := []string{hex.EncodeToString([]byte("b")), hex.EncodeToString([]byte("c"))}
	if diff := cmp.Diff(want, c.Linked(hex.EncodeToString([]byte("1")))); diff != "" {
		t.Error(diff)
	}
}

func TestWaterfallOfVeryLittle(t *testing.T) {
	t.Parallel()
	if got := Waterfall(nil, 40); got != "(no spans)\n" {
		t.Errorf("no spans: %q", got)
	}
	alone := []Span{{Span: span("a", "", "now", 1, 1)}}
	if got, want := Waterfall(alone, 0), "now    0.0 ms    0.0 ms │█\n"; got != want {
		t.Errorf("a moment: %q, want %q", got, want)
	}
}
