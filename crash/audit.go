package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
)

// cartTime is how soon an order has emptied its cart, if nothing is wrong with that.
const cartTime = time.Minute

// violation is a guarantee that did not hold, for an order, a purchase or accounting.
type violation struct{ subject, problem string }

func (v violation) String() string { return v.subject + ": " + v.problem }

// checker looks for violations in what was observed.
type checker struct {
	*observed
	orders map[purchaseID][]string  // ids, by what they were placed for
	wanted map[purchaseID]*purchase // what customers wanted
	last   map[string]int32         // number of a user's last purchase
	found  []violation
}

// purchaseID names a purchase.
type purchaseID struct {
	user   string
	number int32
}

func (p *purchase) purchaseID() purchaseID { return purchaseID{p.user, p.number} }

func (e purchaseID) String() string { return fmt.Sprintf("purchase %d of %s", e.number, e.user) }

// audit finds the violations, in a fixed order.
func (e *observed) audit() []violation {
	c := &checker{observed: e, orders: make(map[purchaseID][]string), wanted: make(map[purchaseID]*purchase), last: make(map[string]int32)}
	for _, p := range e.purchases {
		c.wanted[p.purchaseID()] = p
		c.last[p.user] = max(c.last[p.user], p.number)
	}
	for id, o := range e.record {
		c.orders[purchaseOf(o)] = append(c.orders[purchaseOf(o)], id)
	}
	for id, a := range e.entries {
		c.entry(id, a)
	}
	for id, o := range e.record {
		c.recorded(id, o)
	}
	for _, p := range e.purchases {
		c.purchase(p)
	}
	c.check("accounting", e.differing > 0, "%d events differ from the first one of their order", e.differing)
	c.check("accounting", e.rejected > 0, "%d events could not be booked", e.rejected)
	slices.SortFunc(c.found, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.problem, b.problem))
	})
	return slices.Compact(c.found)
}

// check adds a violation if something is wrong.
func (c *checker) check(subject string, wrong bool, format string, args ...any) {
	if wrong {
		c.found = append(c.found, violation{subject, fmt.Sprintf(format, args...)})
	}
}

// entry checks an order in the ledgers of the services.
func (c *checker) entry(id string, a *entry) {
	name := "order " + id
	if id == "" {
		name = "without an order id"
	}
	o, known := c.record[id]
	c.check(name, !known, "is on no record, with %d charges, %d parcels, %d e-mails and %d events", a.net(), len(a.parcels), a.emails, a.events)
	c.check(name, a.net() > 1, "charged %d times", a.net())
	c.check(name, len(a.parcels) > 0 && a.net() == 0, "shipped and not paid")
	c.check(name, a.net() > 0 && len(a.parcels) == 0 && !requiresOperator(o.GetState()), "paid and lost: neither shipped nor refunded, and it is %s", word(o.GetState()))
	parked := o.GetState() == checkoutv1.OrderState_PARKED // it is unknown whether it was shipped
	c.check(name, !parked && len(a.parcels) > 0 && a.emails == 0, "shipped, and its e-mail was lost")
	c.check(name, !parked && len(a.parcels) > 0 && a.events == 0, "shipped, and its event was lost")
	c.check(name, len(a.parcels) == 0 && a.emails+a.events > 0, "confirmed, and not shipped")
	for _, charge := range a.charges {
		c.check(name, known && !proto.Equal(charge.Amount, o.GetTotal()), "charged %v, and its total is %v", charge.Amount, o.GetTotal())
	}
	c.parcels(name, a, o)
}

// parcels checks an order's parcels. Where shipping does not honour keys, each attempt that is on record may have made one.
func (c *checker) parcels(name string, a *entry, o *checkoutv1.Order) {
	for _, p := range a.parcels {
		to := purchaseID{p.Address.GetStreetAddress(), quantityOf(p.Items)}
		c.check(name, o != nil && to != purchaseOf(o), "its parcel is that of %s, and it was placed for %s", to, purchaseOf(o))
	}
	n, onRecord := len(a.parcels), int(o.GetShipAttempts())
	c.check(name, n > max(c.attempts, 1), "shipped %d times, and not %d at most", n, max(c.attempts, 1))
	c.check(name, c.attempts > 0 && o != nil && n > onRecord, "shipped %d times, and %d attempts are on record", n, onRecord)
}

// requiresOperator reports whether an order in this state waits for an operator.
func requiresOperator(s checkoutv1.OrderState) bool {
	return s == checkoutv1.OrderState_IN_DOUBT || s == checkoutv1.OrderState_PARKED
}

// recorded checks an order on record.
func (c *checker) recorded(id string, o *checkoutv1.Order) {
	name, state := "order "+id, o.GetState()
	a := c.entries[id]
	if a == nil {
		a = new(entry)
	}
	switch state {
	case checkoutv1.OrderState_COMPLETED:
		c.check(name, a.net() != 1 || len(a.parcels) == 0 || a.emails == 0 || a.events == 0,
			"completed, with %d charges, %d parcels, %d e-mails and %d events", a.net(), len(a.parcels), a.emails, a.events)
	case checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_CANCELLED, checkoutv1.OrderState_REFUNDED:
		c.check(name, a.net() != 0 || len(a.parcels) > 0, "%s, with %d charges and %d parcels", word(state), a.net(), len(a.parcels))
	case checkoutv1.OrderState_IN_DOUBT:
		c.check(name, c.keyed, "in doubt, though the payment service can be asked")
		c.check(name, !c.keyed && !c.inProgressAtKill(o), "in doubt, and no process was killed while it was in progress")
		c.check(name, len(a.parcels) > 0, "in doubt, and shipped")
	case checkoutv1.OrderState_PARKED:
		c.check(name, c.attempts == 0, "parked, though the shipping service honours keys")
		c.check(name, int(o.GetShipAttempts()) < c.attempts, "parked after %d attempts to ship it, and not %d", o.GetShipAttempts(), c.attempts)
		c.check(name, a.net() != 1, "parked, with %d charges", a.net())
	default:
		c.check(name, true, "not settled: it is %s, with %d charges and %d parcels", word(state), a.net(), len(a.parcels))
	}
}

// purchase checks what a customer wanted, was answered, and got.
func (c *checker) purchase(p *purchase) {
	this := p.purchaseID()
	paid := 0
	for _, id := range c.orders[this] {
		if a := c.entries[id]; a != nil {
			paid += a.net()
		}
	}
	c.check(this.String(), paid > 1, "paid %d times, with the orders %v", paid, slices.Sorted(slices.Values(c.orders[this])))
	answered := ""
	for _, a := range p.answers {
		if a.code != codes.OK {
			c.refused(this, a, paid)
			continue
		}
		c.check(this.String(), answered != "" && answered != a.orderID, "answered with two orders, %s and %s", answered, a.orderID)
		answered = a.orderID
		c.answered(this, answered)
	}
}

// answered checks an order that was the answer to a customer.
func (c *checker) answered(this purchaseID, id string) {
	o, a := c.record[id], c.entries[id]
	switch {
	case o == nil:
		c.check(this.String(), true, "answered with order %s, which is on no record", id)
	case purchaseOf(o) != this:
		c.check(this.String(), true, "answered with order %s, which is %s", id, purchaseOf(o))
	case o.GetState() == checkoutv1.OrderState_PARKED && a.net() == 1: // the answer only says that it is paid
	case a == nil || a.net() != 1 || len(a.parcels) == 0 || a.emails == 0 || a.events == 0:
		c.check(this.String(), true, "answered with order %s, which is not charged, shipped and confirmed", id)
	case c.last[this.user] == this.number && c.full[this.user]:
		c.check(this.String(), o.GetChanged().AsTime().Sub(o.GetCreated().AsTime()) < cartTime, "placed, and the cart is still full")
	}
}

// refused checks an answer that was no order. The purchase was paid so many times.
func (c *checker) refused(this purchaseID, a answer, paid int) {
	switch {
	case a.retryable(c.keyed):
		c.check(this.String(), true, "no answer after %d tries: %s %s: %s", a.tries, a.code, a.reason, a.text)
	case a.moved == "no" && paid > 0:
		c.check(this.String(), true, "answered that no money has moved, and it has: %s %s: %s", a.code, a.reason, a.text)
	case !a.inDoubt():
		c.check(this.String(), true, "refused without reason: %s %s: %s", a.code, a.reason, a.text)
	}
}

// killsIn is how many processes were killed from one moment to another.
func (e *observed) killsIn(from, to time.Time) int {
	n := 0
	for _, k := range e.kills {
		if !k.gone.Before(from) && !k.sent.After(to) {
			n++
		}
	}
	return n
}

// inProgressAtKill reports whether the customer whose order it is was waiting for an answer when a process was killed.
func (c *checker) inProgressAtKill(o *checkoutv1.Order) bool {
	p := c.wanted[purchaseOf(o)]
	return p != nil && c.killsIn(p.began, p.ended) > 0
}

// purchaseOf is the purchase that an order on record was placed for.
func purchaseOf(o *checkoutv1.Order) purchaseID {
	var items []*oteldemo.CartItem
	for _, item := range o.GetItems() {
		items = append(items, item.GetItem())
	}
	return purchaseID{o.GetUserId(), quantityOf(items)}
}

// quantityOf is the quantity that all lines have, or -1 when they differ.
func quantityOf(items []*oteldemo.CartItem) int32 {
	if len(items) == 0 {
		return -1
	}
	for _, item := range items[1:] {
		if item.GetQuantity() != items[0].GetQuantity() {
			return -1
		}
	}
	return items[0].GetQuantity()
}
