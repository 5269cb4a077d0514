package demo

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/oteldemo"
)

// result is an event's order, with a tracking id of its own.
func result(id string) *oteldemo.OrderResult {
	return &oteldemo.OrderResult{
		OrderId:            id,
		ShippingTrackingId: "track-" + id,
		ShippingCost:       usd(8, 990_000_000),
		ShippingAddress:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		Items: []*oteldemo.OrderItem{
			{Item: &oteldemo.CartItem{ProductId: "OLJCESPC7Z", Quantity: 2}, Cost: usd(101, 960_000_000)},
			{Item: &oteldemo.CartItem{ProductId: "HQTGWGPNH4", Quantity: 1}, Cost: usd(0, 990_000_000)},
		},
	}
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newProducer(t *testing.T, address string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(Topic), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produce(ctx context.Context, t *testing.T, client *kgo.Client, values ...[]byte) {
	t.Helper()
	for _, value := range values {
		record := &kgo.Record{Key: []byte("key"), Value: value, Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-1-2-01")}}}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// arrived waits until accounting has seen n events.
func arrived(ctx context.Context, t *testing.T, shop *Shop, n int) []Event {
	t.Helper()
	if err := shop.Await(ctx, func() bool { return len(shop.Accounting.Events()) >= n }); err != nil {
		t.Fatalf("%d events have come, want %d: %v", len(shop.Accounting.Events()), n, err)
	}
	return shop.Accounting.Events()
}

func TestAccountingBooksAnEventOnce(t *testing.T) {
	t.Parallel()
	shop, ctx := openShop(t), soon(t)
	order := result("order-1")
	value := encode(t, order)
	other := result("order-1")
	other.Items[0].Cost = usd(1, 0)

	produce(ctx, t, newProducer(t, shop.Broker.Address()), value, value, encode(t, other))
	events := arrived(ctx, t, shop, 3)

	first := events[0]
	if first.Key != "key" || first.Headers["traceparent"] != "00-1-2-01" || string(first.Value) != string(value) || first.Problem != "" {
		t.Errorf("the event is remembered as %+v", first)
	}
	if diff := cmp.Diff(order, first.Order, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if n := shop.Accounting.Booked(); n != 1 {
		t.Errorf("%d orders booked, want 1", n)
	}
	if all, differing := shop.Accounting.Duplicates(); all != 2 || differing != 1 {
		t.Errorf("%d duplicates, %d of them no copies, want 2 and 1", all, differing)
	}
	if diff := cmp.Diff(order, shop.Accounting.Entry("order-1"), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if entry := shop.Accounting.Entry("order-2"); entry != nil {
		t.Errorf("an order that did not come is booked as %v", entry)
	}
}

func TestAccountingRejectsWhatBreaksItsConstraints(t *testing.T) {
	t.Parallel()
	shop, ctx := openShop(t), soon(t)
	broken := func(change func(*oteldemo.OrderResult)) []byte {
		o := result("order-2")
		change(o)
		return encode(t, o)
	}
	values := [][]byte{
		encode(t, result("order-1")),
		broken(func(o *oteldemo.OrderResult) { o.OrderId = "" }),
		broken(func(o *oteldemo.OrderResult) { o.ShippingTrackingId = "track-order-1" }),
		broken(func(o *oteldemo.OrderResult) { o.Items[1].Item.ProductId = o.GetItems()[0].GetItem().GetProductId() }),
		broken(func(o *oteldemo.OrderResult) { o.Items[1].Item = nil }),
		broken(func(o *oteldemo.OrderResult) { o.Items[1].Cost = nil }),
		broken(func(o *oteldemo.OrderResult) { o.Items = nil }),
		broken(func(o *oteldemo.OrderResult) { o.ShippingCost = nil }),
		broken(func(o *oteldemo.OrderResult) { o.ShippingAddress = nil }),
		[]byte("\xff\xff"),
		encode(t, result("order-2")), // in order after all: nothing of the others was booked
	}

	produce(ctx, t, newProducer(t, shop.Broker.Address()), values...)
	events := arrived(ctx, t, shop, len(values))

	for i, event := range events {
		if rejected, want := event.Problem != "", i != 0 && i != len(values)-1; rejected != want {
			t.Errorf("event %d: problem %q", i, event.Problem)
		}
	}
	if n := shop.Accounting.Booked(); n != 2 || shop.Accounting.Rejects() != len(values)-2 {
		t.Errorf("%d booked, %d rejected, want 2 and %d", n, shop.Accounting.Rejects(), len(values)-2)
	}
}

func TestABrokerThatReturnsStillHasItsRecords(t *testing.T) {
	t.Parallel()
	shop, ctx := openShop(t), soon(t)
	producer := newProducer(t, shop.Broker.Address())
	produce(ctx, t, producer, encode(t, result("order-1")))
	arrived(ctx, t, shop, 1)

	shop.Broker.TakeOffline()
	sent := make(chan error, 1)
	producer.Produce(ctx, &kgo.Record{Value: encode(t, result("order-2"))}, func(_ *kgo.Record, err error) { sent <- err })
	if err := producer.Ping(ctx); err == nil {
		t.Error("a broker that has left answers")
	}
	if err := shop.Broker.BringOnline(); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}

	arrived(ctx, t, shop, 2)
	reader, err := kgo.NewClient(kgo.SeedBrokers(shop.Broker.Address()), kgo.ConsumeTopics(Topic))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var ids []string
	for len(ids) < 2 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var order oteldemo.OrderResult
			if err := proto.Unmarshal(r.Value, &order); err != nil {
				t.Error(err)
			}
			ids = append(ids, order.GetOrderId())
		})
	}
	if got := strings.Join(ids, " "); got != "order-1 order-2" {
		t.Errorf("the topic holds %s", got)
	}
	if all, _ := shop.Accounting.Duplicates(); all != 0 {
		t.Errorf("%d duplicates", all)
	}
}
