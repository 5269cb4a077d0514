package order

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// What people do about orders that wait for them.

// Note is who had something done to an order, and why. It becomes part of the order's story.
type Note struct {
	By, Why string
}

// Verdict is what a person has found out about an order's money.
type Verdict string

const (
	// Paid: the money was taken, and is kept. The order is shipped.
	Paid Verdict = "paid"
	// NotPaid: no money was taken, and none will be. The order is cancelled.
	NotPaid Verdict = "not paid"
	// PaidBack: the money was taken, and given back. The order is over.
	PaidBack Verdict = "paid back"
)

// Retry sends an order that rests on its way again, from where it stopped. It returns the order as it is then, or
// ErrNotFound, ErrFenced when the order does not rest, or ErrRefused when it cannot go on without a resolution.
func (p *Placer) Retry(ctx context.Context, id ID, note Note) (*Order, error) {
	return p.settle(ctx, id, note, func(o *Order) (State, error) {
		switch undone := o.undone(); {
		case undone && p.Ledger != nil:
			return Refunding, nil
		case undone:
			return 0, fmt.Errorf("%w: it is to be paid back, which the payment service cannot do by itself", ErrRefused)
		case o.TransactionID != "":
			return Charged, nil
		case p.Ledger != nil:
			return InDoubt, nil
		}
		return 0, fmt.Errorf("%w: nobody knows whether it was paid", ErrRefused)
	})
}

// Resolve records what a person has found out about the money of an order that rests. transactionID is the receipt, with
// Paid and where there is none on record. It returns the order as it is then, or ErrNotFound, ErrFenced when the order
// does not rest, or ErrRefused when the verdict contradicts what is on record.
func (p *Placer) Resolve(ctx context.Context, id ID, verdict Verdict, transactionID string, note Note) (*Order, error) {
	return p.settle(ctx, id, note, func(o *Order) (State, error) {
		switch known := o.TransactionID; {
		case verdict == NotPaid && known != "":
			return 0, fmt.Errorf("%w: it was paid, by transaction %s", ErrRefused, known)
		case verdict == NotPaid:
			return Cancelled, nil
		case verdict == PaidBack:
			return Refunded, nil
		case verdict == Paid && o.undone():
			return 0, fmt.Errorf("%w: it is to be paid back, and perhaps was", ErrRefused)
		case verdict != Paid:
			return 0, fmt.Errorf("%w: no such verdict: %q", ErrRefused, verdict)
		case known == "" && transactionID == "":
			return 0, fmt.Errorf("%w: the transaction is missing", ErrRefused)
		case known != "" && transactionID != "" && known != transactionID:
			return 0, fmt.Errorf("%w: it was paid by transaction %s", ErrRefused, known)
		case known == "":
			o.TransactionID = transactionID
		}
		return Charged, nil
	})
}

// undone tells whether the charge's reversal was ever asked for: it may land at any time, so the order must not be shipped.
func (o *Order) undone() bool {
	for _, e := range slices.Backward(o.Story) {
		if e.State != Parked {
			return e.State == Refunding
		}
	}
	return o.State == Refunding
}

// settle takes over an order that rests and records the state that decide finds for it. From there on it is recovery's.
func (p *Placer) settle(ctx context.Context, id ID, note Note, decide func(*Order) (State, error)) (*Order, error) {
	o, err := p.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch o.State {
	case InDoubt, Refunding, Parked, Undelivered: // whether it rests, too, is for the record to say
	case Charging, Charged, Placed, Completed, Declined, Refunded, Cancelled:
		return nil, fmt.Errorf("%w: it is %s", ErrFenced, o.State)
	}
	if _, err := decide(o); err != nil { // before it is taken over: what is not done shall leave no trace
		return nil, err
	}
	if o, err = p.Store.Take(ctx, id); err != nil {
		return nil, err
	}
	to, err := decide(o)
	if err != nil {
		return nil, err
	}
	from := o.State
	o.State, o.Reason, o.Changed, o.Attempts = to, note.Why, time.Now(), 0
	o.tell(Event{At: o.Changed, State: to, Problem: note.Why, By: note.By})
	if to == Cancelled {
		o.Key = ""
	}
	hold := time.Duration(0) // for recovery to take up at once
	if to.Final() {
		hold = retention
	}
	return o, p.Store.Save(ctx, o, from, hold)
}

// rests tells whether an order that comes into this state waits for a person, because nothing here can take it further. One
// that came into it under another kind of payment service may rest all the same: its record knows.
func (p *Placer) rests(s State) bool {
	switch s {
	case Parked, Undelivered:
		return true
	case InDoubt, Refunding:
		return p.Ledger == nil
	case Charging, Charged, Placed, Completed, Declined, Refunded, Cancelled:
	}
	return false
}
