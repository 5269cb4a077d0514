package telemetry

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
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
	begin    []trace.SpanStartOption
	last     *atomic.Pointer[topic]
}

// topic is what is known of records before they are sent.
type topic struct {
	name, span string
	facts      []attribute.KeyValue // of the span
	sent       []metric.AddOption   // of a record that was sent
	took       []metric.RecordOption
}

// KafkaHook observes the records that a client produces: a span from when a record is handed over until the broker has
// it or it is given up, whose trace context and baggage go into the record's headers. A record that has a traceparent
// already is a copy of another and is left alone.
func (t *Telemetry) KafkaHook() kgo.Hook {
	return kafka{
		Telemetry: t,
		sent:      t.counter(messagingSent),
		duration:  t.duration(messagingDuration),
		begin:     []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)},
		last:      new(atomic.Pointer[topic]),
	}
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

// topic is what is known of records for the topic of that name. There is but one, mostly.
func (k kafka) topic(name string) *topic {
	if last := k.last.Load(); last != nil && last.name == name {
		return last
	}
	t := &topic{name: name, span: k.conventions.messaging[0].span(name)}
	t.facts = append(messaging(name), networkTransport.String("tcp"), peerService.String("kafka"))
	for _, c := range k.conventions.messaging {
		t.facts = append(t.facts, c.identity...)
	}
	t.sent, t.took = measurements(name)
	k.last.Store(t)
	return t
}

// OnProduceRecordBuffered starts the span.
//
//nolint:spancheck // OnProduceRecordUnbuffered ends it
func (k kafka) OnProduceRecordBuffered(r *kgo.Record) {
	if slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == traceparent }) {
		return
	}
	ctx, span := k.tracer.Start(r.Context, k.topic(r.Topic).span, k.begin...)
	k.propagator.Inject(ctx, headers{r})
	r.Context = context.WithValue(ctx, publishKey{}, &publish{r, span, time.Now()})
}

// OnProduceRecordUnbuffered ends the span, with the place that the broker gave to the record.
func (k kafka) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	t := k.topic(r.Topic)
	sent, took := t.sent, t.took
	if err != nil {
		sent, took = measurements(r.Topic, errorType.String(kafkaError(err)))
	}
	k.sent.Add(r.Context, 1, sent...)
	p, ok := r.Context.Value(publishKey{}).(*publish)
	if !ok || p.record != r { // a copy has inherited the context
		return
	}
	elapsed := time.Since(p.start)
	k.duration.Record(r.Context, elapsed.Seconds(), took...)
	attrs := append(make([]attribute.KeyValue, 0, 16), t.facts...)
	attrs = append(attrs, kafkaSuccess.Bool(err == nil), kafkaDuration.Int64(elapsed.Milliseconds()))
	if err != nil {
		attrs = append(attrs, errorType.String(kafkaError(err)))
		p.span.SetStatus(codes.Error, redact(err.Error()))
	} else {
		for _, c := range k.conventions.messaging {
			attrs = c.place(attrs, r.Partition, r.Offset)
		}
	}
	p.span.SetAttributes(attrs...)
	p.span.End()
}

// measurements are those of a record for the topic.
func measurements(topic string, more ...attribute.KeyValue) ([]metric.AddOption, []metric.RecordOption) {
	attrs := append(append(messaging(topic), messagingOperationName.String("send")), more...)
	return []metric.AddOption{measurement(attrs...)}, recordOptions(append(attrs, messagingOperationType.String("send")))
}

// messaging is where a record goes.
func messaging(topic string) []attribute.KeyValue {
	return []attribute.KeyValue{messagingSystem.String("kafka"), messagingDestination.String(topic)}
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
