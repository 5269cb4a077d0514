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

	"checkout/internal/redact"
)

type kafka struct {
	*Telemetry
	sent     metric.Int64Counter
	duration metric.Float64Histogram
	start    []trace.SpanStartOption
	topics   *table[string, *topic]
}

// topic is the attributes of the records sent to a topic.
type topic struct {
	span  string
	attrs []attribute.KeyValue // of the span
	sent  []metric.AddOption   // of a record that was sent
	took  []metric.RecordOption
}

// KafkaHook observes the records that a client produces: a span from when a record is handed over until the broker has
// acknowledged it or the client gives up, whose trace context and baggage become headers of the record. A record that has
// a traceparent already is a copy of another and has no span.
func (t *Telemetry) KafkaHook() kgo.Hook {
	return kafka{
		Telemetry: t,
		sent:      t.counter(messagingSent),
		duration:  t.duration(messagingDuration),
		start:     []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)},
		topics:    new(table[string, *topic]),
	}
}

// The client checks these at run time only.
var (
	_ kgo.HookProduceRecordBuffered   = kafka{}
	_ kgo.HookProduceRecordUnbuffered = kafka{}
)

type publishKey struct{}

// publish is a record in progress.
type publish struct {
	record *kgo.Record
	span   trace.Span
	start  time.Time
}

func (k kafka) newTopic(name string) *topic {
	t := &topic{span: k.conventions.messaging[0].span(name)}
	t.attrs = append(messaging(name), networkTransport.String("tcp"), peerService.String("kafka"))
	for _, c := range k.conventions.messaging {
		t.attrs = append(t.attrs, c.identity...)
	}
	t.sent, t.took = measurements(name)
	return t
}

// OnProduceRecordBuffered starts the span.
//
//nolint:spancheck // OnProduceRecordUnbuffered ends it
func (k kafka) OnProduceRecordBuffered(r *kgo.Record) {
	if slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == traceparent }) {
		return
	}
	ctx, span := k.tracer.Start(r.Context, k.topics.get(r.Topic, k.newTopic).span, k.start...)
	k.propagator.Inject(ctx, headers{r})
	r.Context = context.WithValue(ctx, publishKey{}, &publish{r, span, time.Now()})
}

// OnProduceRecordUnbuffered ends the span, with the partition and the offset that the broker gave to the record.
func (k kafka) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	t := k.topics.get(r.Topic, k.newTopic)
	sent, took := t.sent, t.took
	if err != nil {
		sent, took = measurements(r.Topic, errorType.String(kafkaError(err)))
	}
	k.sent.Add(r.Context, 1, sent...)
	p, ok := r.Context.Value(publishKey{}).(*publish)
	if !ok || p.record != r { // a copy, which has inherited the context
		return
	}
	elapsed := time.Since(p.start)
	k.duration.Record(r.Context, elapsed.Seconds(), took...)
	attrs := append(make([]attribute.KeyValue, 0, len(t.attrs)+6), t.attrs...)
	attrs = append(attrs, kafkaSuccess.Bool(err == nil), kafkaDuration.Int64(elapsed.Milliseconds()))
	if err != nil {
		attrs = append(attrs, errorType.String(kafkaError(err)))
		p.span.SetStatus(codes.Error, redact.Text(err.Error()))
	} else {
		for _, c := range k.conventions.messaging {
			attrs = c.place(attrs, r.Partition, r.Offset)
		}
	}
	p.span.SetAttributes(attrs...)
	p.span.End()
}

// measurements are the attributes of the metrics of a record.
func measurements(topic string, more ...attribute.KeyValue) ([]metric.AddOption, []metric.RecordOption) {
	attrs := append(append(messaging(topic), messagingOperationName.String("send")), more...)
	return []metric.AddOption{measurement(attrs...)}, recordOptions(append(attrs, messagingOperationType.String("send")))
}

// messaging is the destination of a record.
func messaging(topic string) []attribute.KeyValue {
	return []attribute.KeyValue{messagingSystem.String("kafka"), messagingDestination.String(topic)}
}

// kafkaError is the error.type of a record that was not acknowledged: the name in Kafka's protocol, if it has one.
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

// headers is a carrier: the headers of a record.
type headers struct{ *kgo.Record }

func (h headers) Get(string) string { return "" }
func (h headers) Keys() []string    { return nil }
func (h headers) Set(key, value string) {
	h.Headers = append(h.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
}
