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

// What the records of events carry beside the order and the trace context, which a kgo.Hook of the telemetry adds.
const (
	headerEventID     = "event-id"     // the order's id: copies of an event have the same
	headerEventType   = "event-type"   // eventType
	headerContentType = "content-type" // contentType

	eventType   = "order.placed.v1"      // a value that reads differently will be called v2
	contentType = "application/protobuf" // oteldemo.OrderResult
)

// The bounds of what waits for the broker. There is no need for more: what does not fit is still owed by the order's record.
const (
	maxBuffered      = 512       // records
	maxBufferedBytes = 2 << 20   // of keys, values and headers
	maxBatchBytes    = 1_000_000 // a topic takes 1,048,588 by default; an order may have thousands of lines
	maxCopies        = 1000      // of one event
)

// Events is order.Events over Kafka.
type Events struct {
	client  *kgo.Client
	topic   string
	target  string // topic and brokers, for errors
	flags   Flags
	timeout time.Duration
	batches *semaphore.Weighted // an event that shares a batch with others holds shared of it, one that is alone all of it

	lost    atomic.Bool // the broker did not take the last event that was tried
	probing atomic.Bool // one event is trying whether it is back
}

// errLost: orders keep their events on record, so that nothing is gained by many of them waiting for a broker that is away.
var errLost = errors.New("the broker is away, as another event has found")

var _ order.Events = (*Events)(nil)

// What an event holds of Events.batches.
const (
	shared = 1
	alone  = math.MaxInt64
)

// NewEvents makes an Events that publishes to topic, "" meaning "orders", at brokers, host:port separated by commas;
// t.Publish bounds a call. opts bring TLS, SASL and the hooks of the telemetry. It connects with the first event: it fails
// only for options that cannot be. Close it after use.
func NewEvents(brokers, topic string, flags Flags, t Timeouts, opts ...kgo.Opt) (*Events, error) {
	if topic == "" {
		topic = "orders"
	}
	t = t.withDefaults()
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

// producer are the options of a producer that needs little, loses nothing and gives up after timeout.
func producer(seeds []string, topic string, timeout time.Duration) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID("checkout"),
		kgo.DefaultProduceTopic(topic),
		kgo.AllowAutoTopicCreation(),
		kgo.DisableClientMetrics(),
		kgo.DialTimeout(dialTimeout),
		// A broker that comes back is found within a second.
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RetryBackoffFn(func(fails int) time.Duration { return min(100*time.Millisecond<<min(fails, 4), time.Second) }),

		// The broker has the event when all replicas in sync have it. Sequence numbers are not used: a broker that was rebuilt
		// gives the producer id of one process to another, and then acknowledges the events of the second as repeats of the
		// first one's, without keeping them. Without them a repeat by the client may be a copy, which consumers know by its id.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.DisableIdempotentWrite(),
		// A little less than Publish waits, so that the client can say what went wrong.
		kgo.RecordDeliveryTimeout(max(timeout*9/10, time.Second)),
		kgo.ProduceRequestTimeout(max(timeout/2, time.Second)),
		kgo.RequestTimeoutOverhead(time.Second),
		kgo.RetryTimeout(timeout),

		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.BrokerMaxReadBytes(1 << 20),
		kgo.FetchMaxBytes(1 << 20), // nothing is fetched, but it must not exceed the limit above
	}
}

// Publish sends the event that o is placed, and waits until the broker holds it durably. Its key is the order's id; its
// value is the order as the customer was told of it, oteldemo.OrderResult, the same bytes every time. It returns
// order.ErrRefused for an event that the broker will never take. While the broker is away one event at a time waits for it,
// and the others fail at once.
func (e *Events) Publish(ctx context.Context, o *order.Order) error {
	if e.lost.Load() {
		if !e.probing.CompareAndSwap(false, true) {
			return fmt.Errorf("events: publish order %s to %s: %w", o.ID, e.target, errLost)
		}
		defer e.probing.Store(false)
	}
	err := e.publish(ctx, o)
	answered, ok := errors.AsType[*kerr.Error](err)
	e.lost.Store(err != nil && (!ok || answered.Retriable)) // what it refuses it has looked at
	if err != nil {
		return fmt.Errorf("events: publish order %s to %s: %w", o.ID, e.target, err)
	}
	return nil
}

// publish sends the event and, if it is refused, once more alone: a broker refuses a whole batch because of one event, or
// because of its size.
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

// neverTaken tells whether the broker has looked at an event and will not have it. What somebody may mend at the broker, a
// permission or a missing topic, is not among these.
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
		if err := e.client.Flush(ctx); err != nil { // copies may still be in the buffer
			return err
		}
	}
	record := &kgo.Record{Key: []byte(id), Value: value, Headers: []kgo.RecordHeader{
		{Key: headerEventID, Value: []byte(id)},
		{Key: headerEventType, Value: []byte(eventType)},
		{Key: headerContentType, Value: []byte(contentType)},
	}}

	// The record's life is bounded by the client, not by ctx: the end of the first context for a topic that is not known
	// yet would fail everybody's records. Nor does it wait for room in the buffer: a full one fails at once.
	lasting := context.WithoutCancel(ctx)
	acknowledged := make(chan error, 1)
	e.client.TryProduce(lasting, record, func(_ *kgo.Record, err error) { acknowledged <- err })
	if share != alone {
		e.crowd(lasting, record, e.flags.ExtraEvents(ctx))
	}
	var err error
	select {
	case err = <-acknowledged:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		// The topic was deleted and made again, with all else that the broker held, perhaps. The client would insist on the
		// one that it knew; as it is, the next event goes to the new one.
		e.client.PurgeTopicsFromProducing(e.topic)
	}
	return err
}

// crowd sends n copies of a record, to make a queue, and does not wait for them. They are the same to the byte, with the
// trace context that a hook has given to the record. Half of the buffer is left to the events of other orders.
func (e *Events) crowd(ctx context.Context, record *kgo.Record, n int) {
	for range min(n, maxCopies) {
		if e.client.BufferedProduceRecords() >= maxBuffered/2 {
			return
		}
		e.client.TryProduce(ctx, &kgo.Record{Key: record.Key, Value: record.Value, Headers: slices.Clip(record.Headers)}, nil)
	}
}

// Close waits until everything published has been acknowledged or given up, at most until ctx ends, and closes the
// connections. It returns an error when something was given up because of ctx. The hooks have seen the end of every
// record when it returns.
func (e *Events) Close(ctx context.Context) error {
	err := e.client.Flush(ctx)
	e.client.Close() // gives up what is left; the promises and the hooks learn it in a goroutine of the client
	told, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := errors.Join(err, e.client.Flush(told)); err != nil {
		return fmt.Errorf("events: flush %s: %w", e.target, err)
	}
	return nil
}
