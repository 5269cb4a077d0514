package order

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/money"
)

func TestAnOperatorResolvesAnOrder(t *testing.T) {
	for name, test := range map[string]struct {
		step        Step
		err         error
		act         func(*Placer, ID) (*Order, error)
		state       State // a minute later
		refused     error
		wantParcels int
	}{
		"in doubt, paid":                    {StepCharge, errAway, resolve(Paid, "tx 1"), Completed, nil, 1},
		"in doubt, paid, without a receipt": {StepCharge, errAway, resolve(Paid, ""), InDoubt, ErrRefused, 0},
		"in doubt, not paid":                {StepCharge, errAway, resolve(NotPaid, ""), Cancelled, nil, 0},
		"in doubt, paid back":               {StepCharge, errAway, resolve(PaidBack, ""), Refunded, nil, 0},
		"in doubt, once more":               {StepCharge, errAway, (*Placer).retry, InDoubt, ErrRefused, 0},
		"unshippable, paid back":            {StepShip, ErrRefused, resolve(PaidBack, ""), Refunded, nil, 0},
		"unshippable, once more":            {StepShip, ErrRefused, (*Placer).retry, Completed, nil, 1},
		"unshippable, not paid":             {StepShip, ErrRefused, resolve(NotPaid, ""), Parked, ErrRefused, 0},
		"unshippable, paid by another":      {StepShip, ErrRefused, resolve(Paid, "tx 1"), Parked, ErrRefused, 0},
		"unshippable, no such verdict":      {StepShip, ErrRefused, resolve("perhaps", ""), Parked, ErrRefused, 0},
		"completed":                         {"nothing", nil, resolve(PaidBack, ""), Completed, ErrFenced, 1},
		"declined":                          {StepCharge, ErrRefused, resolve(Paid, "tx 1"), Declined, ErrFenced, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = failing(test.step, 1, test.err)
				p := s.open(t)
				_, _ = ask(t, p, request())
				p.runs.Wait()
				id := s.the(t).ID
				o, err := test.act(p, id)
				if !errors.Is(err, test.refused) {
					t.Errorf("%v, want %v", err, test.refused)
				}
				if err == nil && o.History[len(o.History)-1].By != "grace" {
					t.Errorf("the history is %v, want it to end with who did it", o.History)
				}
				recovering(t, p, time.Minute)
				if got := s.the(t); got.State != test.state || s.parcels[id] != test.wantParcels {
					t.Errorf("a minute later the order is %v with %d parcels, want %v with %d", got.State, s.parcels[id], test.state, test.wantParcels)
				}
			})
		})
	}
}

// TestAnOrderIsCancelledOrRefunded has a payment service that is idempotent.
func TestAnOrderIsCancelledOrRefunded(t *testing.T) {
	for name, test := range map[string]struct {
		step     Step
		err      error
		kind     ResolutionKind
		part     bool  // of the total
		state    State // a minute later
		refused  error
		reversed bool
	}{
		"completed, refunded":   {"nothing", nil, Refund, false, Refunded, nil, true},
		"undelivered, in part":  {StepEmail, ErrRefused, Refund, true, Undelivered, ErrRefused, false},
		"completed, cancelled":  {"nothing", nil, Cancel, false, Completed, ErrFenced, false},
		"undelivered, refunded": {StepEmail, ErrRefused, Refund, false, Refunded, nil, true},
		"declined, refunded":    {StepCharge, ErrRefused, Refund, false, Declined, ErrFenced, false},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.keyed = true
				s.before = failing(test.step, 1, test.err)
				p := s.open(t)
				_, _ = ask(t, p, request())
				p.runs.Wait()
				o := s.the(t)
				amount := o.Total
				if test.part {
					amount = o.Shipping
				}
				for range 2 { // the second time it is refused or, when the record was lost in between, the same
					_, err := p.Resolve(p.life, o.ID, Resolution{Kind: test.kind, Amount: amount, By: "grace", Why: "sent back"})
					if test.refused != nil && !errors.Is(err, test.refused) || test.refused == nil && err != nil && !errors.Is(err, ErrFenced) {
						t.Errorf("%v, want %v", err, test.refused)
					}
					recovering(t, p, time.Minute)
				}
				is := s.the(t)
				if is.State != test.state || s.undone[o.ID] != test.reversed {
					t.Errorf("a minute later the order is %v, reversed %t; want %v, %t", is.State, s.undone[o.ID], test.state, test.reversed)
				}
				if test.reversed && is.failure() != nil {
					t.Errorf("a duplicate request gets %v, want the order that was placed", is.failure())
				}
			})
		})
	}
}

func TestABasicPaymentServiceRefundsNothing(t *testing.T) {
	total, err := money.New("CHF", 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	paid := &Order{State: Completed, TransactionID: "tx", TrackingID: "parcel", Total: total}
	parked := &Order{State: Parked, TransactionID: "tx"}
	for _, keyed := range []bool{false, true} {
		if got := slices.Contains(paid.Decisions(keyed), Refund); got != keyed {
			t.Errorf("keyed %t: a refund is offered: %t", keyed, got)
		}
		if got := slices.Contains(parked.Decisions(keyed), Cancel); got != keyed {
			t.Errorf("keyed %t: a cancellation is offered: %t", keyed, got)
		}
	}
}

func resolve(v ResolutionKind, tx string) func(*Placer, ID) (*Order, error) {
	return func(p *Placer, id ID) (*Order, error) {
		return p.Resolve(p.life, id, Resolution{Kind: v, TransactionID: tx, By: "grace", Why: "asked the bank"})
	}
}

func (p *Placer) retry(id ID) (*Order, error) {
	return p.Resolve(p.life, id, Resolution{Kind: Retry, By: "grace", Why: "the shipping service is back"})
}

func TestAResolutionThatIsInterruptedLeavesTheOrderToBeResolved(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepShip, 1, ErrRefused)
		p := s.open(t)
		_, _ = ask(t, p, request())
		id := s.the(t).ID
		synctest.Wait()
		s.before = failing("save refunded", 1, errAway)
		if _, err := resolve(PaidBack, "")(p, id); !errors.Is(err, errAway) {
			t.Errorf("%v, want that the record is away", err)
		}
		if o, err := resolve(PaidBack, "")(p, id); err != nil || o.State != Refunded {
			t.Errorf("once more: %v, %v; want it refunded", o, err)
		}
	})
}

func TestAnUnknownOrderIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := resolve(Paid, "tx")(newShop().open(t), "none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v, want not found", err)
		}
	})
}

// A refund under way does not wait for an operator, so nobody is told to retry it.
func TestARefundDuringARefundIsToldThatOneIsUnderWay(t *testing.T) {
	o := &Order{State: Refunding, TransactionID: "t", Total: usd("5.00")}
	if _, err := o.resolved(Resolution{Kind: Refund, Amount: usd("5.00")}, true); !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), "its refund is under way") {
		t.Errorf("refused with %v", err)
	}
}

func TestAnOperatorIsNotAskedToRecordARefundThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	for state, want := range map[State]bool{Completed: false, Undelivered: true, Parked: true} {
		o := &Order{State: state, TransactionID: "tx 1"}
		if _, err := o.resolved(Resolution{Kind: Refund}, false); !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "then record that") != want {
			t.Errorf("%v: %v, asked to record it: want %t", state, err, want)
		}
	}
}
