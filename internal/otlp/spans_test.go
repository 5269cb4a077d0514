package otlp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// collector is a client that keeps what it is to send, as it would travel.
type collector struct {
	mu      sync.Mutex
	batches []*tracepb.ResourceSpans
	err     error
	hang    bool // until the time for it is over
	stopped bool
}

func (c *collector) Start(context.Context) error { return nil }

func (c *collector) Stop(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	return nil
}

func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	if c.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, s := range spans {
		wire, err := proto.Marshal(s)
		if err != nil {
			return err
		}
		read := new(tracepb.ResourceSpans)
		if err := proto.Unmarshal(wire, read); err != nil {
			return err
		}
		c.mu.Lock()
		c.batches = append(c.batches, read)
		c.mu.Unlock()
	}
	return c.err
}

// sizes are how many spans each batch had.
func (c *collector) sizes() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sizes []int
	for _, b := range c.batches {
		n := 0
		for _, s := range b.GetScopeSpans() {
			n += len(s.GetSpans())
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// errorLog keeps what Handle is told.
type errorLog struct {
	mu   sync.Mutex
	told []string
}

func (l *errorLog) handle(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, err.Error())
}

func start(t *testing.T, c *collector, o Options) (*Spans, *errorLog) {
	t.Helper()
	lost := new(errorLog)
	o.Handle = lost.handle
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Delay == 0 {
		o.Delay = 5 * time.Second
	}
	s, err := NewSpans(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, lost
}

func (s *Spans) end(t *testing.T) {
	t.Helper()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// about is a resource, of which there is one in a process.
var about = resource.NewWithAttributes("https://example.com/schema", attribute.String("service.name", "checkout"), attribute.Int("process.pid", 7))

func span(name string) sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{
		Name:        name,
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}),
		Resource:    about,
	}.Snapshot()
}

// TestSpansTravelAsOpenTelemetrysOwnExporterWritesThem holds what is written against what the exporter of the SDK writes.
func TestSpansTravelAsOpenTelemetrysOwnExporterWritesThem(t *testing.T) {
	t.Parallel()
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 500 {
		var spans []sdktrace.ReadOnlySpan
		for range 1 + r.IntN(4) {
			spans = append(spans, anySpan(r))
		}
		want, got := new(collector), new(collector)
		exporter := otlptrace.NewUnstarted(want)
		if err := exporter.ExportSpans(t.Context(), spans); err != nil {
			t.Fatal(err)
		}
		s, _ := start(t, got, Options{QueueSize: 100, BatchSize: 100})
		for _, one := range spans {
			s.OnEnd(one)
		}
		s.end(t)
		for _, c := range []*collector{want, got} { // the exporter's scopes come in any order
			slices.SortFunc(c.batches[0].GetScopeSpans(), func(a, b *tracepb.ScopeSpans) int {
				return cmp.Compare(a.GetScope().GetName(), b.GetScope().GetName())
			})
		}
		if len(got.batches) != 1 || !proto.Equal(want.batches[0], got.batches[0]) {
			t.Fatalf("seed %d, batch %d (-want +got):\n%s", seed, i, gocmp.Diff(want.batches, got.batches, protocmp.Transform()))
		}
	}
}

// anySpan is a span that has something of everything, or nothing.
func anySpan(r *rand.Rand) sdktrace.ReadOnlySpan {
	stub := tracetest.SpanStub{
		Name:        text(r),
		SpanContext: anyContext(r, "a=b"),
		SpanKind:    trace.SpanKind(r.IntN(6)),
		StartTime:   moment(r),
		EndTime:     moment(r),
		Attributes:  attributes(r, 1),
		Status:      sdktrace.Status{Code: []codes.Code{codes.Unset, codes.Ok, codes.Error}[r.IntN(3)], Description: text(r)},
		Resource:    about,
		InstrumentationScope: instrumentation.Scope{
			Name: []string{"a", "b", "c"}[r.IntN(3)], Version: "1", SchemaURL: "https://example.com/scope",
			Attributes: attribute.NewSet(attribute.String("of", "scope")),
		},
		DroppedAttributes: r.IntN(3), DroppedEvents: r.IntN(3), DroppedLinks: r.IntN(3),
	}
	if r.IntN(2) == 0 {
		stub.Parent = anyContext(r, "")
	}
	for range r.IntN(3) {
		stub.Events = append(stub.Events, sdktrace.Event{Name: text(r), Time: moment(r), Attributes: attributes(r, 1), DroppedAttributeCount: r.IntN(3)})
		stub.Links = append(stub.Links, sdktrace.Link{SpanContext: anyContext(r, ""), Attributes: attributes(r, 1), DroppedAttributeCount: r.IntN(3)})
	}
	return stub.Snapshot()
}

func anyContext(r *rand.Rand, state string) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: trace.TraceID{byte(r.IntN(256)), 1}, SpanID: trace.SpanID{byte(r.IntN(256)), 1}, TraceFlags: trace.FlagsSampled, Remote: r.IntN(2) == 0}
	if state != "" && r.IntN(2) == 0 {
		c.TraceState, _ = trace.ParseTraceState(state)
	}
	return trace.NewSpanContext(c)
}

func moment(r *rand.Rand) time.Time {
	if r.IntN(10) == 0 {
		return time.Time{}
	}
	return time.Unix(r.Int64N(4e9)-1e9, r.Int64N(1e9))
}

// text is short or long: what is longer than 127, and than 16383 bytes, has a length of more bytes itself.
func text(r *rand.Rand) string {
	switch r.IntN(100) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("long ", 30)
	case 2:
		return strings.Repeat("€", 6_000)
	}
	return fmt.Sprint("text ", r.IntN(1000))
}

func attributes(r *rand.Rand, depth int) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	for i := range r.IntN(6) {
		attrs = append(attrs, attribute.KeyValue{Key: attribute.Key(fmt.Sprint("key.", i)), Value: value(r, depth)})
	}
	return attrs
}

func value(r *rand.Rand, depth int) attribute.Value {
	kinds := 9
	if depth > 0 {
		kinds = 12
	}
	switch r.IntN(kinds) {
	case 0:
		return attribute.BoolValue(r.IntN(2) == 0)
	case 1:
		return attribute.Int64Value([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}[r.IntN(5)])
	case 2:
		return attribute.Float64Value([]float64{0, -0.5, 1e300, math.Inf(-1)}[r.IntN(4)])
	case 3:
		return attribute.StringValue(text(r))
	case 4:
		return attribute.StringSliceValue([]string{"", text(r)})
	case 5:
		return attribute.Int64SliceValue([]int64{0, -5})
	case 6:
		return attribute.BoolSliceValue([]bool{true, false})
	case 7:
		return attribute.Float64SliceValue([]float64{0, 2.5})
	case 8:
		return attribute.ByteSliceValue([]byte{0, 1, 255})
	case 9:
		return attribute.SliceValue(value(r, depth-1), value(r, depth-1))
	case 10:
		return attribute.MapValue(attribute.KeyValue{Key: "in", Value: value(r, depth-1)})
	}
	return attribute.Value{}
}

func TestALinkKeepsItsTraceState(t *testing.T) {
	t.Parallel()
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	stub := tracetest.SpanStubFromReadOnlySpan(span("linked"))
	stub.Links = []sdktrace.Link{{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceState: state})}}
	c := new(collector)
	s, _ := start(t, c, Options{QueueSize: 1, BatchSize: 1})
	s.OnEnd(stub.Snapshot())
	s.end(t)
	if got := c.batches[0].GetScopeSpans()[0].GetSpans()[0].GetLinks()[0].GetTraceState(); got != "vendor=1" {
		t.Errorf("the link's trace state is %q", got)
	}
}

func TestAFullBatchIsSentAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(collector)
		s, _ := start(t, c, Options{QueueSize: 100, BatchSize: 3})
		defer s.end(t)
		for range 7 {
			s.OnEnd(span("one"))
		}
		synctest.Wait()
		if diff := gocmp.Diff([]int{3, 3}, c.sizes()); diff != "" {
			t.Errorf("spans in the batches (-want +got):\n%s", diff)
		}
	})
}

func TestABatchThatIsNotFullIsSentAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(collector)
		s, _ := start(t, c, Options{QueueSize: 100, BatchSize: 10, Delay: 5 * time.Second})
		defer s.end(t)
		s.OnEnd(span("one"))
		time.Sleep(5*time.Second - time.Millisecond)
		synctest.Wait()
		if got := c.sizes(); got != nil {
			t.Errorf("sent %v before its time", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if diff := gocmp.Diff([]int{1}, c.sizes()); diff != "" {
			t.Errorf("spans in the batches (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsFlushedIsSentNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(collector)
		s, _ := start(t, c, Options{QueueSize: 100, BatchSize: 10})
		s.OnEnd(span("one"))
		if err := s.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]int{1}, c.sizes()); diff != "" {
			t.Errorf("spans in the batches (-want +got):\n%s", diff)
		}
		c.err = errors.New("no room")
		s.OnEnd(span("two"))
		if err := s.ForceFlush(t.Context()); err == nil || !strings.Contains(err.Error(), "export 1 spans: no room") {
			t.Errorf("flush says %v", err)
		}
		s.end(t)
		if err := s.ForceFlush(t.Context()); err != nil {
			t.Errorf("flush after the end says %v", err)
		}
	})
}

func TestACollectorThatHangsCostsNoMoreThanTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &collector{hang: true}
		s, lost := start(t, c, Options{QueueSize: 20, BatchSize: 10, Timeout: 10 * time.Second})
		for range 100 {
			s.OnEnd(span("one"))
			synctest.Wait() // a batch that is being sent waits no more
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		want := []string{
			"70 spans dropped: the queue of 20 is full",
			"export 10 spans: context deadline exceeded", "export 10 spans: context deadline exceeded", "export 10 spans: context deadline exceeded",
		}
		got := strings.Split(strings.Join(lost.told, "\n"), "\n")
		for _, w := range want {
			if !strings.Contains(strings.Join(got, "\n"), w) {
				t.Errorf("nobody was told %q, but\n%s", w, strings.Join(got, "\n"))
			}
		}
		if len(got) != len(want) {
			t.Errorf("told\n%s", strings.Join(got, "\n"))
		}
		s.end(t)
	})
}

func TestTheEndSendsWhatIsLeftAndTakesNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(collector)
		s, lost := start(t, c, Options{QueueSize: 100, BatchSize: 10})
		s.OnEnd(span("one"))
		s.end(t)
		s.OnEnd(span("too late"))
		s.end(t)
		if diff := gocmp.Diff([]int{1}, c.sizes()); diff != "" {
			t.Errorf("spans in the batches (-want +got):\n%s", diff)
		}
		if !c.stopped {
			t.Error("the client was not stopped")
		}
		if lost.told != nil {
			t.Errorf("told %q", lost.told)
		}
	})
}

func TestTheEndWaitsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, &collector{hang: true}, Options{QueueSize: 100, BatchSize: 10, Timeout: 10 * time.Second})
		s.OnEnd(span("one"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown says %v", err)
		}
		<-s.done
	})
}

func TestSpansThatAreNotSampledAreNotSent(t *testing.T) {
	t.Parallel()
	c := new(collector)
	s, _ := start(t, c, Options{QueueSize: 100, BatchSize: 10})
	s.OnEnd(tracetest.SpanStub{Name: "not sampled", Resource: about}.Snapshot())
	s.end(t)
	if got := c.sizes(); got != nil {
		t.Errorf("sent %v", got)
	}
}

// BenchmarkAppendSpan is what it costs to write a span with eight attributes.
func BenchmarkAppendSpan(b *testing.B) {
	stub := tracetest.SpanStubFromReadOnlySpan(span("oteldemo.CartService/GetCart"))
	for i := range 8 {
		stub.Attributes = append(stub.Attributes, attribute.String(fmt.Sprint("some.attribute.", i), "some value"))
	}
	one := stub.Snapshot()
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendSpan(buffer[:0], one)
	}
	b.ReportMetric(float64(len(buffer)), "wire-B/span")
}
