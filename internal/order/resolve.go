package order

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// ResolutionKind is what an operator has found out about an order, or has decided.
type ResolutionKind string

const (
	// Retry: the order goes on from where it stopped. A paid order is shipped again: the operator vouches that it was not
	// shipped before.
	Retry ResolutionKind = "retry"
	// Paid: the money was taken, and is kept. The order is shipped.
	Paid ResolutionKind = "paid"
	// NotPaid: no money was taken, and none will be. The order is cancelled.
	NotPaid ResolutionKind = "not paid"
	// PaidBack: the money was taken, and given back. The order is over.
	PaidBack ResolutionKind = "paid back"
	// Shipped: a paid order, of which nobody knew whether it was shipped, was. The e-mail and the event follow.
	Shipped ResolutionKind = "shipped"
	// SkipDeliveries: deliveries that could not be made are not made. The order is complete without them.
	SkipDeliveries ResolutionKind = "skip"
)

// Resolution is what an operator does about an order that requires one. It becomes part of the order's history.
type Resolution struct {
	Kind          ResolutionKind
	TransactionID string   // with Paid: the receipt, where there is none on record
	TrackingID    string   // with Shipped: of the parcel
	Skip          Delivery // with SkipDeliveries: some of the order's undeliverable ones
	By, Why       string   // who has decided, and for which reason
}

// Resolve records what an operator has found out about an order that requires one, or has decided. It returns the order as
// it is then, or ErrNotFound, ErrFenced when the order does not require an operator, or ErrRefused when the resolution
// contradicts what is on record. Recovery takes the order further.
func (p *Placer) Resolve(ctx context.Context, id ID, r Resolution) (*Order, error) {
	o, err := p.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch o.State {
	case InDoubt, Refunding, Parked, Undelivered: // whether it is held for an operator, too, is for the record to say
	case Charging, Charged, Placed, Completed, Declined, Refunded, Cancelled:
		return nil, fmt.Errorf("%w: it is %s", ErrFenced, o.State)
	}
	if _, err := p.resolved(o, r); err != nil { // before it is taken over: what is not done shall leave no trace
		return nil, err
	}
	if o, err = p.Store.Take(ctx, id); err != nil {
		return nil, err
	}
	to, err := p.resolved(o, r)
	if err != nil {
		return nil, err
	}
	from := o.State
	o.State, o.Reason, o.Changed, o.Attempts = to, r.Why, time.Now(), 0
	o.tell(HistoryEntry{At: o.Changed, State: to, Problem: r.Why, By: r.By})
	if to == Cancelled {
		o.Key = ""
	}
	hold := p.hold(to)
	if to.Queue() != 0 {
		hold = 0 // for recovery to take up at once
	}
	return o, p.Store.Save(ctx, o, from, hold)
}

// resolved makes o what the resolution says that it is, and returns its new state.
func (p *Placer) resolved(o *Order, r Resolution) (State, error) {
	if r.Kind == Retry {
		return p.retried(o)
	}
	if (r.Kind == SkipDeliveries) != (o.State == Undelivered) {
		return 0, fmt.Errorf("%w: it is %s", ErrRefused, o.State)
	}
	switch r.Kind {
	case Paid:
		return o.paid(r.TransactionID)
	case NotPaid:
		if o.TransactionID != "" {
			return 0, fmt.Errorf("%w: it was paid, by transaction %s", ErrRefused, o.TransactionID)
		}
		return Cancelled, nil
	case PaidBack:
		return Refunded, nil
	case Shipped:
		return o.shipped(r.TrackingID)
	case SkipDeliveries:
		return o.skip(r.Skip)
	case Retry: // see above
	}
	return 0, fmt.Errorf("%w: unknown resolution %q", ErrRefused, r.Kind)
}

// retried makes o one that goes on from where it stopped.
func (p *Placer) retried(o *Order) (State, error) {
	switch undone := o.undone(); {
	case o.State == Undelivered:
		o.Undeliverable = 0
		return Placed, nil
	case undone && p.Ledger != nil:
		return Refunding, nil
	case undone:
		return 0, fmt.Errorf("%w: it is to be paid back, which the payment service cannot do by itself", ErrRefused)
	case o.TransactionID != "":
		o.ShipAttempts = 0
		return Charged, nil
	case p.Ledger != nil:
		return InDoubt, nil
	}
	return 0, fmt.Errorf("%w: nobody knows whether it was paid", ErrRefused)
}

// paid makes o one that was paid by the transaction.
func (o *Order) paid(transactionID string) (State, error) {
	switch known := o.TransactionID; {
	case o.undone():
		return 0, fmt.Errorf("%w: it is to be paid back, and perhaps was", ErrRefused)
	case known == "" && transactionID == "":
		return 0, fmt.Errorf("%w: the transaction is missing", ErrRefused)
	case known != "" && transactionID != "" && known != transactionID:
		return 0, fmt.Errorf("%w: it was paid by transaction %s", ErrRefused, known)
	case known != "" && o.ShipAttempts > 0:
		return 0, fmt.Errorf("%w: it was paid; find out whether it was shipped", ErrRefused)
	case known == "":
		o.TransactionID = transactionID
	}
	return Charged, nil
}

// shipped makes o one that was shipped with the tracking id.
func (o *Order) shipped(trackingID string) (State, error) {
	switch {
	case o.undone():
		return 0, fmt.Errorf("%w: it is to be paid back, and perhaps was", ErrRefused)
	case o.State != Parked || o.TransactionID == "":
		return 0, fmt.Errorf("%w: nobody knows whether it was paid", ErrRefused)
	case trackingID == "":
		return 0, fmt.Errorf("%w: the tracking id is missing", ErrRefused)
	}
	o.TrackingID = trackingID
	return Placed, nil
}

// skip makes o one that does without the deliveries.
func (o *Order) skip(deliveries Delivery) (State, error) {
	if deliveries == 0 || !o.Undeliverable.Has(deliveries) {
		return 0, fmt.Errorf("%w: only a delivery that could not be made can be skipped", ErrRefused)
	}
	o.Undeliverable &^= deliveries
	o.Skipped |= deliveries
	if o.Undeliverable != 0 {
		return Undelivered, nil
	}
	return Completed, nil
}

// undone tells whether the charge's reversal was ever asked for: it may land at any time, so the order must not be shipped.
func (o *Order) undone() bool {
	for _, e := range slices.Backward(o.History) {
		if e.State != Parked {
			return e.State == Refunding
		}
	}
	return o.State == Refunding
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
