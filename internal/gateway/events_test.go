package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
	"checkout/internal/wire"
)

// broker runs a Kafka with the topic orders until the test ends and returns its address.
func broker(t *testing.T, opts ...kfake.Opt) (cluster *kfake.Cluster, addr string) {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(1, "orders")}, opts...)
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, cluster.ListenAddrs()[0]
}

func newEvents(t *testing.T, brokers string, flags Flags, timeouts Timeouts, opts ...kgo.Opt) *Events {
	t.Helper()
	events, err := NewEvents(brokers, "", flags, timeouts, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = events.Close(t.Context()) }) // t.Context has ended by then: nothing is waited for
	return events
}

// consume reads n records of a topic.
func consume(t *testing.T, addr, topic string, n int) []*kgo.Record {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records of topic %q, want %d", len(records), topic, n)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// headers are a record's headers, in their order.
func headers(r *kgo.Record) []string {
	var list []string
	for _, h := range r.Headers {
		list = append(list, h.Key+": "+string(h.Value))
	}
	return list
}

var wantHeaders = []string{"event-id: " + string(orderID), "event-type: order.placed.v1", "content-type: application/protobuf"}

// wantValue is the record's value to the byte: what accounting and fraud detection have always been sent.
const wantValue = "\n$01890a5d-ac96-774b-bcce-b302099a8057" +
	"\x12\x08PARCEL-1" +
	"\x1a\x0c\n\x03USD\x10\x08\x18\x80\x95\xf5\x2a" +
	"\"\x1b\n\x061 Main\x12\x02SF\x1a\x02CA\"\x02US*\x0594102" +
	"*\x1f\n\x0e\n\nOLJCESPC7Z\x10\x02\x12\x0d\n\x03USD\x10\x65\x18\x80\xe0\xe1\xc9\x03"

func TestEventIsTheOrderUnderItsID(t *testing.T) {
	t.Parallel()
	_, addr := broker(t)
	events := newEvents(t, " "+addr+", ,"+addr, switches{}, patient)
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		t.Fatal(err)
	}
	record := consume(t, addr, "orders", 1)[0]
	if got := string(record.Key); got != string(orderID) {
		t.Errorf("key is %q, want %q", got, orderID)
	}
	if diff := cmp.Diff(wantValue, string(record.Value)); diff != "" {
		t.Errorf("value (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantHeaders, headers(record)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	var got oteldemo.OrderResult
	if err := proto.Unmarshal(record.Value, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.OrderResult(placed(t)), &got, protocmp.Transform()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// tracer is a hook such as the telemetry's: it gives records their trace context, and counts those that have none.
type tracer struct{ originals, ended atomic.Int32 }

func (h *tracer) OnProduceRecordBuffered(r *kgo.Record) {
	for _, header := range r.Headers {
		if header.Key == "traceparent" {
			return
		}
	}
	h.originals.Add(1)
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "traceparent", Value: []byte("00-1-2-01")})
}

func (h *tracer) OnProduceRecordUnbuffered(*kgo.Record, error) { h.ended.Add(1) }

func TestExtraEventsAreCopiesOfTheFirst(t *testing.T) {
	t.Parallel()
	_, addr := broker(t)
	var hook tracer
	events := newEvents(t, addr, switches{extra: 100}, patient, kgo.WithHooks(&hook))
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		t.Fatal(err)
	}
	if err := events.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, record := range consume(t, addr, "orders", 101) {
		if string(record.Key) != string(orderID) || string(record.Value) != wantValue {
			t.Fatalf("a copy has key %q and value %q", record.Key, record.Value)
		}
		if diff := cmp.Diff(append(wantHeaders[:3:3], "traceparent: 00-1-2-01"), headers(record)); diff != "" {
			t.Fatalf("headers of a copy (-want +got):\n%s", diff)
		}
	}
	if originals, ended := hook.originals.Load(), hook.ended.Load(); originals != 1 || ended != 101 {
		t.Errorf("the hook has seen %d originals and %d ends, want 1 and 101", originals, ended)
	}
}

// silentBroker is the way to a broker that takes what it is sent and never says a word. It leads to memory, so that time may
// be virtual.
func silentBroker() kgo.Opt {
	return kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }() // until ours is closed
		return ours, nil
	})
}

func TestExtraEventsNeverFillTheBuffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // or the copies might be given up before they are counted
		events := newEvents(t, "broker:9092", switches{extra: 1 << 30}, Timeouts{Publish: 50 * time.Millisecond}, silentBroker())
		for range 3 {
			if err := events.Publish(t.Context(), placed(t)); errors.Is(err, kgo.ErrMaxBuffered) {
				t.Errorf("no room for an order's own event: %v", err)
			}
		}
		if got := events.client.BufferedProduceRecords(); got < maxBuffered/2 || got > maxBuffered/2+3 {
			t.Errorf("%d records wait, want %d copies and 3 events at most", got, maxBuffered/2)
		}
	})
}

// awaitBuffered waits until n records wait for the broker.
func awaitBuffered(events *Events, n int64) {
	for events.client.BufferedProduceRecords() < n {
		time.Sleep(time.Millisecond)
	}
}

func TestFullBufferFailsAtOnce(t *testing.T) {
	t.Parallel()
	events := newEvents(t, silent(t), switches{}, patient, kgo.MaxBufferedRecords(1))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- events.Publish(ctx, placed(t)) }()
	awaitBuffered(events, 1)
	cancel()
	wantError(t, <-first, context.Canceled)
	wantError(t, events.Publish(t.Context(), placed(t)), kgo.ErrMaxBuffered, "events: publish order "+string(orderID))
}

func TestPublishWithoutBrokerFailsByItsDeadlineAndNothingStays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		addr string
		opts []kgo.Opt
	}{
		"nobody listens": {nettest.Reserve(t), nil},
		"nobody answers": {"broker:9092", []kgo.Opt{silentBroker()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const timeout = 1200 * time.Millisecond
				events := newEvents(t, test.addr, switches{extra: 3}, Timeouts{Publish: timeout}, test.opts...)
				start := time.Now()
				err := events.Publish(t.Context(), placed(t))
				wantPassing(t, err, "events: publish order "+string(orderID), `topic "orders"`, test.addr)
				if took := time.Since(start); took > timeout {
					t.Errorf("the error came after %v, want %v at most", took, timeout)
				}
				if err := events.Close(t.Context()); err != nil { // returns when the buffer is empty
					t.Error(err)
				}
			})
		})
	}
}

func TestCloseEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hook tracer
		events := newEvents(t, "broker:9092", switches{extra: 3}, Timeouts{Publish: 50 * time.Millisecond}, silentBroker(), kgo.WithHooks(&hook))
		wantPassing(t, events.Publish(t.Context(), placed(t)))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		wantError(t, events.Close(ctx), context.DeadlineExceeded, "events: flush")
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("closed after %v, want 50ms", took)
		}
		if got := hook.ended.Load(); got != 4 {
			t.Errorf("%d records have ended, want all 4", got)
		}
	})
}

// portOf is the number in an address.
func portOf(t *testing.T, addr string) int {
	t.Helper()
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return int(parsed.Port())
}

func TestBrokerMayComeAndGo(t *testing.T) {
	t.Parallel()
	addr, data := nettest.Reserve(t), t.TempDir()
	events := newEvents(t, addr, switches{}, patient)
	published := make(chan error, 1)
	publish := func() { published <- events.Publish(t.Context(), placed(t)) }
	for range 2 {
		go publish() // while there is no broker
		cluster, _ := broker(t, kfake.Ports(portOf(t, addr)), kfake.DataDir(data))
		if err := <-published; err != nil {
			t.Errorf("publish, while the broker comes: %v", err)
		}
		if err := events.Publish(t.Context(), placed(t)); err != nil {
			t.Errorf("publish, while the broker is there: %v", err)
		}
		cluster.Close()
	}
}

func TestWhileTheBrokerIsAwayOneEventAtATimeWaitsForIt(t *testing.T) {
	t.Parallel()
	addr := nettest.Reserve(t)
	events := newEvents(t, addr, switches{}, patient)
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantPassing(t, events.Publish(impatient, placed(t))) // so that it is known
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { errs <- events.Publish(t.Context(), placed(t)) }()
	}
	for range cap(errs) - 1 {
		wantError(t, <-errs, errLost, "events: publish order "+string(orderID))
	}

	broker(t, kfake.Ports(portOf(t, addr)))
	if err := <-errs; err != nil {
		t.Errorf("the one that has waited for the broker: %v", err)
	}
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		t.Errorf("once the broker is back: %v", err)
	}
}

func TestBrokerMayComeBackWithANewTopic(t *testing.T) {
	t.Parallel()
	addr := nettest.Reserve(t)
	first, _ := broker(t, kfake.Ports(portOf(t, addr)))
	events := newEvents(t, addr, switches{}, patient)
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	broker(t, kfake.Ports(portOf(t, addr)))
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		wantError(t, err, kerr.UnknownTopicID)
	}
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		t.Errorf("the second event after the topic was made again: %v", err)
	}
}

func TestTopicIsMadeWhenThereIsNone(t *testing.T) {
	t.Parallel()
	_, addr := broker(t, kfake.AllowAutoTopicCreation())
	events, err := NewEvents(addr, "parcels", switches{}, patient)
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Publish(t.Context(), placed(t)); err != nil {
		t.Error(err)
	}
	if err := events.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := consume(t, addr, "parcels", 1); len(got) != 1 {
		t.Errorf("%d events, want 1", len(got))
	}
}

func TestOrderOfManyLinesIsPublished(t *testing.T) {
	t.Parallel()
	_, addr := broker(t)
	o := placed(t)
	item := o.Items[0]
	item.ProductID = strings.Repeat("x", 128) // the longest
	o.Items = slices.Repeat([]order.Item{item}, 5000)
	if err := newEvents(t, addr, switches{}, patient).Publish(t.Context(), o); err != nil {
		t.Error(err)
	}
}

func TestTopicThatIsMadeLaterIsFound(t *testing.T) {
	t.Parallel()
	_, addr := broker(t)
	events, err := NewEvents(addr, "parcels", switches{}, patient)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = events.Close(t.Context()) })
	wantPassing(t, events.Publish(t.Context(), placed(t)), `topic "parcels"`)
	operator, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "parcels", 1, 1
	create := kmsg.NewCreateTopicsRequest()
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(t.Context(), operator); err != nil {
		t.Fatal(err)
	}
	wantPublishedSoon(t, events)
}

func TestOrderThatIsTooLargeForABatchIsRefused(t *testing.T) {
	t.Parallel()
	_, addr := broker(t)
	o := placed(t)
	o.Address.Street = strings.Repeat("x", maxBatchBytes)
	err := newEvents(t, addr, switches{}, patient).Publish(t.Context(), o)
	wantError(t, err, order.ErrRefused, "events: publish order "+string(orderID), "MESSAGE_TOO_LARGE")
}

// placedAs is an order of that id.
func placedAs(t *testing.T, id string) *order.Order {
	t.Helper()
	o := placed(t)
	o.ID = order.ID(id)
	return o
}

// wantEvents reads the topic until it has seen an event of every order. Copies are allowed.
func wantEvents(t *testing.T, addr string, ids ...string) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("orders"), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	missing := make(map[string]bool)
	for _, id := range ids {
		missing[id] = true
	}
	for len(missing) > 0 && ctx.Err() == nil {
		for _, record := range consumer.PollFetches(ctx).Records() {
			delete(missing, string(record.Key))
		}
	}
	if len(missing) > 0 {
		t.Errorf("acknowledged, and not in the topic: %v", slices.Sorted(maps.Keys(missing)))
	}
}

// sameProducerID has the broker hand out one producer id to everybody, as one that was rebuilt empty does: it starts at 0
// again. kfake takes records for repeats by their sequence numbers, as Kafka does.
func sameProducerID(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ProducerID, resp.ProducerEpoch = 0, 0
		return resp, nil, true
	})
}

func TestNoEventIsTakenForARepeatOfAnotherProcess(t *testing.T) {
	t.Parallel()
	cluster, addr := broker(t)
	sameProducerID(cluster)
	before, after := newEvents(t, addr, switches{}, patient), newEvents(t, addr, switches{}, patient)
	var ids []string
	for i := range 5 {
		for name, events := range map[string]*Events{"before": before, "after": after} {
			id := name + strconv.Itoa(i)
			ids = append(ids, id)
			if err := events.Publish(t.Context(), placedAs(t, id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantEvents(t, addr, ids...)
}

func TestNoEventIsLostWhenTheBrokerIsRebuiltEmpty(t *testing.T) {
	t.Parallel()
	addr := nettest.Reserve(t)
	first, _ := broker(t, kfake.Ports(portOf(t, addr)))
	sameProducerID(first)
	running := newEvents(t, addr, switches{}, patient)
	if err := running.Publish(t.Context(), placedAs(t, "0")); err != nil {
		t.Fatal(err)
	}
	first.Close()
	rebuilt, _ := broker(t, kfake.Ports(portOf(t, addr)))
	sameProducerID(rebuilt)
	var ids []string
	publish := func(events *Events) {
		id := strconv.Itoa(len(ids) + 1)
		ids = append(ids, id)
		err := events.Publish(t.Context(), placedAs(t, id))
		if errors.Is(err, kerr.UnknownTopicID) { // as recovery does
			err = events.Publish(t.Context(), placedAs(t, id))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		publish(running)
	}
	restarted := newEvents(t, addr, switches{}, patient)
	for range 3 {
		publish(restarted)
		publish(running)
	}
	wantEvents(t, addr, ids...)
}

// answering has the broker answer the next n requests of a key in this way.
func answering(cluster *kfake.Cluster, key kmsg.Key, n int32, answer func(kmsg.Request) kmsg.Response) {
	var seen atomic.Int32
	cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if seen.Add(1) > n {
			return nil, nil, false
		}
		return answer(r), nil, true
	})
}

// refusing is the answer to a produce request of which every partition is refused with the error.
func refusing(err *kerr.Error) func(kmsg.Request) kmsg.Response {
	return func(r kmsg.Request) kmsg.Response {
		req := r.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range req.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				refused := kmsg.NewProduceResponseTopicPartition()
				refused.Partition, refused.ErrorCode, refused.BaseOffset = partition.Partition, err.Code, -1
				answer.Partitions = append(answer.Partitions, refused)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp
	}
}

// fewTries is how often an event is tried after an error that was answered once or twice.
const fewTries = 5

func wantPublishedSoon(t *testing.T, events *Events) {
	t.Helper()
	var err error
	for range fewTries {
		if err = events.Publish(t.Context(), placed(t)); err == nil {
			return
		}
		wantPassing(t, err)
	}
	t.Errorf("after %d tries: %v", fewTries, err)
}

func TestErrorOfTheBrokerThatHasPassedIsForgotten(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{
		kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.UnknownServerError,
		kerr.UnsupportedVersion, kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState,
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.NotEnoughReplicas, kerr.KafkaStorageError, kerr.InvalidTimestamp,
	} {
		t.Run("InitProducerID is answered "+refusal.Message, func(t *testing.T) {
			t.Parallel()
			cluster, addr := broker(t)
			answering(cluster, kmsg.InitProducerID, 1, func(r kmsg.Request) kmsg.Response {
				resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
				resp.ErrorCode = refusal.Code
				return resp
			})
			wantPublishedSoon(t, newEvents(t, addr, switches{}, patient))
		})
		t.Run("Produce is answered "+refusal.Message, func(t *testing.T) {
			t.Parallel()
			cluster, addr := broker(t)
			answering(cluster, kmsg.Produce, 2, refusing(refusal))
			wantPublishedSoon(t, newEvents(t, addr, switches{}, patient))
		})
		t.Run("Metadata are answered "+refusal.Message, func(t *testing.T) {
			t.Parallel()
			cluster, addr := broker(t)
			answering(cluster, kmsg.Metadata, 2, func(r kmsg.Request) kmsg.Response {
				resp := r.ResponseKind().(*kmsg.MetadataResponse)
				for _, topic := range r.(*kmsg.MetadataRequest).Topics {
					refused := kmsg.NewMetadataResponseTopic()
					refused.Topic, refused.TopicID, refused.ErrorCode = topic.Topic, topic.TopicID, refusal.Code
					resp.Topics = append(resp.Topics, refused)
				}
				return resp
			})
			wantPublishedSoon(t, newEvents(t, addr, switches{}, patient))
		})
	}
}

func TestEventThatTheBrokerWillNeverTakeIsRefused(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.MessageTooLarge, kerr.InvalidRecord, kerr.PolicyViolation} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			cluster, addr := broker(t)
			answering(cluster, kmsg.Produce, 2, refusing(refusal))
			events := newEvents(t, addr, switches{}, patient)
			wantError(t, events.Publish(t.Context(), placed(t)), order.ErrRefused, "events: publish order "+string(orderID), refusal.Message)
			if err := events.Publish(t.Context(), placed(t)); err != nil {
				t.Errorf("the next event: %v", err)
			}
		})
	}
}

// TestEventRefusedInABatchIsSentAlone: the topic takes no batch of as many events as wait for the broker at once.
func TestEventRefusedInABatchIsSentAlone(t *testing.T) {
	t.Parallel()
	oneFits := map[string]string{"message.max.bytes": "700"}
	cluster, addr := broker(t, kfake.BrokerConfigs(oneFits))
	first, release := make(chan struct{}), make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.DropControl()
		close(first)
		cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	events := newEvents(t, addr, switches{}, patient)
	var publishing sync.WaitGroup
	var ids []string
	for i := range 20 {
		id := strconv.Itoa(i)
		ids = append(ids, id)
		publishing.Go(func() {
			if err := events.Publish(t.Context(), placedAs(t, id)); err != nil {
				t.Errorf("order %s: %v", id, err)
			}
		})
		if i == 0 {
			<-first // the others wait together
		}
	}
	awaitBuffered(events, int64(len(ids)))
	close(release)
	publishing.Wait()
	wantEvents(t, addr, ids...)
}

func TestEventsNeedABroker(t *testing.T) {
	t.Parallel()
	_, err := NewEvents(" , ", "", switches{}, usual)
	wantError(t, err, nil, `events: topic "orders"`)
}
