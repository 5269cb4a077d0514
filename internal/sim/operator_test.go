package sim

import (
	"context"
	"errors"
	"time"

	"checkout/internal/order"
)

// operator is a person who looks after the orders that rest, now and then. There are two: they may do so at once.
type operator struct {
	w    *world
	name string
	dice dice
}

func newOperator(w *world, name string) operator {
	return operator{w, name, w.plan.hash("operator").text(name).dice()}
}

// settles is how long an operator waits before believing that no charge is still on its way, and arrives how long before
// believing that of a parcel: a process that was asleep may still send it.
const (
	settles = 110 * time.Second
	arrives = 200 * time.Second
)

// looked is why operators decide as they do.
const looked = "looked into the books"

// retry has an order tried again.
func (op operator) retry() order.Resolution {
	return order.Resolution{Kind: order.Retry, By: op.name, Why: looked}
}

// live is the operator's part in the schedule.
func (op operator) live() {
	for op.w.sleep(op.dice.between(5*time.Second, 25*time.Second) + op.w.plan.dark(op.w.age())) {
		for _, o := range op.resting() {
			op.attend(o)
		}
		for _, o := range op.sentBack() {
			op.attend(o)
		}
	}
}

// resting are the orders that wait for a person.
func (op operator) resting() (resting []*order.Order) {
	w := op.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.orders() {
		if w.rests(o.State) {
			resting = append(resting, o)
		}
	}
	return resting
}

// sentBack are completed orders whose customers want their money back. Both operators may hear of one, more than once.
func (op operator) sentBack() (sent []*order.Order) {
	w := op.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.plan.keyed {
		return nil
	}
	for _, o := range w.orders() {
		if o.State == order.Completed && (w.refunds[o.ID] || op.dice.chance(0.02)) {
			w.refunds[o.ID] = true
			sent = append(sent, o)
		}
	}
	return sent
}

// attend does what is right about an order that rests.
func (op operator) attend(o *order.Order) {
	w := op.w
	w.mu.Lock()
	p := w.replicas[op.dice.IntN(2)].process
	if p == nil || p.closing || p.life.Err() != nil {
		w.mu.Unlock()
		return
	}
	name := w.name(o.ID)
	do := op.decide(p, o)
	if do == nil {
		w.mu.Unlock()
		return
	}
	w.story.tell(w.age(), op.name, "looks after", name, o.State.String())
	done := make(chan error, 1)
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.life, 10*time.Second)
		defer cancel()
		done <- do(ctx)
	})
	w.mu.Unlock()
	err := <-done
	w.mu.Lock()
	defer w.mu.Unlock()
	how := "done"
	if err != nil {
		how = err.Error()
	}
	w.story.tell(w.age(), op.name, "is told", name, how)
}

// decide finds out about the order's money in the true books. The world is locked.
func (op operator) decide(p *process, o *order.Order) func(context.Context) error {
	w, a := op.w, op.w.account(o.ID)
	resolve := func(v order.ResolutionKind, tx string) func(context.Context) error {
		w.saw("a person says " + string(v))
		return func(ctx context.Context) error {
			_, err := p.placer.Resolve(ctx, o.ID, order.Resolution{Kind: v, TransactionID: tx, By: op.name, Why: looked})
			return err
		}
	}
	mistaken := o.TransactionID != "" && op.dice.chance(0.2)
	early := time.Since(o.Changed) < settles && o.TransactionID == ""
	unshippable := o.Address.City == nowhere
	if _, known := w.verdicts[o.ID]; !known {
		w.verdicts[o.ID] = one(op.dice, order.Paid, order.Paid, order.Paid, order.PaidBack) // they agree on what to do
	}
	switch {
	case o.State == order.Completed:
		w.saw("an operator refunds")
		amount := one(op.dice, o.Total, o.Shipping) // which may be more than is left
		return func(ctx context.Context) error {
			_, err := p.placer.Resolve(ctx, o.ID, order.Resolution{Kind: order.Refund, Amount: amount, By: op.name, Why: looked})
			return err
		}
	case mistaken:
		return op.mistake(p, o)
	case o.State == order.Undelivered:
		return op.deliver(p, o)
	case o.State == order.Parked && o.ShipAttempts > 0:
		return op.ship(p, o)
	case w.plan.keyed, o.State == order.Parked && !unshippable:
		w.saw("a person retries")
		return func(ctx context.Context) error {
			_, err := p.placer.Resolve(ctx, o.ID, op.retry())
			return err
		}
	case early:
		return nil
	case a.net() == 0 && o.TransactionID == "" && len(a.taken) == 0:
		w.remembered(o)
		return resolve(order.NotPaid, "")
	case unshippable || w.verdicts[o.ID] == order.PaidBack:
		a.returned = len(a.taken) // by hand, at the payment service
		return resolve(order.PaidBack, "")
	}
	return resolve(order.Paid, a.tx)
}

// ship finds out whether the order was shipped: in the carrier's books.
func (op operator) ship(p *process, o *order.Order) func(context.Context) error {
	w, a := op.w, op.w.account(o.ID)
	r := order.Resolution{By: op.name, Why: looked}
	switch parcels := w.parcels[o.ID]; {
	case len(parcels) > 0:
		r.Kind, r.TrackingID = order.Shipped, parcels[0]
	case time.Since(o.Changed) < arrives:
		return nil
	case w.verdicts[o.ID] == order.PaidBack:
		a.returned = len(a.taken)
		r.Kind = order.PaidBack
	default:
		w.saw("an operator says ship again")
		return func(ctx context.Context) error {
			_, err := p.placer.Resolve(ctx, o.ID, op.retry())
			return err
		}
	}
	w.saw("an operator says " + string(r.Kind) + " of a shipment")
	return func(ctx context.Context) error {
		_, err := p.placer.Resolve(ctx, o.ID, r)
		return err
	}
}

// deliver has an undelivered order tried again, or skips what could not be delivered, all or some of it.
func (op operator) deliver(p *process, o *order.Order) func(context.Context) error {
	w := op.w
	if op.dice.chance(0.4) {
		w.saw("an operator has a delivery tried again")
		return func(ctx context.Context) error {
			_, err := p.placer.Resolve(ctx, o.ID, op.retry())
			return err
		}
	}
	skip := one(op.dice, o.Undeliverable, o.Undeliverable&order.EmailSent, o.Undeliverable&order.EventPublished)
	if skip == 0 {
		return nil
	}
	w.saw("an operator skips a delivery")
	w.skipped[o.ID] |= skip
	return func(ctx context.Context) error {
		_, err := p.placer.Resolve(ctx, o.ID, order.Resolution{Kind: order.SkipDeliveries, Skip: skip, By: op.name, Why: looked})
		return err
	}
}

// mistake tells the service something that its record knows to be wrong.
func (op operator) mistake(p *process, o *order.Order) func(context.Context) error {
	w := op.w
	r := order.Resolution{Kind: one(op.dice, order.NotPaid, order.Paid, order.Shipped, order.SkipDeliveries), Skip: order.CartSettled, By: op.name, Why: looked}
	if r.Kind == order.Paid {
		r.TransactionID = "tx of another order"
	}
	return func(ctx context.Context) error {
		_, err := p.placer.Resolve(ctx, o.ID, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.bad("I3", w.name(o.ID), "a resolution against the record was taken: %s", r.Kind)
		}
		if errors.Is(err, order.ErrRefused) {
			w.saw("a wrong verdict refused")
		}
		return err
	}
}
