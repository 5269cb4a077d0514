package telemetry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

type kafka struct {
	*Telemetry
	sent     metric.Int64Counter
	duration metric.Float64Histogram
}

// KafkaHook observes the records that a client produces: a span from when a record is handed over until the broker has
// it or it is given up, whose trace context and baggage go into the record's headers. A record that has a traceparent
// already is a copy of another and is left alone.
func (t *Telemetry) KafkaHook() kgo.Hook {
	return kafka{t, t.counter(messagingSent), t.duration(messagingDuration)}
}

// Both are noticed by the client at run time only.
var (
	_ kgo.HookProduceRecordBuffered   = kafka{}
	_ kgo.HookProduceRecordUnbuffered = kafka{}
)

type publishKey struct{}

// publish is a record under way.
type publish struct {
	record *kgo.Record
	span   trace.Span
	start  time.Time
}

// OnProduceRecordBuffered starts the span.
//
//nolint:spancheck // OnProduceRecordUnbuffered ends it
func (k kafka) OnProduceRecordBuffered(r *kgo.Record) {
	if slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == traceparent }) {
		return
	}
	attrs := append(messaging(r.Topic), networkTransport.String("tcp"), peerService.String("kafka"))
	for _, c := range k.conventions.messaging {
		attrs = append(attrs, c.identity...)
	}
	ctx, span := k.tracer.Start(r.Context, k.conventions.messaging[0].span(r.Topic),
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attrs...))
	k.propagator.Inject(ctx, headers{r})
	r.Context = context.WithValue(ctx, publishKey{}, &publish{r, span, time.Now()})
}

// OnProduceRecordUnbuffered ends the span, with the place that the broker gave to the record.
func (k kafka) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	attrs := append(messaging(r.Topic), messagingOperationName.String("send"))
	if err != nil {
		attrs = append(attrs, errorType.String(kafkaError(err)))
	}
	k.sent.Add(r.Context, 1, measurement(attrs...))
	p, ok := r.Context.Value(publishKey{}).(*publish)
	if !ok || p.record != r { // a copy has inherited the context
		return
	}
	took := time.Since(p.start)
	k.duration.Record(r.Context, took.Seconds(), measurement(append(attrs, messagingOperationType.String("send"))...))
	p.span.SetAttributes(kafkaSuccess.Bool(err == nil), kafkaDuration.Int64(took.Milliseconds()))
	if err != nil {
		p.span.SetAttributes(errorType.String(kafkaError(err)))
		p.span.SetStatus(codes.Error, redact(err.Error()))
	} else {
		for _, c := range k.conventions.messaging {
			p.span.SetAttributes(c.place(r.Partition, r.Offset)...)
		}
	}
	p.span.End()
}

// messaging is where a record goes.
func messaging(topic string) []attribute.KeyValue {
	return append(make([]attribute.KeyValue, 0, 8), messagingSystem.String("kafka"), messagingDestination.String(topic))
}

// kafkaError is the error.type of a record that was given up: the protocol's own name, where there is one.
func kafkaError(err error) string {
	var known *kerr.Error
	switch {
	case errors.As(err, &known):
		return known.Message
	case errors.Is(err, kgo.ErrRecordTimeout):
		return timeout
	}
	return errorKind(err)
}

// headers carries a context into the headers of a record.
type headers struct{ *kgo.Record }

func (h headers) Get(string) string { return "" }
func (h headers) Keys() []string    { return nil }
func (h headers) Set(key, value string) {
	h.Headers = append(h.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
}
