package order

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"checkout/internal/money"
)

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
			inShop(t, func(t *testing.T, s *shop) {
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
				s.wantMoved(t, test.books)
			})
		})
	}
}

func TestAnOrderOfWhichTheLedgerHasAnotherAmountWaitsForAnOperator(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
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
		s.wantMoved(t, [4]int{1, 0, 0, 0})
	})
}

func TestACrashAroundTheChargeIsLookedUp(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
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

// refunding has an operator refund what was placed, and recovery do it.
func refunding(t *testing.T, p *Placer, id ID, amount money.Amount) error {
	t.Helper()
	_, err := p.Resolve(t.Context(), id, Resolution{Kind: Refund, Amount: amount, By: "grace", Why: "broken"})
	recovering(t, p, time.Minute)
	return err
}

// TestACompletedOrderIsRefundedInParts refunds twice in part, and then what is left.
func TestACompletedOrderIsRefundedInParts(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.keyed, s.before = true, failing(StepReverse, 1, errAway)
		p := s.placed(t)
		o := s.the(t)
		for n, want := range []money.Amount{usd("2.00"), usd("4.00")} {
			if err := refunding(t, p, o.ID, usd("2.00")); err != nil {
				t.Fatal(err)
			}
			if got := s.the(t); got.State != Completed || got.Refunded != want || s.refunds[o.ID] != want || got.RefundTo != (money.Amount{}) {
				t.Errorf("after refund %d the order is %v with %v refunded, to be %v; the ledger has %v, want %v", n+1, got.State, got.Refunded, got.RefundTo, s.refunds[o.ID], want)
			}
		}
		for why, amount := range map[string]money.Amount{
			"must be in USD": amount("EUR", "1.00"), "must be more than 0": usd("0.00"), "which is left of the charge": o.Total,
		} {
			if err := refunding(t, p, o.ID, amount); !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), why) {
				t.Errorf("a refund of %v: %v, want that it %s", amount, err, why)
			}
		}
		left := s.the(t)
		if err := refunding(t, p, o.ID, left.left()); err != nil {
			t.Fatal(err)
		}
		if got := s.the(t); got.State != Refunded || !s.undone[o.ID] {
			t.Errorf("what is left was refunded, and the order is %v, reversed %t", got.State, s.undone[o.ID])
		}
	})
}

func TestALedgerThatRefundsWholeChargesOnlyLeavesTheOrderCompleted(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.keyed, s.before = true, failing(StepReverse, 1, ErrRefused)
		p := s.placed(t)
		o := s.the(t)
		if err := refunding(t, p, o.ID, usd("2.00")); err != nil {
			t.Fatal(err)
		}
		got := s.the(t)
		if last := got.History[len(got.History)-1]; got.State != Completed || got.Refunded != (money.Amount{}) || !strings.Contains(last.Problem, "refund refused") {
			t.Errorf("the order is %v with %v refunded, %q; want it completed, and why it was not refunded", got.State, got.Refunded, last.Problem)
		}
		if err := refunding(t, p, o.ID, o.Total); err != nil {
			t.Errorf("it cannot be refunded as a whole: %v", err)
		}
	})
}
