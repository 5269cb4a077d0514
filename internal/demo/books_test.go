package demo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"checkout/gen/oteldemo"
)

func TestBooksOfAnOrderThatWentWellBalance(t *testing.T) {
	t.Parallel()
	shop, ctx := openShop(t), soon(t)
	call := metadata.AppendToOutgoingContext(ctx, "idempotency-key", "order-1")
	if _, err := oteldemo.NewPaymentServiceClient(dial(t, shop.Payment.Address())).Charge(call, visa()); err != nil {
		t.Fatal(err)
	}
	if got, want := shop.Books().Differences(), []string{"order order-1: charged, not shipped"}; !cmp.Equal(got, want) {
		t.Errorf("after the charge: %q, want %q", got, want)
	}
	for path, body := range map[string]string{"/ship-order": parcelBody, "/send_order_confirmation": orderBody} {
		address := shop.Shipping.Address()
		if path == "/send_order_confirmation" {
			address = shop.Email.Address()
		}
		if code, _, err := post(ctx, address, path, body); code != 200 || err != nil {
			t.Fatalf("%s: status %d, error %v", path, code, err)
		}
	}
	produce(ctx, t, newProducer(t, shop.Broker.Address()), encode(t, result("order-1")))

	if err := shop.Await(ctx, func() bool { return shop.Books().Balanced() }); err != nil {
		t.Errorf("%v: %v", shop.Books().Differences(), err)
	}
	if got, want := shop.Books().Total(), (Tally{1, 1, 1, 1}); got != want {
		t.Errorf("total %+v, want %+v", got, want)
	}
}

func TestBooksSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tally Tally
		want  []string
	}{
		"in order":       {Tally{1, 1, 1, 1}, nil},
		"charged twice":  {Tally{2, 1, 1, 1}, []string{"order 7: charged 2 times"}},
		"shipped twice":  {Tally{1, 2, 1, 1}, []string{"order 7: shipped 2 times"}},
		"told twice":     {Tally{1, 1, 2, 3}, []string{"order 7: 2 letters", "order 7: 3 events"}},
		"not shipped":    {Tally{1, 0, 0, 0}, []string{"order 7: charged, not shipped"}},
		"not charged":    {Tally{0, 1, 1, 1}, []string{"order 7: shipped, not charged"}},
		"told of nobody": {Tally{1, 1, 0, 0}, []string{"order 7: shipped, no letter", "order 7: shipped, no event"}},
		"false promises": {Tally{0, 0, 1, 1}, []string{"order 7: a letter, not shipped", "order 7: an event, not shipped"}},
	} {
		got := Books{map[string]Tally{"7": test.tally}}.Differences()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	keyless := Books{map[string]Tally{"": {Charges: 2}}}.Differences()
	if diff := cmp.Diff([]string{"without a key: charged 2 times", "without a key: charged, not shipped"}, keyless); diff != "" {
		t.Error(diff)
	}
}
