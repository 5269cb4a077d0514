package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/money"
	"checkout/internal/order"
)

// TestItemsAreWrittenAsProtobufWouldWriteThem holds what is appended against what the generated messages read.
func TestItemsAreWrittenAsProtobufWouldWriteThem(t *testing.T) {
	t.Parallel()
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		var items []order.Item
		var want []*recordv1.Item
		for range r.IntN(30) {
			units, nanos := r.Int64N(1<<40)-1<<39, r.Int32N(1e9)
			if units < 0 {
				nanos = -nanos
			}
			cost, err := money.New("EUR", units, nanos)
			if err != nil {
				t.Fatal(err)
			}
			line := order.Line{ProductID: fmt.Sprint("product ", r.IntN(1e9)), Quantity: r.Int32() - 1<<30}
			items = append(items, order.Item{Line: line, Cost: cost})
			want = append(want, &recordv1.Item{
				ProductId: line.ProductID, Quantity: line.Quantity, Cost: &recordv1.Money{Currency: "EUR", Units: units, Nanos: nanos},
			})
		}
		rec, err := encode(&order.Order{Items: items, TrackingID: "parcel"})
		if err != nil {
			t.Fatal(err)
		}
		var got recordv1.Order
		if err := proto.Unmarshal(rec.body, &got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(want, got.GetItems(), protocmp.Transform()); diff != "" || got.GetTrackingId() != "parcel" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
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
