package sim

import (
	"context"
	"errors"
	"time"

	"checkout/internal/order"
)

// operator decides about orders that wait for one, now and then. There are two: they may decide at once.
type operator struct {
	w    *world
	name string
	dice dice
}

func newOperator(w *world, name string) operator {
	return operator{w, name, w.plan.hash("operator").text(name).dice()}
}

// chargeSettles is how long an operator waits before believing that no charge will arrive any more, and parcelSettles how long
// before believing that of a parcel: a suspended process may still send it.
const (
	chargeSettles = 110 * time.Second
	parcelSettles = 200 * time.Second
)

// run is what the operator does in the schedule.
func (op operator) run() {
	for op.w.sleep(op.dice.between(5*time.Second, 25*time.Second) + op.w.plan.dark(op.w.age())) {
		for _, o := range op.waiting() {
			op.resolve(o)
		}
		for _, o := range op.complaints() {
			op.resolve(o)
		}
	}
}

// waiting are the orders that wait for an operator.
func (op operator) waiting() (waiting []*order.Order) {
	w := op.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.orders() {
		if w.waitsForOperator(o.State) {
			waiting = append(waiting, o)
		}
	}
	return waiting
}

// complaints are completed orders whose customers want their money back. Both operators may hear of one, more than once.
func (op operator) complaints() (sent []*order.Order) {
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

// resolve makes a decision about an order and has a replica carry it out. Sometimes the decision contradicts the record, and
// must be refused.
func (op operator) resolve(o *order.Order) {
	w := op.w
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.replicas[op.dice.IntN(2)].process
	if p == nil || p.closing || p.life.Err() != nil {
		return
	}
	name := w.name(o.ID)
	r, mistaken := op.decide(o)
	if r.Kind == "" {
		return
	}
	r.By, r.Why = op.name, "checked the ledgers"
	w.trace.add(w.age(), op.name, "resolves", name, o.State.String())
	done := make(chan error, 1)
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.life, 10*time.Second)
		defer cancel()
		_, err := p.placer.Resolve(ctx, o.ID, r)
		done <- err
	})
	w.mu.Unlock()
	err := <-done
	w.mu.Lock()
	how := "done"
	if err != nil {
		how = err.Error()
	}
	switch {
	case mistaken && err == nil:
		w.violated("I3", name, "a resolution against the record was accepted: %s", r.Kind)
	case mistaken && errors.Is(err, order.ErrRefused):
		w.saw("a wrong resolution refused")
	}
	w.trace.add(w.age(), op.name, "is answered", name, how)
}

// decide reads the true ledgers. No kind means: wait. The world is locked.
func (op operator) decide(o *order.Order) (r order.Resolution, mistaken bool) {
	w, a := op.w, op.w.account(o.ID)
	mistaken = o.TransactionID != "" && op.dice.chance(0.2)
	unshippable := o.Address.City == nowhere
	if _, known := w.decisions[o.ID]; !known {
		w.decisions[o.ID] = one(op.dice, order.Paid, order.Paid, order.Paid, order.PaidBack) // they agree on what to do
	}
	switch {
	case o.State == order.Completed:
		w.saw("an operator refunds")
		return order.Resolution{Kind: order.Refund, Amount: one(op.dice, o.Total, o.Shipping)}, false // which may be more than is left
	case mistaken:
		r.Kind, r.Skip = one(op.dice, order.NotPaid, order.Paid, order.Shipped, order.SkipDeliveries), order.CartSettled
		if r.Kind == order.Paid {
			r.TransactionID = "tx of another order"
		}
		return r, true
	case o.State == order.Undelivered:
		return op.deliver(o), false
	case o.State == order.Parked && o.ShipAttempts > 0:
		return op.ship(o), false
	case w.plan.keyed, o.State == order.Parked && !unshippable:
		w.saw("an operator retries")
		return order.Resolution{Kind: order.Retry}, false
	case time.Since(o.Changed) < chargeSettles && o.TransactionID == "":
		return r, false
	case a.net() == 0 && o.TransactionID == "" && len(a.taken) == 0:
		w.checkUncharged(o)
		r.Kind = order.NotPaid
	case unshippable || w.decisions[o.ID] == order.PaidBack:
		a.returned = len(a.taken) // by hand, at the payment service
		r.Kind = order.PaidBack
	default:
		r.Kind, r.TransactionID = order.Paid, a.tx
	}
	w.saw("an operator says " + string(r.Kind))
	return r, false
}

// ship finds out whether the order was shipped: in shipping's ledger.
func (op operator) ship(o *order.Order) (r order.Resolution) {
	w, a := op.w, op.w.account(o.ID)
	switch parcels := w.parcels[o.ID]; {
	case len(parcels) > 0:
		r.Kind, r.TrackingID = order.Shipped, parcels[0]
	case time.Since(o.Changed) < parcelSettles:
		return r
	case w.decisions[o.ID] == order.PaidBack:
		a.returned = len(a.taken)
		r.Kind = order.PaidBack
	default:
		w.saw("an operator says ship again")
		return order.Resolution{Kind: order.Retry}
	}
	w.saw("an operator says " + string(r.Kind) + " of a shipment")
	return r
}

// deliver retries an undelivered order, or skips what could not be delivered, all or some of it.
func (op operator) deliver(o *order.Order) (r order.Resolution) {
	w := op.w
	if op.dice.chance(0.4) {
		w.saw("an operator retries a delivery")
		return order.Resolution{Kind: order.Retry}
	}
	skip := one(op.dice, o.Undeliverable, o.Undeliverable&order.EmailSent, o.Undeliverable&order.EventPublished)
	if skip == 0 {
		return r
	}
	w.saw("an operator skips a delivery")
	w.skipped[o.ID] |= skip
	return order.Resolution{Kind: order.SkipDeliveries, Skip: skip}
}
