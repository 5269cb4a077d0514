package order

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"checkout/internal/money"
)

// ResolutionKind is what an operator has found out about an order, or has decided.
type ResolutionKind string

const (
	// Retry: the order goes on from where it stopped. A paid order is shipped again: the operator has made sure that it was not
	// shipped before.
	Retry ResolutionKind = "retry"
	// Paid: the money was taken, and is kept. The order is shipped.
	Paid ResolutionKind = "paid"
	// NotPaid: no money was taken, and none will be. The order is cancelled.
	NotPaid ResolutionKind = "not paid"
	// PaidBack: the money was taken, and given back. The order is over.
	PaidBack ResolutionKind = "paid back"
	// Shipped: a paid order that was possibly shipped was shipped. The e-mail and the event follow.
	Shipped ResolutionKind = "shipped"
	// SkipDeliveries: deliveries that could not be made are not made. The order is complete without them.
	SkipDeliveries ResolutionKind = "skip"
	// Cancel: a parked order is given up; the operator has made sure that it was not shipped. An idempotent payment service reverses the charge.
	Cancel ResolutionKind = "cancel"
	// Refund: a paid order, shipped or perhaps shipped, is refunded by an idempotent payment service; a completed one perhaps in part.
	Refund ResolutionKind = "refund"
)

// Resolution is what an operator does about an order that requires one. It becomes part of the order's history.
type Resolution struct {
	Kind          ResolutionKind
	TransactionID string       // with Paid: the receipt, where there is none on record
	TrackingID    string       // with Shipped: of the parcel
	Skip          Delivery     // with SkipDeliveries: some of the order's undeliverable ones
	Amount        money.Amount // with Refund: what is refunded
	By, Why       string       // who has decided, and for which reason
	Seen          time.Time    // Changed of the order that was looked at; zero: whatever the order is by now
}

// Resolve records what an operator has found out about an order that requires one, or has decided. It returns the order as
// it is then, or ErrNotFound, ErrFenced when the order does not require an operator, or ErrRefused when the resolution
// contradicts what is on record; ErrUnsent when certainly nothing was recorded. Recovery takes the order further.
func (p *Placer) Resolve(ctx context.Context, id ID, r Resolution) (*Order, error) {
	if _, err := p.Preview(ctx, id, r); err != nil { // before it is taken over: what is not done shall leave no trace
		return nil, err
	}
	o, err := p.Store.Take(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
	}
	to, err := o.resolved(r, p.Ledger != nil)
	if err != nil {
		return nil, err
	}
	from := o.State
	o.enter(to, HistoryEntry{Problem: r.Why, By: r.By})
	hold := p.hold(to)
	if to.Queue() != 0 {
		hold = 0 // for recovery to take up at once
	}
	return o, p.Store.Save(ctx, o, from, hold)
}

// Preview returns the order as a resolution would make it, or the error that Resolve would return. It records nothing.
func (p *Placer) Preview(ctx context.Context, id ID, r Resolution) (*Order, error) {
	o, err := p.Store.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
	}
	o.State, err = o.resolved(r, p.Ledger != nil)
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Decisions are the kinds of resolution that do not contradict what is on record of an order that requires an operator.
// keyed: the payment service is idempotent.
func (o *Order) Decisions(keyed bool) (kinds []ResolutionKind) {
	for _, kind := range []ResolutionKind{Paid, NotPaid, Shipped, PaidBack, SkipDeliveries, Retry, Cancel, Refund} {
		would := *o
		r := Resolution{Kind: kind, TrackingID: "any", Skip: o.Undeliverable, Amount: o.left()}
		if kind == Paid {
			r.TransactionID = cmp.Or(o.TransactionID, "any")
		}
		if _, err := would.resolved(r, keyed); err == nil {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// contradicts is why a resolution is refused: it contradicts what is on record, or lacks something.
func contradicts(field, format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, Violation{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// resolved makes o what the resolution says that it is, and returns its new state. keyed: the payment service is idempotent.
func (o *Order) resolved(r Resolution, keyed bool) (State, error) {
	if !r.Seen.IsZero() && r.Seen.UnixMilli() != o.Changed.UnixMilli() {
		return 0, contradicts("seen", "it has changed since you looked at it: look at it again")
	}
	switch o.State {
	case Completed:
		if r.Kind != Refund {
			return 0, fmt.Errorf("%w: it is %s", ErrFenced, o.State)
		}
	case InDoubt, Refunding, Parked, Undelivered: // whether it is held for an operator, too, is for the record to say
	case Charging, Charged, Placed, Declined, Refunded, Cancelled:
		return 0, fmt.Errorf("%w: it is %s", ErrFenced, o.State)
	}
	anywhere := r.Kind == Retry || r.Kind == Cancel || r.Kind == Refund
	if !anywhere && (r.Kind == SkipDeliveries) != (o.State == Undelivered) {
		return 0, contradicts("resolution", "it is %s", o.State)
	}
	switch r.Kind {
	case Retry:
		return o.retried(keyed)
	case Cancel:
		return o.cancelled(keyed)
	case Refund:
		return o.refunded(r.Amount, keyed)
	case Paid:
		return o.paid(r.TransactionID)
	case NotPaid:
		switch {
		case r.TransactionID != "":
			return 0, contradicts("transaction_id", "an order that was not paid has no transaction")
		case o.TransactionID != "":
			return 0, contradicts("resolution", "it was paid, by transaction %s", o.TransactionID)
		}
		return Cancelled, nil
	case PaidBack:
		return o.paidBack(), nil
	case Shipped:
		return o.shipped(r.TrackingID)
	case SkipDeliveries:
		return o.skip(r.Skip)
	}
	return 0, contradicts("resolution", "unknown resolution %q", r.Kind)
}

// retried makes o one that goes on from where it stopped.
func (o *Order) retried(keyed bool) (State, error) {
	switch undone := o.undone(); {
	case o.State == Undelivered:
		o.Undeliverable = 0
		return Placed, nil
	case undone && keyed:
		return Refunding, nil
	case undone:
		return 0, contradicts("resolution", "it is to be paid back, which the payment service cannot do by itself")
	case o.TransactionID != "":
		o.ShipAttempts = 0
		return Charged, nil
	case keyed:
		return InDoubt, nil
	}
	return 0, contradicts("resolution", "the payment service cannot be asked whether it was paid; find out from the payment provider")
}

// basic is why nothing is refunded with a payment service that is not idempotent, and what to do instead.
func (o *Order) basic() error {
	then := ", then record that"
	if o.State == Completed {
		then = ""
	}
	return contradicts("resolution", "the payment service is a basic one, which cannot refund: refund it at the payment provider%s", then)
}

// cancelled makes o one whose charge is reversed because it is not wanted any more.
func (o *Order) cancelled(keyed bool) (State, error) {
	switch {
	case !keyed:
		return 0, o.basic()
	case o.State != Parked:
		return 0, contradicts("resolution", "it is %s; only a parked order can be cancelled", o.State)
	case o.undone():
		return 0, contradicts("resolution", "its refund was asked for already: retry it")
	case o.ShipAttempts > 0 || o.TrackingID != "":
		return 0, contradicts("resolution", "it was perhaps shipped: see to the parcel, and refund it")
	}
	return Refunding, nil
}

// left is what of the charge was not refunded.
func (o *Order) left() money.Amount {
	if refunded, err := o.Refunded.Mul(-1); err == nil {
		if left, err := o.Total.Add(refunded); err == nil {
			return left
		}
	}
	return o.Total // nothing was
}

// paidBack makes o one whose charge was given back by hand, all of it or what was asked for.
func (o *Order) paidBack() State {
	if o.RefundTo == (money.Amount{}) {
		return Refunded
	}
	o.Refunded, o.RefundTo = o.RefundTo, money.Amount{}
	return Completed
}

// refunded makes o one whose charge is reversed, or refunded in part, although it was shipped, or may have been.
func (o *Order) refunded(amount money.Amount, keyed bool) (State, error) {
	switch {
	case !keyed:
		return 0, o.basic()
	case o.TransactionID == "":
		return 0, contradicts("resolution", "it is not known to be paid")
	case o.State == Refunding:
		return 0, contradicts("resolution", "its refund is under way")
	case o.undone():
		return 0, contradicts("resolution", "its refund was asked for already: retry it")
	case o.State == Parked && o.ShipAttempts == 0:
		return 0, contradicts("resolution", "it was not shipped: cancel it")
	case o.State != Completed && o.State != Undelivered && o.State != Parked:
		return 0, contradicts("resolution", "it is %s", o.State)
	}
	left := o.left()
	switch more, err := amount.Compare(left); {
	case err != nil:
		return 0, contradicts("amount", "must be in %s", left.Currency())
	case amount.Sign() <= 0:
		return 0, contradicts("amount", "must be more than 0")
	case more > 0:
		return 0, contradicts("amount", "must be at most %s, which is left of the charge", left)
	case more == 0: // all
	case o.State != Completed:
		return 0, contradicts("amount", "must be %s, the order's total: only a completed order is refunded in part", left)
	default:
		o.RefundTo = amount
		if total, err := o.Refunded.Add(amount); err == nil { // something was refunded before
			o.RefundTo = total
		}
	}
	return Refunding, nil
}

// paid makes o one that was paid by the transaction.
func (o *Order) paid(transactionID string) (State, error) {
	switch known := o.TransactionID; {
	case o.undone():
		return 0, contradicts("resolution", "it is to be paid back, and perhaps was")
	case known == "" && transactionID == "":
		return 0, contradicts("transaction_id", "the transaction is missing")
	case known != "" && transactionID != "" && known != transactionID:
		return 0, contradicts("transaction_id", "it was paid by transaction %s", known)
	case known != "" && o.ShipAttempts > 0:
		return 0, contradicts("resolution", "it was paid; find out whether it was shipped")
	case known == "":
		o.TransactionID = transactionID
	}
	return Charged, nil
}

// shipped makes o one that was shipped with the tracking id.
func (o *Order) shipped(trackingID string) (State, error) {
	switch {
	case o.undone():
		return 0, contradicts("resolution", "it is to be paid back, and perhaps was")
	case o.State != Parked || o.TransactionID == "":
		return 0, contradicts("resolution", "it is not known whether it was paid")
	case trackingID == "":
		return 0, contradicts("tracking_id", "the tracking id is missing")
	}
	o.TrackingID = trackingID
	return Placed, nil
}

// skip makes o one that does without the deliveries.
func (o *Order) skip(deliveries Delivery) (State, error) {
	if deliveries == 0 || !o.Undeliverable.Has(deliveries) {
		return 0, contradicts("skip", "only a delivery that could not be made can be skipped")
	}
	o.Undeliverable &^= deliveries
	o.Skipped |= deliveries
	if o.Undeliverable != 0 {
		return Undelivered, nil
	}
	return Completed, nil
}

// undone reports whether the charge's reversal was ever asked for: it may land at any time, so the order must not be shipped.
func (o *Order) undone() bool {
	for _, e := range slices.Backward(o.History) {
		if o.State == Parked && e.State != Parked {
			return e.State == Refunding
		}
	}
	return o.State == Refunding
}
