package order

import (
	"context"
	"errors"
	"time"

	"checkout/internal/money"
	"checkout/internal/wait"
)

// Duplicate requests. A request is for the same order as another if it has the same idempotency key or, without one, if it
// comes while the user's order is in progress, or when the cart is empty because that order was placed.

// terms are what duplicates have in common. The card is not compared, because it is not on record, nor is the cart, because it
// may be empty by now.
type terms struct {
	userID, key string
	currency    money.Currency
	email       EmailAddress
	address     Address
}

func (r Request) terms() terms { return terms{r.UserID, r.Key, r.Currency, r.Email, r.Address} }
func (o *Order) terms() terms  { return terms{o.UserID, o.Key, o.Currency, o.Email, o.Address} }

// existing answers a request for an order that is being placed in this process, or that is on record with the same key.
// Otherwise it returns the call that is to place the order: the user's only one in this process, and admitted.
func (p *Placer) existing(ctx context.Context, req Request) (*call, *Order, error) {
	c, answer, err := p.joinInFlight(ctx, req, false)
	if c == nil {
		return nil, answer, err
	}
	if c.declined, err = p.Admission.Allow(req); err != nil {
		err = Fail(ErrOverloaded, "", err)
	} else if err = p.admit(ctx, c); err == nil && req.Key != "" {
		answer, err = p.replay(ctx, c)
	}
	if answer != nil || err != nil {
		c.end(ctx, answer, err)
		return nil, answer, err
	}
	return c, nil, nil
}

// admit waits until the order may be placed. Releasing the call with the order's failure counts a declined card as well.
func (p *Placer) admit(ctx context.Context, c *call) error {
	admitted, err := p.Admission.Admit(ctx)
	if err != nil {
		return p.held(Fail(ErrOverloaded, "", err))
	}
	c.admitted = func(failure error) {
		if errors.Is(failure, ErrDeclined) && c.declined != nil {
			c.declined()
		}
		admitted(failure)
	}
	return nil
}

// replay is the answer of the order that was placed with the call's key, if there is one. It is waited for without a place in
// the admission.
func (p *Placer) replay(ctx context.Context, c *call) (*Order, error) {
	o, err := p.lookup(ctx, c.request)
	if o == nil || err != nil {
		return nil, err
	}
	c.release(ErrBusy)
	return p.replayAnswer(ctx, o, c.request.terms())
}

// emptyCartTime is how long after an order an empty cart means that its answer was lost, if there is no key.
const emptyCartTime = 24 * time.Hour

// replayIfEmptied answers a call that could not be priced, or not charged in time. If its cart is empty the answer may be that
// of the order that has emptied it. Without a key, the failure says whether the user's latest order may be the same purchase.
func (p *Placer) replayIfEmptied(ctx context.Context, c *call, failure error) (*Order, error) {
	req, empty := c.request, errors.Is(failure, ErrEmptyCart)
	if req.Key != "" && !empty || errors.Is(failure, ErrInternal) {
		c.release(outcome(ctx, failure))
		return nil, failure // the key was looked up, or the failure claims nothing
	}
	if ctx.Err() != nil {
		c.release(outcome(ctx, failure))
		return nil, mayBePaid(failure)
	}
	o, err := p.lookup(ctx, req)
	c.release(outcome(ctx, failure)) // the order may have to be waited for
	switch {
	case err != nil && empty:
		return nil, err
	case err != nil:
		return nil, mayBePaid(failure)
	case o == nil, req.Key == "" && o.terms() != req.terms():
		return nil, failure
	case empty && (req.Key != "" || o.mayHaveEmptiedCart()):
		return p.replayAnswer(ctx, o, req.terms())
	case !o.Settled(), o.mayHaveEmptiedCart(): // perhaps since the cart was read, if it was
		return nil, mayBePaid(failure)
	}
	return nil, failure
}

// mayHaveEmptiedCart reports whether the order has emptied the cart lately, or was about to.
func (o *Order) mayHaveEmptiedCart() bool {
	switch o.State {
	case Charging, Charged, Placed, Completed, Undelivered:
		return time.Since(o.Created) < emptyCartTime
	case Refunding:
		return o.TrackingID != "" && time.Since(o.Created) < emptyCartTime // it was placed, and perhaps a part is refunded
	case Declined, InDoubt, Refunded, Cancelled, Parked:
	}
	return false
}

// lookup returns the order of the request's key or, without one, the user's latest; nil if there is none.
func (p *Placer) lookup(ctx context.Context, req Request) (*Order, error) {
	o, err := p.Store.Find(ctx, req.UserID, req.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, mayBePaid(&Error{Kind: ErrUnavailable, Step: StepRecord, Err: err})
	}
	return o, nil
}

// replayAnswer waits for the answer of an order that was asked for before.
func (p *Placer) replayAnswer(ctx context.Context, o *Order, asked terms) (*Order, error) {
	if o.terms() != asked {
		return nil, &Error{Kind: ErrKeyReused, OrderID: o.ID}
	}
	return p.await(ctx, o, p.answered).repeated()
}

// waitFor waits until an order no longer blocks the user's next one. If the next one is the same purchase, the answer is that of
// the order, unless that was placed and its cart is settled: then the cart decides whether it is the same or a new one.
func (p *Placer) waitFor(ctx context.Context, conflict, next *Order) (*Order, error) {
	if next.Key != "" && conflict.Key == next.Key {
		return p.replayAnswer(ctx, conflict, next.terms())
	}
	same := conflict.terms() == next.terms() && sameLines(next.Lines(), conflict.Items)
	began := time.Now().Round(0)
	soon := func() bool { return time.Since(began) < cartHaste }
	o := p.await(ctx, conflict, func(o *Order) bool {
		return o.Settled() || p.requiresOperator(o.State) || same && p.answered(o) && (o.State == Charged || !soon())
	})
	emptied := (o.State == Placed || o.State == Completed) && o.Settled() && soon()
	switch {
	case same && !emptied && o.State != Cancelled: // or, after so long, perhaps not emptied at all
		return o.repeated()
	case o.Settled():
		return nil, nil
	case p.requiresOperator(o.State) && o.failure() != nil: // and it cannot be superseded: money may have moved for the very same things
		return o.repeated()
	}
	return nil, &Error{Kind: ErrBusy, OrderID: o.ID}
}

// answered reports whether callers need not wait for the order any longer.
func (p *Placer) answered(o *Order) bool {
	switch o.State {
	case Charging:
		return false
	case Charged:
		return o.Attempts > 0 // its first caller has been answered, too
	case InDoubt, Refunding:
		return p.requiresOperator(o.State)
	case Placed, Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
	}
	return true
}

// await follows an order of another run, perhaps in another process, until done or ctx ends. It returns the
// order as it was last seen.
func (p *Placer) await(ctx context.Context, o *Order, done func(*Order) bool) *Order {
	const first, last = 5 * time.Millisecond, 250 * time.Millisecond
	p.calls.joined.Add(1)
	defer p.calls.joined.Add(-1)
	for delay := first; !done(o) && wait.For(ctx, p.jitter(delay)); delay = min(2*delay, last) {
		if fresh, err := p.Store.Get(ctx, o.ID); err == nil {
			o = fresh
		}
	}
	return o
}

// canBeSuperseded reports whether an order that requires an operator may be left behind as its user's latest by the next one.
// Where money may have moved for the very same things, it may not.
func (o *Order) canBeSuperseded(next *Order) bool {
	switch {
	case o.State != InDoubt && o.State != Parked && o.State != Refunding:
		return false
	case o.TransactionID == "" || o.ShipAttempts > 0:
		return !sameLines(next.Lines(), o.Items)
	}
	return o.terms() != next.terms() || !sameLines(next.Lines(), o.Items)
}

// repeated is the outcome of a call as another call gets it.
func repeated(o *Order, err error) (*Order, error) {
	if err == nil {
		return o.repeated()
	}
	if failure, ok := errors.AsType[*Error](err); ok && failure.OrderID != "" {
		again := *failure
		again.Repeated = true
		return nil, &again
	}
	return nil, err
}

// repeated is the answer to another call than the one that placed the order. It says so: an order counts once.
func (o *Order) repeated() (*Order, error) {
	err := o.failure()
	if failure, ok := errors.AsType[*Error](err); ok {
		failure.Repeated = true
		return nil, failure
	}
	answer := *o
	answer.Repeated = true
	return &answer, nil
}

// failure is the answer of an order that is not on its way; nil for one that is.
func (o *Order) failure() error {
	failure := &Error{Step: StepCharge, OrderID: o.ID}
	if o.Reason != "" {
		failure.Err = errors.New(o.Reason)
	}
	if o.TrackingID != "" { // it was placed; if it was refunded later, a repeated request still gets this answer
		return nil
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
