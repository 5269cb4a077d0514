package order

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/wait"
)

// run is one execution of an order's steps: by Place right after the order was opened, or by recovery.
type run struct {
	*Placer
	order    *Order                // its goroutine's own; others look at recorded
	recorded atomic.Pointer[Order] // a copy of the order as the store knows it

	card     creditcard.Card // of Place alone: it is never stored, so no other run can charge it
	caller   *caller         // of Place alone
	timing   timing          // of the charge; likewise
	held     time.Time       // when the order's lease began: it is this run's until the lease is over
	reserved bool            // the latest of order.ShipAttempts is on record and was not made: it is this run's to make
	pending  *HistoryEntry   // an outcome that could not be recorded in time
	claimed  atomic.Int64    // the epoch in which recovery, in this process, left the order to this run, because that has the outcome
}

// caller is the caller that waits for a run of Place.
type caller struct {
	release  func(failure error) // gives the call's place in the admission back
	answered chan struct{}       // closed when the rest is known
	placed   *Order
	failure  error
	gone     atomic.Bool // without the answer
}

// start makes the run of an order that was just opened.
func (p *Placer) start(c *call, o *Order, charge timing) *run {
	r := &run{Placer: p, order: o, caller: &caller{release: c.handOver(), answered: make(chan struct{})}, timing: charge}
	r.card = c.request.Card.Clone() // the caller's is cleared when it has its answer, which may be before the charge
	r.snapshot()
	c.run.Store(r)
	return r
}

// finish has the steps carried out, with or without the caller. It returns the caller's answer: the outcome, or, when
// their time is over, what is on record.
func (r *run) finish(ctx context.Context) (*Order, error) {
	r.runs.Go(func() {
		ctx := wait.Within(r.life, ctx) // it outlives the caller, but not the service
		r.answer(ctx, r.execute(ctx))
		r.retryRecord(ctx)
	})
	c := r.caller
	select {
	case <-c.answered:
	case <-ctx.Done():
		c.gone.Store(true)
		switch o := r.recorded.Load(); o.State {
		case Charging:
			return nil, o.error(ErrInDoubt, StepCharge, ctx.Err())
		case Charged, Placed, InDoubt, Refunding:
			if err := o.failure(); err != nil {
				return nil, err
			}
			return o, nil
		case Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
			<-c.answered // nothing is waited for any more, and only the answer tells how it came there
		}
	}
	return c.placed, c.failure
}

// execute carries out the steps that the order still needs, from its recorded state on: Place enters at the top, recovery
// wherever the order is. Each step ends with a record, and the next one begins only when that is durable.
func (r *run) execute(ctx context.Context) (err error) {
	defer caught(&err)
	for err == nil {
		if r.requiresOperator(r.order.State) { // recovery can no longer continue it
			return r.save(ctx, r.order.State, UntilResolved)
		}
		switch r.order.State {
		case Charging:
			err = r.charge(ctx) // then it is charged, or declined, cancelled or in doubt
		case InDoubt:
			err = r.lookUp(ctx) // charged or refunding
		case Charged:
			err = r.ship(ctx) // placed, or refunding or parked
		case Refunding:
			err = r.refund(ctx) // refunded or cancelled
		case Placed:
			r.emptyCart(ctx)
			r.answer(ctx, nil)
			return r.deliver(ctx) // completed or undelivered
		case Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
			return nil
		}
	}
	return err
}

// answer gives the caller the outcome, unless it has one. An order that is paid and recorded is an answer, whatever has failed
// since. A failure that no caller gets is reported.
func (r *run) answer(ctx context.Context, err error) {
	c := r.caller
	if c == nil || c.placed != nil || c.failure != nil {
		r.report(ctx, err)
		return
	}
	r.card.Clear()
	c.release(err) // before the answer: the caller may send the next order at once
	switch o := r.recorded.Load(); {
	case o.failure() == nil:
		c.placed = o
		r.report(ctx, err)
	case errors.Is(err, ErrInternal): // a bug of ours: the card may have been charged before it showed
		c.failure = o.error(ErrInDoubt, StepCharge, err)
		r.report(ctx, err)
	default:
		c.failure = err
	}
	close(c.answered)
	if c.gone.Load() {
		r.report(ctx, c.failure)
	}
}

// report reports a failure that no caller gets.
func (r *run) report(ctx context.Context, err error) {
	if err != nil {
		r.Report(ctx, r.order.ID, err)
	}
}
