package order

import (
	"context"
	"errors"
	"time"

	"checkout/internal/wait"
)

// Asking twice. A request names the same order as another when it has the same idempotency key or, without one, when it
// comes while the user's order is under way, or when the cart is empty because that order was placed.

// replayTime is for how long an empty cart is taken for a lost answer, when there is no key to tell.
const replayTime = 24 * time.Hour

// tick is how finely the store's clock counts: after it, what has been settled is over. It may take longer, up to longTick
// a time, when the store's clock was set back.
const (
	tick     = 2 * time.Millisecond
	longTick = 250 * time.Millisecond
)

// before is the order that was placed with the request's key, or nil.
func (p *Placer) before(ctx context.Context, req Request) (*Order, error) {
	if req.Key == "" {
		return nil, nil
	}
	return p.find(ctx, req)
}

// replay answers a request that found the cart empty: by the order that has emptied it, if that is what was asked for.
func (p *Placer) replay(ctx context.Context, req Request, empty error) (*Order, error) {
	o, err := p.find(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case o == nil, req.Key == "" && !o.mayHaveEmptied(req):
		return nil, empty
	}
	return p.join(ctx, o, req)
}

// mayHaveEmptied tells whether the order asks for what req does, and is or was about to empty the cart.
func (o *Order) mayHaveEmptied(req Request) bool {
	switch o.State {
	case Charging, Charged, Placed, Completed, Undelivered:
		return o.asksFor(req) && time.Since(o.Created) < replayTime
	case Declined, InDoubt, Refunding, Refunded, Cancelled, Parked:
	}
	return false
}

// find is the order of the request's key or, without one, the user's latest; nil if there is none.
func (p *Placer) find(ctx context.Context, req Request) (*Order, error) {
	o, err := p.Store.Find(ctx, req.UserID, req.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	}
	return o, nil
}

// asksFor tells whether the order is what the request asks for. The card does not count: it is not on record. Neither do
// the contents of the cart: they may be gone.
func (o *Order) asksFor(req Request) bool {
	return o.UserID == req.UserID && o.Key == req.Key && o.Currency == req.Currency && o.Email == req.Email && o.Address == req.Address
}

// join waits for the answer of an order that was asked for before.
func (p *Placer) join(ctx context.Context, o *Order, req Request) (*Order, error) {
	if !o.asksFor(req) {
		return nil, &Error{Kind: ErrKeyReused, OrderID: o.ID}
	}
	return p.await(ctx, o, p.answered).repeat()
}

// yield waits until the rival is out of the way of next, which req asks for. If that is the same purchase it gets the
// rival's answer, unless the rival was placed and its cart has been dealt with: then only the cart can tell whether this is
// the same once more.
func (p *Placer) yield(ctx context.Context, rival, next *Order, req Request) (*Order, error) {
	if req.Key != "" && rival.Key == req.Key {
		return p.join(ctx, rival, req)
	}
	same := rival.asksFor(req) && sameLines(next.Lines(), rival.Items)
	began := time.Now().Round(0)
	o := p.await(ctx, rival, func(o *Order) bool {
		return o.Settled() || p.rests(o.State) || same && o.State == Charged && p.answered(o)
	})
	emptied := (o.State == Placed || o.State == Completed) && o.Settled() && time.Since(began) < cartHaste
	switch {
	case same && !emptied: // or, after so long, perhaps not emptied at all
		return o.repeat()
	case o.Settled():
		return nil, nil
	case p.rests(o.State) && o.failure() != nil: // and it did not give way: money may have moved for the very same things
		return o.repeat()
	}
	return nil, &Error{Kind: ErrBusy, OrderID: o.ID}
}

// answered tells whether callers need not wait for the order any longer.
func (p *Placer) answered(o *Order) bool {
	switch o.State {
	case Charging:
		return false
	case Charged:
		return o.Attempts > 0 // its first caller has been told, too
	case InDoubt, Refunding:
		return p.rests(o.State)
	case Placed, Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
	}
	return true
}

// await follows an order that somebody else works on, perhaps in another process, until done or ctx ends. It returns the
// order as it was last seen.
func (p *Placer) await(ctx context.Context, o *Order, done func(*Order) bool) *Order {
	const first, last = 5 * time.Millisecond, 250 * time.Millisecond
	for delay := first; !done(o) && wait.For(ctx, p.jitter(delay)); delay = min(2*delay, last) {
		if fresh, err := p.Store.Get(ctx, o.ID); err == nil {
			o = fresh
		}
	}
	return o
}

// answer is what a caller is told of an order that is on record.
func (o *Order) answer() (*Order, error) {
	if err := o.failure(); err != nil {
		return nil, err
	}
	return o, nil
}

// repeat is the answer to another call than the one that placed the order. It says so: an order counts once.
func (o *Order) repeat() (*Order, error) {
	err := o.failure()
	if failure, ok := errors.AsType[*Error](err); ok {
		failure.Repeated = true
		return nil, failure
	}
	answer := *o
	answer.Repeated = true
	return &answer, nil
}

// failure is what a caller is told of an order that is not on its way; nil for one that is.
func (o *Order) failure() error {
	failure := &Error{Step: StepCharge, OrderID: o.ID}
	if o.Reason != "" {
		failure.Err = errors.New(o.Reason)
	}
	switch o.State {
	case Charged, Placed, Completed, Undelivered:
		return nil
	case Parked:
		switch {
		case o.TransactionID == "":
			failure.Kind = ErrInDoubt
		case o.ShipAttempts > 0: // it is paid, and may have been shipped
			return nil
		default:
			failure.Kind, failure.Step = ErrUnshippable, StepShip
		}
	case Charging, InDoubt:
		failure.Kind = ErrInDoubt
	case Declined:
		failure.Kind = ErrDeclined
	case Cancelled:
		failure.Kind = ErrPaymentUnreachable
	case Refunded:
		failure.Kind, failure.Step = ErrRefunded, StepShip
	case Refunding:
		failure.Kind = ErrInDoubt
		if o.TransactionID != "" {
			failure.Kind, failure.Step = ErrUnshippable, StepShip
		}
	}
	return failure
}

// givesWay tells whether an order that waits for a person may be left behind as its user's latest by a new one. Where
// money may have moved for the very same things, it may not.
func (o *Order) givesWay(next *Order, req Request) bool {
	switch {
	case o.State != InDoubt && o.State != Parked && o.State != Refunding:
		return false
	case o.TransactionID == "" || o.ShipAttempts > 0:
		return !sameLines(next.Lines(), o.Items)
	}
	return !o.asksFor(req) || !sameLines(next.Lines(), o.Items)
}
