package demo

import (
	"context"
	"encoding/hex"
	"slices"
	"sync"

	logscollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

const (
	maxSpans   = 50_000
	maxLogs    = 10_000
	maxMetrics = 10_000
)

// Origin is who made a piece of telemetry.
type Origin struct {
	Resource *resource.Resource
	Scope    string // the instrumentation scope's name
}

// Span is a span as it was exported.
type Span struct {
	*trace.Span
	Origin
}

// Log is a log record as it was exported.
type Log struct {
	*logs.LogRecord
	Origin
}

// Metric is a metric as it was exported, with the points of one export.
type Metric struct {
	*metrics.Metric
	Origin
}

// Collector receives traces, metrics and logs over OTLP/gRPC and keeps the last of them: 50,000 spans, 10,000 log
// records, 10,000 metrics.
type Collector struct {
	*Server

	mu      sync.Mutex
	spans   tail[Span]
	logs    tail[Log]
	metrics tail[Metric]
}

func newCollector(n *Server) (*Collector, func() error) {
	n.discard = true // what they bring is kept already
	c := &Collector{
		Server:  n,
		spans:   tail[Span]{limit: maxSpans},
		logs:    tail[Log]{limit: maxLogs},
		metrics: tail[Metric]{limit: maxMetrics},
	}
	return c, n.serveGRPC(func(r grpc.ServiceRegistrar) {
		tracecollector.RegisterTraceServiceServer(r, traceReceiver{Collector: c})
		metricscollector.RegisterMetricsServiceServer(r, metricsReceiver{Collector: c})
		logscollector.RegisterLogsServiceServer(r, logsReceiver{Collector: c})
	})
}

// Spans are the spans kept, in the order of their arrival.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans.last()
}

// Logs are the log records kept, in the order of their arrival.
func (c *Collector) Logs() []Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logs.last()
}

// Metrics are the metrics kept, in the order of their arrival.
func (c *Collector) Metrics() []Metric {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics.last()
}

// Trace are the spans of one trace, by its id in hexadecimal, earliest first.
func (c *Collector) Trace(id string) []Span {
	spans := slices.DeleteFunc(c.Spans(), func(s Span) bool { return hex.EncodeToString(s.GetTraceId()) != id })
	slices.SortStableFunc(spans, earlier)
	return spans
}

// Linked are the ids of the traces with a span that links to a span of the trace of that id, earliest first: what was done
// for it later.
func (c *Collector) Linked(id string) []string {
	var found []Span
	for _, s := range c.Spans() {
		if hex.EncodeToString(s.GetTraceId()) != id && slices.ContainsFunc(s.GetLinks(), func(l *trace.Span_Link) bool {
			return hex.EncodeToString(l.GetTraceId()) == id
		}) {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, earlier)
	var ids []string
	for _, s := range found {
		if other := hex.EncodeToString(s.GetTraceId()); !slices.Contains(ids, other) {
			ids = append(ids, other)
		}
	}
	return ids
}

// AwaitTrace waits until a trace has spans of all the given names and no span whose parent is still to come, and
// returns it, earliest span first. A parent in another process never comes: its children are expected to say that it is
// remote. When ctx ends first, the spans that did come are returned with the error.
func (c *Collector) AwaitTrace(ctx context.Context, id string, names ...string) ([]Span, error) {
	var spans []Span
	err := c.changes.await(ctx, func() bool {
		spans = c.Trace(id)
		return complete(spans, names)
	})
	return spans, err
}

// complete reports whether spans have all the names and each other as parents.
func complete(spans []Span, names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(spans, func(s Span) bool { return s.GetName() == name }) {
			return false
		}
	}
	here := make(map[string]bool, len(spans))
	for _, s := range spans {
		here[string(s.GetSpanId())] = true
	}
	return len(spans) > 0 && !slices.ContainsFunc(spans, func(s Span) bool {
		return len(s.GetParentSpanId()) > 0 && !here[string(s.GetParentSpanId())] && !s.remoteParent()
	})
}

// remoteParent reports whether the span's parent is in another process (OTLP, SpanFlags).
func (s Span) remoteParent() bool {
	const remote = uint32(trace.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | trace.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	return s.GetFlags()&remote == remote
}

type traceReceiver struct {
	tracecollector.UnimplementedTraceServiceServer
	*Collector
}

func (c traceReceiver) Export(_ context.Context, req *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	defer c.changes.notify()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				c.spans.add(Span{span, Origin{r.GetResource(), s.GetScope().GetName()}})
			}
		}
	}
	return &tracecollector.ExportTraceServiceResponse{}, nil
}

type metricsReceiver struct {
	metricscollector.UnimplementedMetricsServiceServer
	*Collector
}

func (c metricsReceiver) Export(_ context.Context, req *metricscollector.ExportMetricsServiceRequest) (*metricscollector.ExportMetricsServiceResponse, error) {
	defer c.changes.notify()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, metric := range s.GetMetrics() {
				c.metrics.add(Metric{metric, Origin{r.GetResource(), s.GetScope().GetName()}})
			}
		}
	}
	return &metricscollector.ExportMetricsServiceResponse{}, nil
}

type logsReceiver struct {
	logscollector.UnimplementedLogsServiceServer
	*Collector
}

func (c logsReceiver) Export(_ context.Context, req *logscollector.ExportLogsServiceRequest) (*logscollector.ExportLogsServiceResponse, error) {
	defer c.changes.notify()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.GetResourceLogs() {
		for _, s := range r.GetScopeLogs() {
			for _, record := range s.GetLogRecords() {
				c.logs.add(Log{record, Origin{r.GetResource(), s.GetScope().GetName()}})
			}
		}
	}
	return &logscollector.ExportLogsServiceResponse{}, nil
}
