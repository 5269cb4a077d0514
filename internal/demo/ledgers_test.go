package demo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"checkout/gen/oteldemo"
)

func TestLedgersOfAnOrderThatWentWellMatch(t *testing.T) {
	t.Parallel()
	shop, ctx := openShop(t), soon(t)
	call := metadata.AppendToOutgoingContext(ctx, "idempotency-key", "order-1")
	if _, err := oteldemo.NewPaymentServiceClient(dial(t, shop.Payment.Address())).Charge(call, visa()); err != nil {
		t.Fatal(err)
	}
	if got, want := shop.Ledgers().Differences(), []string{"order order-1: charged, not shipped"}; !cmp.Equal(got, want) {
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

	if err := shop.Await(ctx, func() bool { return shop.Ledgers().Match() }); err != nil {
		t.Errorf("%v: %v", shop.Ledgers().Differences(), err)
	}
	if got, want := shop.Ledgers().Total(), (Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1}); got != want {
		t.Errorf("total %+v, want %+v", got, want)
	}
}

func TestLedgersSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tally Tally
		want  []string
	}{
		"in order":       {Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1}, nil},
		"charged twice":  {Tally{Charges: 2, Parcels: 1, Emails: 1, Events: 1}, []string{"order 7: charged 2 times"}},
		"shipped twice":  {Tally{Charges: 1, Parcels: 2, Emails: 1, Events: 1}, []string{"order 7: shipped 2 times"}},
		"told twice":     {Tally{Charges: 1, Parcels: 1, Emails: 2, Events: 3}, []string{"order 7: 2 e-mails", "order 7: 3 events"}},
		"not shipped":    {Tally{Charges: 1}, []string{"order 7: charged, not shipped"}},
		"not charged":    {Tally{Parcels: 1, Emails: 1, Events: 1}, []string{"order 7: shipped, not charged"}},
		"told of nobody": {Tally{Charges: 1, Parcels: 1}, []string{"order 7: shipped, no e-mail", "order 7: shipped, no event"}},
		"given back":     {Tally{Charges: 1, Refunds: 1}, nil},
		"charged anew":   {Tally{Charges: 2, Refunds: 1, Parcels: 1, Emails: 1, Events: 1}, nil},
		"one too many":   {Tally{Charges: 2, Refunds: 1}, []string{"order 7: charged, not shipped"}},
		"for nothing":    {Tally{Charges: 1, Refunds: 1, Parcels: 1, Emails: 1, Events: 1}, []string{"order 7: shipped and refunded"}},
		"false promises": {Tally{Emails: 1, Events: 1}, []string{"order 7: an e-mail, not shipped", "order 7: an event, not shipped"}},
	} {
		got := Ledgers{map[string]Tally{"7": test.tally}}.Differences()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	keyless := Ledgers{map[string]Tally{"": {Charges: 2}}}.Differences()
	if diff := cmp.Diff([]string{"without a key: charged 2 times", "without a key: charged, not shipped"}, keyless); diff != "" {
		t.Error(diff)
	}
}

func TestLedgersTellChargesFromNetCharges(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	counter := counterOf(t, shop.Payment)
	counter.charge("order-1")
	counter.charge("order-2")
	counter.reverse("order-2")
	counter.reverse("order-3") // never charged

	want := map[string]Tally{"order-1": {Charges: 1}, "order-2": {Charges: 1, Refunds: 1}}
	if diff := cmp.Diff(want, shop.Ledgers().Orders); diff != "" {
		t.Error(diff)
	}
	if total := shop.Ledgers().Total(); total != (Tally{Charges: 2, Refunds: 1}) || total.Net() != 1 {
		t.Errorf("total %+v, of which %d stand, want 2 charges and 1 refund", total, total.Net())
	}
}
