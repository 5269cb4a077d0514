package telemetry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP receiver: what has come in, by signal.
type collector struct {
	tracepb.UnimplementedTraceServiceServer
	mu        sync.Mutex
	names     map[string][]string
	resources map[string]*resourcepb.Resource
}

func newCollector() *collector {
	return &collector{names: map[string][]string{}, resources: map[string]*resourcepb.Resource{}}
}

func (c *collector) take(signal string, r *resourcepb.Resource, names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resources[signal] = r
	c.names[signal] = append(c.names[signal], names...)
}

func (c *collector) spans(r *tracepb.ExportTraceServiceRequest) {
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				c.take("traces", rs.GetResource(), s.GetName())
			}
		}
	}
}

func (c *collector) metrics(r *metricspb.ExportMetricsServiceRequest) {
	for _, rm := range r.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				c.take("metrics", rm.GetResource(), m.GetName())
			}
		}
	}
}

func (c *collector) logs(r *logspb.ExportLogsServiceRequest) {
	for _, rl := range r.GetResourceLogs() {
		for _, sl := range rl.GetScopeLogs() {
			for _, l := range sl.GetLogRecords() {
				c.take("logs", rl.GetResource(), l.GetBody().GetStringValue())
			}
		}
	}
}

func (c *collector) Export(_ context.Context, r *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	c.spans(r)
	return &tracepb.ExportTraceServiceResponse{}, nil
}

type metricsCollector struct {
	metricspb.UnimplementedMetricsServiceServer
	*collector
}

func (c metricsCollector) Export(_ context.Context, r *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	c.metrics(r)
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

type logsCollector struct {
	logspb.UnimplementedLogsServiceServer
	*collector
}

func (c logsCollector) Export(_ context.Context, r *logspb.ExportLogsServiceRequest) (*logspb.ExportLogsServiceResponse, error) {
	c.logs(r)
	return &logspb.ExportLogsServiceResponse{}, nil
}

func (c *collector) register(s *grpc.Server) {
	tracepb.RegisterTraceServiceServer(s, c)
	metricspb.RegisterMetricsServiceServer(s, metricsCollector{collector: c})
	logspb.RegisterLogsServiceServer(s, logsCollector{collector: c})
}

// ServeHTTP takes OTLP in protobuf over HTTP.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var spans tracepb.ExportTraceServiceRequest
	var metrics metricspb.ExportMetricsServiceRequest
	var logs logspb.ExportLogsServiceRequest
	message := map[string]proto.Message{"/v1/traces": &spans, "/v1/metrics": &metrics, "/v1/logs": &logs}[r.URL.Path]
	if err != nil || message == nil || proto.Unmarshal(body, message) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.spans(&spans)
	c.metrics(&metrics)
	c.logs(&logs)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func attributesOf(r *resourcepb.Resource) map[string]string {
	m := map[string]string{}
	for _, a := range r.GetAttributes() {
		m[a.GetKey()] = text(a.GetValue())
	}
	return m
}

func text(v *commonpb.AnyValue) string {
	if s, ok := v.GetValue().(*commonpb.AnyValue_StringValue); ok {
		return s.StringValue
	}
	return fmt.Sprint(v.GetIntValue())
}
