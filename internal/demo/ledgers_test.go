package demo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
)

func TestLedgersOfAnOrderThatWentWellMatch(t *testing.T) {
	t.Parallel()
	shop, ctx := openShop(t), soon(t)
	call := metadata.AppendToOutgoingContext(ctx, "idempotency-key", "order-1")
	if _, err := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, shop.Payment.Address())).Charge(call, visa()); err != nil {
		t.Fatal(err)
	}
	if got, want := shop.Ledgers().Differences(), []string{"order order-1: paid, not shipped"}; !cmp.Equal(got, want) {
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

func TestTheLedgersOfAnOrderAreCompared(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tally Tally
		state checkoutv1.OrderState
		want  Result
	}{
		{Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1}, 0, Result{Matched, "matches"}},
		{Tally{Charges: 1, Parcels: 1, Emails: 2, Events: 3}, 0, Result{Matched, "matches; confirmed more than once"}},
		{Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1, PartRefunds: 1}, 0, Result{Matched, "matches; refunded in part"}},
		{Tally{Charges: 2, Refunds: 1, Parcels: 1, Emails: 1, Events: 1}, 0, Result{Matched, "matches"}},
		{Tally{Charges: 1, Refunds: 1}, 0, Result{Refunded, "refunded"}},
		{Tally{Charges: 1, Refunds: 1}, checkoutv1.OrderState_IN_DOUBT, Result{Refunded, "refunded"}},
		{Tally{}, 0, Result{Pending, "not charged"}},
		{Tally{}, checkoutv1.OrderState_IN_DOUBT, Result{PaymentUnknown, "payment unknown"}},
		{Tally{Charges: 1}, 0, Result{Pending, "paid, not shipped"}},
		{Tally{Charges: 2, Refunds: 1}, 0, Result{Pending, "paid, not shipped"}},
		{Tally{Charges: 1}, checkoutv1.OrderState_CHARGED, Result{Pending, "paid, not shipped"}},
		{Tally{Charges: 1}, checkoutv1.OrderState_IN_DOUBT, Result{PaymentUnknown, "payment unknown"}},
		{Tally{Charges: 1}, checkoutv1.OrderState_PARKED, Result{Parked, "paid and parked"}},
		{Tally{Charges: 1}, checkoutv1.OrderState_REFUNDED, Result{Refunded, "refunded"}},
		{Tally{Charges: 1}, checkoutv1.OrderState_CANCELLED, Result{Mismatched, "charged, but cancelled"}},
		{Tally{Charges: 1}, checkoutv1.OrderState_DECLINED, Result{Mismatched, "charged, but declined"}},
		{Tally{Charges: 1, Parcels: 1, Events: 2}, 0, Result{Pending, "shipped; e-mail or event pending"}},
		{Tally{Charges: 1, Parcels: 1, Emails: 1}, 0, Result{Pending, "shipped; e-mail or event pending"}},
		{Tally{Charges: 2, Parcels: 1, Emails: 1, Events: 1}, 0, Result{Mismatched, "charged 2 times"}},
		{Tally{Charges: 1, Parcels: 2, Emails: 1, Events: 1}, 0, Result{Mismatched, "shipped 2 times"}},
		{Tally{Parcels: 1, Emails: 1, Events: 1}, 0, Result{Mismatched, "shipped, not paid"}},
		{Tally{Charges: 1, Refunds: 1, Parcels: 1}, 0, Result{Mismatched, "shipped, not paid"}},
		{Tally{Events: 1}, 0, Result{Mismatched, "confirmed, never charged"}},
		{Tally{Charges: 1, Refunds: 1, Emails: 1}, 0, Result{Mismatched, "confirmed, and refunded"}},
	} {
		if got := test.tally.Result(test.state); got != test.want {
			t.Errorf("%+v, %v: %v, want %v", test.tally, test.state, got, test.want)
		}
	}
}

func TestLedgersNameTheOrdersThatDiffer(t *testing.T) {
	t.Parallel()
	well := Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1}
	if l := (Ledgers{map[string]Tally{"7": well}}); !l.Match() || l.Differences() != nil {
		t.Errorf("%v, %t, want that they match", l.Differences(), l.Match())
	}
	l := Ledgers{map[string]Tally{"": {Charges: 2}, "7": well, "8": {Charges: 1}}}
	if want := []string{"without a key: charged 2 times", "order 8: paid, not shipped"}; !cmp.Equal(l.Differences(), want) || l.Match() {
		t.Errorf("%q, want %q", l.Differences(), want)
	}
	if l := (Ledgers{map[string]Tally{"7": {Charges: 1, Parcels: 1, Emails: 2, Events: 1}}}); l.Match() || l.Differences() != nil {
		t.Errorf("%v, %t, want no difference, and yet not each once", l.Differences(), l.Match())
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
	counter.charge("order-4")
	if _, err := counter.ledger.Refund(counter.ctx, &checkoutv1.RefundRequest{IdempotencyKey: "order-4", Amount: usd(1, 0)}); err != nil {
		t.Fatal(err)
	}

	want := map[string]Tally{"order-1": {Charges: 1}, "order-2": {Charges: 1, Refunds: 1}, "order-4": {Charges: 1, PartRefunds: 1}}
	if diff := cmp.Diff(want, shop.Ledgers().Orders); diff != "" {
		t.Error(diff)
	}
	if total := shop.Ledgers().Total(); total != (Tally{Charges: 3, Refunds: 1, PartRefunds: 1}) || total.Net() != 2 {
		t.Errorf("total %+v, of which %d stand, want 3 charges, 1 refund and 1 in part", total, total.Net())
	}
}
