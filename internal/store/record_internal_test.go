package store

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/money"
	"checkout/internal/order"
)

// The file was written by the service before it encoded items with the generated messages: fields in another order, and
// those that are zero written out.
func TestARecordOfAnEarlierReleaseIsRead(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("testdata/body-2026-11.binpb")
	if err != nil {
		t.Fatal(err)
	}
	usd := func(units int64, nanos int32) money.Amount {
		amount, err := money.New("USD", units, nanos)
		if err != nil {
			t.Fatal(err)
		}
		return amount
	}
	placed := time.UnixMilli(1764000000123).UTC()
	want := &order.Order{
		ID: "0b7e1a52-6f0e-4ef0-9f7f-2f1f6d9f7c11", State: order.Placed, UserID: "alice", Created: placed, Changed: placed,
		Currency: "USD", Email: "alice@example.com",
		Address: order.Address{Street: "1 Main St", City: "Zürich", Country: "CH", ZipCode: "8001"},
		Items: []order.Item{
			{Line: order.Line{ProductID: "OLJCESPC7Z", Quantity: 2}, Cost: usd(19, 990_000_000)},
			{Line: order.Line{ProductID: "FREE", Quantity: 1}, Cost: usd(0, 0)},
			{Line: order.Line{ProductID: "BACK", Quantity: 1}, Cost: usd(-1, -10_000_000)},
		},
		Shipping: usd(8, 900_000_000), Total: usd(47, 870_000_000),
		TransactionID: "tx-1", TrackingID: "parcel-1", ShipAttempts: 1, Undeliverable: order.Delivery(2),
		Trace: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		History: []order.HistoryEntry{
			{At: placed, State: order.Charging},
			{At: placed, Last: placed.Add(time.Second), State: order.Placed, Step: order.StepEmail, Problem: "refused", Times: 2, By: "op"},
		},
	}
	now, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	before := *now
	before.body = body
	got, err := before.decode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(money.Amount{})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if !now.same(&before) {
		t.Error("the record written now is not the same as the earlier one")
	}
}

func TestAProductThatIsNoTextDoesNotKeepAnOrderFromBeingRead(t *testing.T) {
	t.Parallel()
	rec, err := encode(&order.Order{Items: []order.Item{{Line: order.Line{ProductID: "tele\xffscope", Quantity: 1}, Cost: money.Zero("USD")}}, Shipping: money.Zero("USD"), Total: money.Zero("USD")})
	if err != nil {
		t.Fatal(err)
	}
	o, err := rec.decode()
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Items[0].ProductID; got != "tele\uFFFDscope" {
		t.Errorf("the product is %q", got)
	}
}
