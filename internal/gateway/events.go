package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	"checkout/internal/order"
	"checkout/internal/wire"
)

// The headers of an event's record, beside those of the trace context, which telemetry adds.
const (
	headerEventID     = "event-id"     // the order's id: copies of an event have the same
	headerEventType   = "event-type"   // eventType
	headerContentType = "content-type" // contentType

	eventType   = "order.placed.v1"      // a different format will be v2
	contentType = "application/protobuf" // oteldemo.OrderResult
)

// The bounds of what waits for the broker. What does not fit stays pending in the record.
const (
	maxBuffered      = 512       // records
	maxBufferedBytes = 2 << 20   // of keys, values and headers
	maxBatchBytes    = 1_000_000 // a topic takes 1,048,588 by default; an order may have thousands of lines
	maxCopies        = 1000      // of one event
	maxResponse      = 128 << 10 // bytes: 3,000 partitions. In memory it is 20 times as large
)

// Events is order.Events over Kafka.
type Events struct {
	client  *kgo.Client
	topic   string
	target  string // topic and brokers, for errors
	flags   Flags
	timeout time.Duration
	batches *semaphore.Weighted // an event sent with others holds shared of it, one sent alone all of it

	lost    atomic.Bool // the last event failed
	probing atomic.Bool // one event is trying again
}

// errLost fails events at once while the broker is unavailable: they are on record, and need not wait in memory.
var errLost = errors.New("the broker is unavailable, and another event is trying it")

var _ order.Events = (*Events)(nil)

// The share of Events.batches that an event holds.
const (
	shared = 1
	alone  = math.MaxInt64
)

// NewEvents makes an Events that publishes to topic, "" meaning "orders", at brokers, host:port separated by commas;
// t.Publish bounds a call. opts bring TLS, SASL and the hooks of telemetry. It connects with the first event: it fails only
// for invalid options. Close it after use.
func NewEvents(brokers, topic string, flags Flags, t Timeouts, opts ...kgo.Opt) (*Events, error) {
	if topic == "" {
		topic = "orders"
	}
	var seeds []string
	for broker := range strings.SplitSeq(brokers, ",") {
		if broker = strings.TrimSpace(broker); broker != "" {
			seeds = append(seeds, broker)
		}
	}
	client, err := kgo.NewClient(append(producer(seeds, topic, t.Publish), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("events: topic %q at %q: %w", topic, brokers, err)
	}
	target := fmt.Sprintf("topic %q at %s", topic, strings.Join(seeds, ","))
	return &Events{
		client: client, topic: topic, target: target, flags: flags, timeout: t.Publish,
		batches: semaphore.NewWeighted(alone),
	}, nil
}

// producer is the options of a producer that needs little memory and gives up after timeout.
func producer(seeds []string, topic string, timeout time.Duration) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID("checkout"),
		kgo.DefaultProduceTopic(topic),
		kgo.AllowAutoTopicCreation(),
		kgo.DisableClientMetrics(),
		kgo.DialTimeout(dialTimeout),
		// A broker that is back is found within a second.
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RetryBackoffFn(func(fails int) time.Duration { return min(100*time.Millisecond<<min(fails, 4), time.Second) }),

		// All replicas in sync acknowledge an event. Sequence numbers are not used: a broker that was rebuilt gives the producer
		// id of one process to another, and drops the events of the second as duplicates. Without them a retry may be a
		// duplicate, which consumers recognize by the event's id (docs/adr/022).
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.DisableIdempotentWrite(),
		// A little less than Publish waits, so that the client's error is returned.
		kgo.RecordDeliveryTimeout(max(timeout*9/10, time.Second)),
		kgo.ProduceRequestTimeout(max(timeout/2, time.Second)),
		kgo.RequestTimeoutOverhead(time.Second),
		kgo.RetryTimeout(timeout),

		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.BrokerMaxReadBytes(maxResponse),
		kgo.FetchMaxBytes(maxResponse), // unused, but it must not exceed the limit above
	}
}

// Publish sends the event that o is placed, and waits until the broker has stored it. Its key is the order's id; its value is
// the caller's answer, oteldemo.OrderResult, always the same bytes. It returns order.ErrRefused for an event that the broker
// rejects for good. While the broker is unavailable one event at a time waits for it, and the others fail at once.
func (e *Events) Publish(ctx context.Context, o *order.Order) error {
	if e.lost.Load() {
		if !e.probing.CompareAndSwap(false, true) {
			return fmt.Errorf("events: publish order %s to %s: %w", o.ID, e.target, errLost)
		}
		defer e.probing.Store(false)
	}
	err := e.publish(ctx, o)
	answered, ok := errors.AsType[*kerr.Error](err)
	e.lost.Store(err != nil && (!ok || answered.Retriable)) // an answer that is final shows that it is available
	if err != nil {
		return fmt.Errorf("events: publish order %s to %s: %w", o.ID, e.target, err)
	}
	return nil
}

// publish sends the event and, if it is rejected, once more alone: a broker rejects a whole batch for one event, or for its size.
func (e *Events) publish(ctx context.Context, o *order.Order) error {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(wire.OrderResult(o))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	err = e.send(ctx, o.ID, value, shared)
	if neverTaken(err) {
		err = e.send(ctx, o.ID, value, alone)
	}
	if neverTaken(err) {
		return fmt.Errorf("%w: %w", order.ErrRefused, err)
	}
	return err
}

// neverTaken reports whether the broker rejects an event for good. A missing permission or topic can be corrected, and is not.
func neverTaken(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.PolicyViolation)
}

// send sends an event, shared or alone, and waits for the broker's answer.
func (e *Events) send(ctx context.Context, id order.ID, value []byte, share int64) error {
	if err := e.batches.Acquire(ctx, share); err != nil {
		return err
	}
	defer e.batches.Release(share)
	if share == alone {
		if err := e.client.Flush(ctx); err != nil { // copies may be in the buffer
			return err
		}
	}
	record := &kgo.Record{Key: []byte(id), Value: value, Headers: []kgo.RecordHeader{
		{Key: headerEventID, Value: []byte(id)},
		{Key: headerEventType, Value: []byte(eventType)},
		{Key: headerContentType, Value: []byte(contentType)},
	}}

	// The client bounds the time of the record, not ctx: the end of the first context for a topic that is not yet known would
	// fail all records. With a full buffer it fails at once.
	lasting := context.WithoutCancel(ctx)
	acknowledged := make(chan error, 1)
	e.client.TryProduce(lasting, record, func(_ *kgo.Record, err error) { acknowledged <- err })
	if share != alone {
		e.sendCopies(lasting, record, e.flags.ExtraEvents(ctx))
	}
	var err error
	select {
	case err = <-acknowledged:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		// The topic was deleted and created again. Without this the client would keep sending to the old one.
		e.client.PurgeTopicsFromProducing(e.topic)
	}
	return err
}

// sendCopies sends n exact copies of a record, to fill the queue, and does not wait for them. Half of the buffer is left to the
// events of other orders.
func (e *Events) sendCopies(ctx context.Context, record *kgo.Record, n int) {
	for range min(n, maxCopies) {
		if e.client.BufferedProduceRecords() >= maxBuffered/2 {
			return
		}
		e.client.TryProduce(ctx, &kgo.Record{Key: record.Key, Value: record.Value, Headers: slices.Clip(record.Headers)}, nil)
	}
}

// Close waits until all events are acknowledged or have failed, at most until ctx ends, and closes the connections. It returns
// an error if ctx ended first. All hooks were called when it returns.
func (e *Events) Close(ctx context.Context) error {
	err := e.client.Flush(ctx)
	e.client.Close() // fails what is left; promises and hooks are called in a goroutine of the client
	called, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := errors.Join(err, e.client.Flush(called)); err != nil {
		return fmt.Errorf("events: flush %s: %w", e.target, err)
	}
	return nil
}
