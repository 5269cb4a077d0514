package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
)

// cartTime is for how long an order sees to its cart: what is in it later may be something else.
const cartTime = time.Minute

// violation is a promise that was broken to somebody: an order, a purchase, or everybody.
type violation struct{ whose, how string }

func (v violation) String() string { return v.whose + ": " + v.how }

// trial turns evidence into violations.
type trial struct {
	*evidence
	orders map[errand][]string  // ids, by what they were placed for
	asked  map[errand]*purchase // what customers wanted
	last   map[string]int32     // number of a user's last purchase
	found  []violation
}

// errand names a purchase.
type errand struct {
	user   string
	number int32
}

func (p *purchase) errand() errand { return errand{p.user, p.number} }

func (e errand) String() string { return fmt.Sprintf("purchase %d of %s", e.number, e.user) }

// violations are what the evidence shows to be wrong, in a fixed order.
func (e *evidence) violations() []violation {
	t := &trial{evidence: e, orders: make(map[errand][]string), asked: make(map[errand]*purchase), last: make(map[string]int32)}
	for _, p := range e.purchases {
		t.asked[p.errand()] = p
		t.last[p.user] = max(t.last[p.user], p.number)
	}
	for id, o := range e.record {
		t.orders[errandOf(o)] = append(t.orders[errandOf(o)], id)
	}
	for id, a := range e.accounts {
		t.account(id, a)
	}
	for id, o := range e.record {
		t.recorded(id, o)
	}
	for _, p := range e.purchases {
		t.purchase(p)
	}
	t.note("accounting", e.differing > 0, "%d events differ from the first one of their order", e.differing)
	t.note("accounting", e.rejected > 0, "%d events could not be booked", e.rejected)
	slices.SortFunc(t.found, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.whose, b.whose), cmp.Compare(a.how, b.how))
	})
	return slices.Compact(t.found)
}

func (t *trial) note(whose string, wrong bool, format string, args ...any) {
	if wrong {
		t.found = append(t.found, violation{whose, fmt.Sprintf(format, args...)})
	}
}

// account looks at an order as the neighbours know it.
func (t *trial) account(id string, a *account) {
	name := "order " + id
	if id == "" {
		name = "without an order id"
	}
	o, known := t.record[id]
	t.note(name, !known, "is on no record, with %d charges, %d parcels, %d letters and %d events", a.net(), len(a.parcels), a.letters, a.events)
	t.note(name, a.net() > 1, "charged %d times", a.net())
	t.note(name, len(a.parcels) > 0 && a.net() == 0, "shipped and not paid for")
	t.note(name, a.net() > 0 && len(a.parcels) == 0 && !excused(o.GetState()), "paid for and lost: neither shipped nor given back, and it is %s", word(o.GetState()))
	parked := o.GetState() == checkoutv1.OrderState_PARKED // nobody knows whether it was shipped
	t.note(name, !parked && len(a.parcels) > 0 && a.letters == 0, "shipped, and its letter was lost")
	t.note(name, !parked && len(a.parcels) > 0 && a.events == 0, "shipped, and its event was lost")
	t.note(name, len(a.parcels) == 0 && a.letters+a.events > 0, "told of, and not shipped")
	for _, c := range a.charges {
		t.note(name, known && !sameAmount(c.Amount, o.GetTotal()), "charged %v, and its total is %v", c.Amount, o.GetTotal())
	}
	t.parcels(name, a, o)
}

// parcels looks at an order's parcels. Where shipping does not honour keys, each attempt that is on record may have made one.
func (t *trial) parcels(name string, a *account, o *checkoutv1.Order) {
	for _, p := range a.parcels {
		to := errand{p.Address.GetStreetAddress(), quantityOf(p.Items)}
		t.note(name, o != nil && to != errandOf(o), "its parcel is that of %s, and it was placed for %s", to, errandOf(o))
	}
	n, onRecord := len(a.parcels), int(o.GetShipAttempts())
	t.note(name, n > max(t.attempts, 1), "shipped %d times, and not %d at most", n, max(t.attempts, 1))
	t.note(name, t.attempts > 0 && o != nil && n > onRecord, "shipped %d times, and %d attempts are on record", n, onRecord)
}

// excused tells whether somebody knows that an order in this state is to be looked after.
func excused(s checkoutv1.OrderState) bool {
	return s == checkoutv1.OrderState_IN_DOUBT || s == checkoutv1.OrderState_PARKED
}

// recorded looks at an order as checkout knows it, and compares.
func (t *trial) recorded(id string, o *checkoutv1.Order) {
	name, state := "order "+id, o.GetState()
	a := t.accounts[id]
	if a == nil {
		a = new(account)
	}
	switch state {
	case checkoutv1.OrderState_COMPLETED:
		t.note(name, a.net() != 1 || len(a.parcels) == 0 || a.letters == 0 || a.events == 0,
			"completed, with %d charges, %d parcels, %d letters and %d events", a.net(), len(a.parcels), a.letters, a.events)
	case checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_CANCELLED, checkoutv1.OrderState_REFUNDED:
		t.note(name, a.net() != 0 || len(a.parcels) > 0, "%s, with %d charges and %d parcels", word(state), a.net(), len(a.parcels))
	case checkoutv1.OrderState_IN_DOUBT:
		t.note(name, t.keyed, "in doubt, though the payment service can be asked")
		t.note(name, !t.keyed && !t.underWayAtKill(o), "in doubt, and it was not under way when anybody was killed")
		t.note(name, len(a.parcels) > 0, "in doubt, and shipped")
	case checkoutv1.OrderState_PARKED:
		t.note(name, t.attempts == 0, "parked, though the shipping service honours keys")
		t.note(name, int(o.GetShipAttempts()) < t.attempts, "parked after %d attempts to ship it, and not %d", o.GetShipAttempts(), t.attempts)
		t.note(name, a.net() != 1, "parked, with %d charges", a.net())
	default:
		t.note(name, true, "has not come to rest: it is %s, with %d charges and %d parcels", word(state), a.net(), len(a.parcels))
	}
}

// purchase looks at what a customer wanted, was told, and got.
func (t *trial) purchase(p *purchase) {
	this := p.errand()
	paid := 0
	for _, id := range t.orders[this] {
		if a := t.accounts[id]; a != nil {
			paid += a.net()
		}
	}
	t.note(this.String(), paid > 1, "paid for %d times, with the orders %v", paid, t.sorted(this))
	told := ""
	for _, a := range p.answers {
		if a.code != codes.OK {
			t.refused(this, a, paid)
			continue
		}
		t.note(this.String(), told != "" && told != a.orderID, "answered with two orders, %s and %s", told, a.orderID)
		told = a.orderID
		t.answered(this, told)
	}
}

// answered looks at an order that a customer was told is on its way.
func (t *trial) answered(this errand, id string) {
	o, a := t.record[id], t.accounts[id]
	switch {
	case o == nil:
		t.note(this.String(), true, "answered with order %s, which is on no record", id)
	case errandOf(o) != this:
		t.note(this.String(), true, "answered with order %s, which is %s", id, errandOf(o))
	case o.GetState() == checkoutv1.OrderState_PARKED && a.net() == 1: // that it is paid is all that was said
	case a == nil || a.net() != 1 || len(a.parcels) == 0 || a.letters == 0 || a.events == 0:
		t.note(this.String(), true, "answered with order %s, which is not charged, shipped and told", id)
	case t.last[this.user] == this.number && t.full[this.user]:
		t.note(this.String(), o.GetChanged().AsTime().Sub(o.GetCreated().AsTime()) < cartTime, "placed, and the cart is still full")
	}
}

// refused looks at an answer that was no order, after which the purchase was paid for so many times.
func (t *trial) refused(this errand, a answer, paid int) {
	switch {
	case a.passing(t.keyed):
		t.note(this.String(), true, "no answer after %d tries: %s %s: %s", a.tries, a.code, a.reason, a.text)
	case a.moved == "no" && paid > 0:
		t.note(this.String(), true, "told that no money has moved, and it has: %s %s: %s", a.code, a.reason, a.text)
	case !a.inDoubt():
		t.note(this.String(), true, "refused without need: %s %s: %s", a.code, a.reason, a.text)
	}
}

func (t *trial) sorted(of errand) []string { return slices.Sorted(slices.Values(t.orders[of])) }

// killsIn is how often somebody was killed from one moment to another.
func (e *evidence) killsIn(from, to time.Time) int {
	n := 0
	for _, k := range e.kills {
		if !k.gone.Before(from) && !k.sent.After(to) {
			n++
		}
	}
	return n
}

// underWayAtKill tells whether the customer whose order it is was waiting for an answer when somebody was killed.
func (t *trial) underWayAtKill(o *checkoutv1.Order) bool {
	p := t.asked[errandOf(o)]
	return p != nil && t.killsIn(p.began, p.ended) > 0
}

// errandOf is the purchase that an order on record was placed for.
func errandOf(o *checkoutv1.Order) errand {
	var items []*oteldemo.CartItem
	for _, item := range o.GetItems() {
		items = append(items, item.GetItem())
	}
	return errand{o.GetUserId(), quantityOf(items)}
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
