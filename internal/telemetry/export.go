package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"

	"checkout/internal/frames"
	"checkout/internal/otlp"
)

// The queues are small, because the container is: a quarter of the SDK's, and an eighth for log records. The variables have
// precedence.
const (
	queueSize = 512
	batchSize = 128
)

// traces is nil if spans are not exported.
func (e env) traces(ctx context.Context, p pipeline) *sdktrace.TracerProvider {
	processor, err := e.spanProcessor(ctx, p)
	if processor == nil || err != nil {
		e.without("traces", err)
		return nil
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(maskedSpans{processor}),
		sdktrace.WithResource(p.resource),
	)
}

// metrics is nil when metrics are neither exported nor collected here.
func (e env) metrics(ctx context.Context, p pipeline) (*sdkmetric.MeterProvider, sdkmetric.Reader) {
	exporter, err := e.metricExporter(ctx, p)
	switch {
	case err != nil:
		e.without("metrics", err)
		exporter = nil
	case exporter != nil:
		exporter = stoppableMetrics{exporter, p.stop}
	}
	options, local := readers(exporter, e.Collect)
	if options == nil {
		return nil, nil
	}
	return sdkmetric.NewMeterProvider(append(options, sdkmetric.WithResource(p.resource))...), local
}

// logs is nil if log records are not exported.
func (e env) logs(ctx context.Context, p pipeline) *sdklog.LoggerProvider {
	exporter, err := e.logExporter(ctx)
	if exporter == nil || err != nil {
		e.without("logs", err)
		return nil
	}
	var size []sdklog.BatchProcessorOption
	if e.get("OTEL_BLRP_MAX_QUEUE_SIZE") == "" && e.get("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE") == "" {
		size = append(size, sdklog.WithMaxQueueSize(queueSize/2), sdklog.WithExportMaxBatchSize(batchSize/2))
	}
	return sdklog.NewLoggerProvider(
		sdklog.WithProcessor(maskedLogs{}),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(stoppableLogs{exporter, p.stop}, size...)),
		sdklog.WithResource(p.resource),
	)
}

// without warns of a signal that cannot be exported. The service starts without it.
func (e env) without(signal string, err error) {
	if err != nil {
		e.log.Warn("signal is off: its exporter cannot be made", "signal", signal, "error", err)
	}
}

func (e env) spanProcessor(ctx context.Context, p pipeline) (sdktrace.SpanProcessor, error) {
	switch e.exporter("TRACES") {
	case none:
		return nil, nil
	case console:
		return sdktrace.NewSimpleSpanProcessor(consoleSpans{json.NewEncoder(p.stdout)}), nil
	}
	var client otlptrace.Client
	if e.overHTTP("TRACES") {
		client = otlptracehttp.NewClient(otlptracehttp.WithHeaders(e.headers("TRACES")))
	} else {
		client = otlptracegrpc.NewClient(otlptracegrpc.WithDialOption(e.exportOptions("TRACES")...), otlptracegrpc.WithHeaders(e.headers("TRACES")))
	}
	return otlp.NewSpans(ctx, stoppableSpans{client, p.stop}, otlp.Options{
		QueueSize: e.number("OTEL_BSP_MAX_QUEUE_SIZE", queueSize),
		BatchSize: e.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batchSize),
		Delay:     e.milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5*time.Second),
		Timeout:   e.milliseconds("OTEL_BSP_EXPORT_TIMEOUT", 30*time.Second),
		Handle:    otel.Handle,
	})
}

func (e env) metricExporter(ctx context.Context, p pipeline) (sdkmetric.Exporter, error) {
	switch e.exporter("METRICS") {
	case none:
		return nil, nil
	case console:
		return consoleMetrics{json.NewEncoder(p.stdout)}, nil
	}
	if e.overHTTP("METRICS") {
		return otlpmetrichttp.New(ctx, otlpmetrichttp.WithHeaders(e.headers("METRICS")))
	}
	return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithDialOption(e.exportOptions("METRICS")...), otlpmetricgrpc.WithHeaders(e.headers("METRICS")))
}

func (e env) logExporter(ctx context.Context) (sdklog.Exporter, error) {
	switch e.exporter("LOGS") {
	case none, console: // the log is always on stdout
		return nil, nil
	}
	if e.overHTTP("LOGS") {
		return otlploghttp.New(ctx, otlploghttp.WithHeaders(e.headers("LOGS")))
	}
	return otlploggrpc.New(ctx, otlploggrpc.WithDialOption(e.exportOptions("LOGS")...), otlploggrpc.WithHeaders(e.headers("LOGS")))
}

// exportOptions keep the export's buffers as small as its batches, and limit what the collector may send if the endpoint alone says
// that it is plaintext.
func (e env) exportOptions(signal string) []grpc.DialOption {
	buffers := mem.NewTieredBufferPool(4<<10, 8<<10, 16<<10, 32<<10, 64<<10, 96<<10, 128<<10)
	options := []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(exactCodec{encoding.GetCodecV2(proto.Name), buffers}), grpc.MaxCallRecvMsgSize(64<<10)),
		grpc.WithMaxHeaderListSize(16 << 10),
		grpc.WithWriteBufferSize(4 << 10),
		grpc.WithReadBufferSize(4 << 10),
		grpc.WithDisableServiceConfig(), // or every look-up of the name would also query a TXT record
	}
	_, endpoint := e.ofExporter(signal, "ENDPOINT")
	plaintext := strings.HasPrefix(strings.ToLower(endpoint), "http://")
	for _, what := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "INSECURE"} {
		_, value := e.ofExporter(signal, what)
		plaintext = plaintext && value == ""
	}
	if plaintext {
		options = append(options, grpc.WithTransportCredentials(frames.Limit(insecure.NewCredentials())))
	}
	return options
}

// exactCodec marshals into a buffer little larger than the message. gRPC's own pool has no size between 32 KiB and 1 MiB: a
// batch of 40 KiB takes 1 MiB. It saves 4.6 MiB, and in 16 MiB a fifth of an order's CPU (docs/adr/019).
type exactCodec struct {
	encoding.CodecV2
	buffers mem.BufferPool
}

func (c exactCodec) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(protobuf.Message)
	if !ok {
		return nil, fmt.Errorf("marshal a %T: it is no protobuf message", v)
	}
	buffer := c.buffers.Get(protobuf.Size(message))
	data, err := protobuf.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buffer)[:0], message)
	if err != nil {
		c.buffers.Put(buffer)
		return nil, err
	}
	*buffer = data
	return mem.BufferSlice{mem.NewBuffer(buffer, c.buffers)}, nil
}

// These cancel exports in progress when stop is done, so that the processors end in time: exporters retry for a minute.
type (
	stoppableSpans struct {
		otlptrace.Client
		stop context.Context
	}
	stoppableMetrics struct {
		sdkmetric.Exporter
		stop context.Context
	}
	stoppableLogs struct {
		sdklog.Exporter
		stop context.Context
	}
)

func (s stoppableSpans) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := during(ctx, s.stop)
	defer cancel()
	return s.Client.UploadTraces(ctx, spans)
}

func (s stoppableMetrics) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	ctx, cancel := during(ctx, s.stop)
	defer cancel()
	return s.Exporter.Export(ctx, m)
}

func (s stoppableLogs) Export(ctx context.Context, records []sdklog.Record) error {
	ctx, cancel := during(ctx, s.stop)
	defer cancel()
	return s.Exporter.Export(ctx, records)
}

// consoleSpans and consoleMetrics write what is exported as lines of JSON.
type (
	consoleSpans   struct{ *json.Encoder }
	consoleMetrics struct{ *json.Encoder }
)

func (c consoleSpans) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, stub := range tracetest.SpanStubsFromReadOnlySpans(spans) {
		if err := c.Encode(stub); err != nil {
			return err
		}
	}
	return nil
}

func (consoleSpans) Shutdown(context.Context) error { return nil }

func (consoleMetrics) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	return sdkmetric.DefaultTemporalitySelector(k)
}

func (consoleMetrics) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (c consoleMetrics) Export(_ context.Context, m *metricdata.ResourceMetrics) error {
	return c.Encode(m.ScopeMetrics)
}

func (consoleMetrics) ForceFlush(context.Context) error { return nil }
func (consoleMetrics) Shutdown(context.Context) error   { return nil }

// shared lets the log and the console exporters write whole lines to stdout.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(line)
}
