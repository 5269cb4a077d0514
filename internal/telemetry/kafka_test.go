package telemetry

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (r *recording) producer(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.WithHooks(r.KafkaHook()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func header(r *kgo.Record, key string) string {
	i := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == key })
	if i < 0 {
		return ""
	}
	return string(r.Headers[i].Value)
}

func TestARecordIsASpanThatItsConsumersContinue(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := r.producer(t)
	ctx, parent := r.tracer.Start(withBaggage(t, t.Context(), "session.id=s"), "parent")
	first := &kgo.Record{Topic: "orders", Value: []byte("first")}
	second := &kgo.Record{Topic: "orders", Value: []byte("second")}
	for _, record := range []*kgo.Record{first, second} {
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	parent.End()

	span := r.span(t, "producer orders publish") // the second: of one name, the last
	want := `producer orders publish
  bool messaging.kafka.producer.success=true
  int64 messaging.kafka.destination.partition=0
  int64 messaging.kafka.message.offset=1
  int64 messaging.kafka.producer.duration_ms=#
  string messaging.destination.name=orders
  string messaging.operation=publish
  string messaging.system=kafka
  string network.transport=tcp
  string peer.service=kafka
`
	if diff := cmp.Diff(want, describe(span)); diff != "" {
		t.Errorf("span (-want +got):\n%s", diff)
	}
	if span.Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Error("the span is not a child of its caller's")
	}
	context := span.SpanContext()
	if got, want := header(second, "traceparent"), "00-"+context.TraceID().String()+"-"+context.SpanID().String()+"-01"; got != want {
		t.Errorf("the record has traceparent %q, want %q", got, want)
	}
	if got := header(second, "baggage"); got != "session.id=s" {
		t.Errorf("the record has baggage %q, want session.id=s", got)
	}
}

func TestARecordHasTheNamesThatAreAskedFor(t *testing.T) {
	t.Parallel()
	oldNames := []string{"messaging.operation=publish", "messaging.kafka.destination.partition=0", "messaging.kafka.message.offset=0"}
	newNames := []string{
		"messaging.operation.name=send", "messaging.operation.type=send",
		"string messaging.destination.partition.id=0", "messaging.kafka.offset=0",
	}
	for optIn, test := range map[string]struct {
		span     string
		has, not []string
	}{
		"":              {"producer orders publish", oldNames, newNames},
		"messaging":     {"producer send orders", newNames, oldNames},
		"messaging/dup": {"producer orders publish", slices.Concat(oldNames, newNames), nil},
	} {
		t.Run(optIn, func(t *testing.T) {
			t.Parallel()
			r := recordIn(t, dialectApp, env{Options: Options{Getenv: environ("OTEL_SEMCONV_STABILITY_OPT_IN", optIn)}}.conventions())
			if err := r.producer(t).ProduceSync(t.Context(), &kgo.Record{Topic: "orders"}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			got := describe(r.span(t, test.span))
			for _, name := range test.has {
				if !strings.Contains(got, name+"\n") {
					t.Errorf("the span has no %s:\n%s", name, got)
				}
			}
			for _, name := range test.not {
				if strings.Contains(got, name+"\n") {
					t.Errorf("the span has %s:\n%s", name, got)
				}
			}
		})
	}
}

func TestWhatIsSentIsCountedCopiesToo(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := r.producer(t)
	original := &kgo.Record{Topic: "orders", Value: []byte("event")}
	if err := client.ProduceSync(t.Context(), original).FirstErr(); err != nil {
		t.Fatal(err)
	}
	copied := &kgo.Record{Topic: "orders", Headers: original.Headers}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_ = client.ProduceSync(t.Context(), copied)
	_ = client.ProduceSync(canceled, &kgo.Record{Topic: "orders"})
	const attributes = "  string messaging.destination.name=orders\n  string messaging.operation.name=send\n"
	const system = "  string messaging.system=kafka\n"
	got := r.metrics(t)
	want := "{message}\n1\n  string error.type=canceled\n" + attributes + system + "2\n" + attributes + system
	if diff := cmp.Diff(want, got[messagingSent]); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := histogramOf(t, r, messagingDuration); len(got) != 2 || got[0].Count+got[1].Count != 2 {
		t.Errorf("durations are %v, want that of the one that was sent and of the one that was not", got)
	}
}

func TestACopyOfARecordIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := record(t)
	client := r.producer(t)
	original := &kgo.Record{Topic: "orders", Value: []byte("event")}
	if err := client.ProduceSync(t.Context(), original).FirstErr(); err != nil {
		t.Fatal(err)
	}
	copied := &kgo.Record{Topic: "orders", Value: original.Value, Headers: original.Headers, Context: original.Context}
	if err := client.ProduceSync(t.Context(), copied).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := len(r.spans.Started()); got != 1 {
		t.Errorf("%d spans for an event and its copy, want 1", got)
	}
	if diff := cmp.Diff(original.Headers, copied.Headers); diff != "" {
		t.Errorf("the copy's headers differ (-original +copy):\n%s", diff)
	}
}

func TestARecordThatIsGivenUpIsInError(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx    context.Context
		record *kgo.Record
		opts   []kgo.Opt
		want   string
	}{
		"caller gone": {canceled, &kgo.Record{Topic: "orders"}, nil, "canceled"},
		"too large": {
			t.Context(), &kgo.Record{Topic: "orders", Value: make([]byte, 100)},
			[]kgo.Opt{kgo.MaxBufferedBytes(10)},
			kerr.MessageTooLarge.Message,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t)
			if err := r.producer(t, test.opts...).ProduceSync(test.ctx, test.record).FirstErr(); err == nil {
				t.Fatal("the record was not given up")
			}
			got := describe(r.span(t, "producer orders publish"))
			for _, want := range []string{"status Error", "error.type=" + test.want, "producer.success=false"} {
				if !strings.Contains(got, want) {
					t.Errorf("the span has no %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, "offset") {
				t.Errorf("the span has an offset, though the broker gave none:\n%s", got)
			}
		})
	}
}
