package order

import (
	"context"
	"errors"
	"fmt"
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
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
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
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
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
					t.Errorf("who asks again is told %v, want the order that was placed", is.failure())
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
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
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

func TestAReceiptOutlivesAnOutageOfTheRecord(t *testing.T) {
	for name, test := range map[string]struct {
		outage time.Duration
		answer error
	}{
		"shorter than the caller's patience": {10 * time.Second, nil},
		"shorter than the lease":             {20 * time.Second, ErrInDoubt},
		"longer than the lease":              {5 * time.Minute, ErrInDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
				back := time.Now().Add(test.outage)
				s.before = func(_ context.Context, step Step) error {
					if step != "open" && recordSteps(step) && time.Now().Before(back) {
						return errAway
					}
					return nil
				}
				p := s.open(t)
				if _, err := ask(t, p, request()); !errors.Is(err, test.answer) {
					t.Errorf("the caller is told %v, want %v", err, test.answer)
				}
				recovering(t, p, test.outage+time.Minute)
				if got := s.the(t).State; got != Completed {
					t.Errorf("once the record is back the order is %v, want completed", got)
				}
				if got := s.books(); got != [4]int{1, 1, 1, 1} {
					t.Errorf("charges, parcels, mails, events: %v, want one of each", got)
				}
			})
		})
	}
}

// The keyed payment service can be asked, and can take back.
func TestNothingIsInDoubtForLongWhenTheLedgerCanBeAsked(t *testing.T) {
	for name, test := range map[string]struct {
		before, after func(context.Context, Step) error
		answer        Kind
		state         State
		books         [4]int // a minute later
	}{
		"charged, the answer lost":       {after: failing(StepCharge, 1, errAway), state: Completed, books: [4]int{1, 1, 1, 1}},
		"not charged":                    {before: failing(StepCharge, 1, errAway), answer: ErrPaymentUnreachable, state: Cancelled},
		"the ledger is away for a while": {after: failing(StepCharge, 1, errAway), before: failing(StepLookup, 3, errAway), answer: ErrInDoubt, state: Completed, books: [4]int{1, 1, 1, 1}},
		"the reversal fails at first":    {before: both(failing(StepCharge, 1, errAway), failing(StepReverse, 2, errAway)), answer: ErrInDoubt, state: Cancelled},
		"shipping refused for good":      {before: failing(StepShip, 1, ErrRefused), answer: ErrRefunded, state: Refunded},
		"and the refund fails at first":  {before: both(failing(StepShip, 1, ErrRefused), failing(StepReverse, 2, errAway)), answer: ErrUnshippable, state: Refunded},
		"the card is refused":            {before: failing(StepCharge, 1, ErrRefused), answer: ErrDeclined, state: Declined},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
				s.keyed, s.before, s.after = true, test.before, test.after
				p := s.open(t)
				_, err := ask(t, p, request())
				var failure *Error
				if test.answer == "" && err != nil || test.answer != "" && (!errors.As(err, &failure) || failure.Kind != test.answer) {
					t.Errorf("Place says %v, want %q", err, test.answer)
				}
				recovering(t, p, time.Minute)
				if got := s.the(t); got.State != test.state {
					t.Errorf("a minute later the order is %v (%q), want %v", got.State, got.Reason, test.state)
				}
				if got := s.books(); got != test.books {
					t.Errorf("charges, parcels, mails, events: %v, want %v", got, test.books)
				}
			})
		})
	}
}

func TestAnOrderOfWhichTheLedgerHasAnotherAmountWaitsForAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.keyed, s.after = true, failing(StepCharge, 1, errAway)
		other, err := money.New("EUR", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.before = func(_ context.Context, step Step) error {
			if step == StepLookup {
				for id := range s.charges {
					s.charges[id] = []money.Amount{other}
				}
			}
			return nil
		}
		p := s.open(t)
		_, err = ask(t, p, request())
		if !errors.Is(err, ErrInDoubt) || !errors.Is(err, ErrGivenUp) {
			t.Errorf("Place says %v, want that the payment is unknown, and that it is given up", err)
		}
		recovering(t, p, time.Minute)
		o := s.the(t)
		if o.State != Parked || o.TransactionID != "" || !strings.Contains(o.Reason, other.String()) || !strings.Contains(o.Reason, o.Total.String()) {
			t.Errorf("the order is %v (%q, transaction %q), want parked, with both amounts in the reason", o.State, o.Reason, o.TransactionID)
		}
		if got, want := s.books(), [4]int{1, 0, 0, 0}; got != want {
			t.Errorf("charges, parcels, mails, events: %v, want %v", got, want)
		}
	})
}

func TestTheRecordShowsNoAddressThatAServiceQuotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.before = failing(StepEmail, 1<<30, fmt.Errorf("%w: no mailbox for ada@leak.example", ErrRefused))
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		recovering(t, p, time.Minute)
		o := s.the(t)
		if o.State != Undelivered || !strings.Contains(o.Reason, "no mailbox for ***") || strings.Contains(fmt.Sprint(o.Reason, o.History), "leak.example") {
			t.Errorf("the order is %v (%q), with the history %v; want undelivered, without the address", o.State, o.Reason, o.History)
		}
	})
}

// TestACompletedOrderIsRefundedInParts refunds twice in part, and then what is left.
func TestACompletedOrderIsRefundedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.keyed, s.before = true, failing(StepReverse, 1, errAway)
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		recovering(t, p, time.Minute)
		o := s.the(t)
		part, err := money.New(o.Total.Currency(), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		refund := func(amount money.Amount) error {
			_, err := p.Resolve(t.Context(), o.ID, Resolution{Kind: Refund, Amount: amount, By: "grace", Why: "broken"})
			recovering(t, p, time.Minute)
			return err
		}
		for n := range int32(2) {
			if err := refund(part); err != nil {
				t.Fatal(err)
			}
			want, _ := part.Mul(n + 1)
			if got := s.the(t); got.State != Completed || got.Refunded != want || s.refunds[o.ID] != want || got.RefundTo != (money.Amount{}) {
				t.Errorf("after refund %d the order is %v with %v refunded, to be %v; the ledger has %v, want %v", n+1, got.State, got.Refunded, got.RefundTo, s.refunds[o.ID], want)
			}
		}
		if err := refund(o.Total); !errors.Is(err, ErrRefused) {
			t.Errorf("the total, of which a part was refunded, is refunded again: %v", err)
		}
		euros, _ := money.New("EUR", 1, 0)
		for want, amount := range map[string]money.Amount{"must be in USD": euros, "must be more than 0": money.Zero(o.Total.Currency())} {
			if err := refund(amount); !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("a refund of %v: %v, want that it %s", amount, err, want)
			}
		}
		left := s.the(t)
		if err := refund(left.left()); err != nil {
			t.Fatal(err)
		}
		if got := s.the(t); got.State != Refunded || !s.undone[o.ID] {
			t.Errorf("what is left was refunded, and the order is %v, reversed %t", got.State, s.undone[o.ID])
		}
	})
}

func TestALedgerThatRefundsWholeChargesOnlyLeavesTheOrderCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.keyed, s.before = true, failing(StepReverse, 1, ErrRefused)
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		recovering(t, p, time.Minute)
		o := s.the(t)
		part, err := money.New(o.Total.Currency(), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resolve(t.Context(), o.ID, Resolution{Kind: Refund, Amount: part, By: "grace", Why: "broken"}); err != nil {
			t.Fatal(err)
		}
		recovering(t, p, time.Minute)
		got := s.the(t)
		if last := got.History[len(got.History)-1]; got.State != Completed || got.Refunded != (money.Amount{}) || !strings.Contains(last.Problem, "refund refused") {
			t.Errorf("the order is %v with %v refunded, %q; want it completed, and why it was not refunded", got.State, got.Refunded, last.Problem)
		}
		if err := func() error {
			_, err := p.Resolve(t.Context(), o.ID, Resolution{Kind: Refund, Amount: o.Total, By: "grace", Why: "broken"})
			return err
		}(); err != nil {
			t.Errorf("it cannot be refunded as a whole: %v", err)
		}
	})
}

func TestACrashAroundTheChargeIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.keyed = true
		p := s.open(t)
		o := opened(t, p).order
		if _, err := s.Charge(t.Context(), o.ID, o.Total, request().Card); err != nil { // and here the process dies
			t.Fatal(err)
		}
		recovering(t, p, time.Minute)
		if got := s.the(t).State; got != Completed {
			t.Errorf("the order is %v, want completed", got)
		}
	})
}

func TestADeliveryThatFailsForADayWaitsForAnOperator(t *testing.T) {
	for _, step := range []Step{StepShip, StepLookup} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
				s.keyed = true
				s.before = failing(step, 1<<30, errAway)
				if step == StepLookup {
					s.after = failing(StepCharge, 1, errAway)
				}
				p := s.open(t)
				_, _ = ask(t, p, request())
				recovering(t, p, 25*time.Hour)
				got := s.the(t)
				if got.State != Parked || got.Reason == "" {
					t.Fatalf("a day later the order is %v (%q), want parked, and why", got.State, got.Reason)
				}
				if len(got.History) > historyLength || got.History[0].State != Charging {
					t.Errorf("its history has %d lines from %v on, want at most %d from the beginning", len(got.History), got.History[0], historyLength)
				}
				synctest.Wait()
				s.before = nil
				if _, err := p.retry(got.ID); err != nil {
					t.Fatal(err)
				}
				recovering(t, p, time.Minute)
				if got := s.the(t).State; got != Completed {
					t.Errorf("sent on its way again the order is %v, want completed", got)
				}
			})
		})
	}
}

func TestAnOrderShowsItsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.before = failing(StepPublish, 3, errAway)
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		recovering(t, p, time.Minute)
		var got []string
		for _, e := range s.the(t).History {
			got = append(got, fmt.Sprintf("%s %s %s ×%d", e.State, e.Step, e.Problem, max(e.Times, 1)))
		}
		want := []string{
			"charging   ×1", "charged   ×1", "placed   ×1",
			"placed publish publish: connection refused ×3", "completed   ×1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
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
