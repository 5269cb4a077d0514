package sim

import (
	"slices"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
)

// What is checked in the end, when nothing is in progress any more.

func (w *world) check() {
	orders := w.orders()
	for _, o := range orders {
		w.checkMoney(o)
		w.checkDeliveries(o)
	}
	for id, a := range w.accounts {
		if w.on(id) == nil && len(a.taken) > 0 {
			w.violated("I1", w.name(id), "was charged, and is not on record")
		}
	}
	for user, c := range w.carts {
		w.checkBaskets(user, c, orders)
	}
	for _, a := range w.asks {
		w.checkAnswer(a)
	}
	w.checkKeys()
}

// checkMoney wants each order to be charged once, for what it costs, if it was placed, and not at all if it was not.
func (w *world) checkMoney(o *order.Order) {
	a, name := w.account(o.ID), w.name(o.ID)
	if len(a.taken) > 1 || a.sent > 1 {
		w.violated("I1", name, "charged %d times, asked for %d times", len(a.taken), a.sent)
	}
	for _, amount := range a.taken {
		if amount != o.Total {
			w.violated("I7", name, "costs %v, and %v was taken", o.Total, amount)
		}
	}
	w.checkPrices(name, o)
	parcels := len(w.parcels[o.ID])
	if parcels > 0 && a.net() != 1 && !w.refunded(o) {
		w.violated("I2", name, "%d parcels were sent, and %d charges are in force", parcels, a.net())
	}
	if most := max(w.plan.attempts, 1) * max(len(w.shipments[o.ID]), 1); parcels > most {
		w.violated("I2", name, "%d parcels were sent, and %d may have been", parcels, most)
	}
	if parcels > 1 && w.plan.attempts == 0 {
		w.violated("I2", name, "%d parcels were sent, and shipping honours keys", parcels)
	}
	switch o.State {
	case order.Completed:
		if a.net() != 1 || parcels == 0 || !slices.Contains(w.parcels[o.ID], o.TrackingID) || o.TransactionID != a.tx {
			w.violated("I3", name, "completed with %d charges (%s) and parcels %q, on record %s and %s", a.net(), a.tx, w.parcels[o.ID], o.TransactionID, o.TrackingID)
		}
		if o.Refunded != a.refunded || o.RefundTo != (money.Amount{}) {
			w.violated("I7", name, "has %v refunded on record, and %v was", o.Refunded, a.refunded)
		}
	case order.Refunded:
		if w.refunded(o) {
			if !a.reversed || len(a.taken) != 1 || a.returned > 0 {
				w.violated("I3", name, "refunded, with %d charges, reversed %t, and %d returned by hand", len(a.taken), a.reversed, a.returned)
			}
			break
		}
		fallthrough
	case order.Declined, order.Cancelled:
		if a.net() != 0 || parcels > 0 {
			w.violated("I3", name, "%s with %d charges and %d parcels", o.State, a.net(), parcels)
		}
	}
	if o.State == order.Declined && !w.declines(o) {
		w.violated("I3", name, "declined, and its card is good")
	}
}

// declines reports whether the order's customer has a bad card.
func (w *world) declines(o *order.Order) bool {
	i := slices.IndexFunc(w.asks, func(a *ask) bool { return a.name == o.Trace["ask"] })
	number, _, _, _ := w.asks[i].request.Card.Reveal()
	return number == badCard
}

// checkDeliveries wants a completed order to have its e-mail and event, and no other order to have one.
func (w *world) checkDeliveries(o *order.Order) {
	name, emails, events := w.name(o.ID), w.emails[o.ID], w.events[o.ID]
	if o.State != order.Completed && !w.refunded(o) {
		if emails > 0 || len(events) > 0 {
			w.violated("I4", name, "is %s, and has %d e-mails and %d events", o.State, emails, len(events))
		}
		return
	}
	if w.plan.broker && len(events) == 0 && !w.skipped[o.ID].Has(order.EventPublished) {
		w.violated("I4", name, "has no event")
	}
	if copies := slices.Compact(slices.Clone(events)); len(copies) > 1 {
		w.violated("I4", name, "has events that differ: %q", copies)
	}
	if emails == 0 && !w.skipped[o.ID].Has(order.EmailSent) {
		w.violated("I4", name, "has no e-mail")
	}
	if done := o.Delivered | o.Skipped; done != order.CartSettled|order.EmailSent|order.EventPublished || o.Skipped&^w.skipped[o.ID] != 0 {
		w.violated("I4", name, "is completed with %b delivered and %b skipped, of which operators have skipped %b", o.Delivered, o.Skipped, w.skipped[o.ID])
	}
}

// checkBaskets wants every basket to be bought once at most, and to leave the cart when it was.
func (w *world) checkBaskets(user string, c *cart, orders []*order.Order) {
	for _, b := range c.history {
		var fills, bought int
		for _, other := range c.history {
			if sameBasket(b, other) {
				fills++
			}
		}
		for _, o := range orders {
			if o.UserID == user && w.ordered(o, b.lines) && w.account(o.ID).net() > 0 {
				bought++
			}
		}
		if bought > fills {
			w.violated("I1", user, "bought %s %d times, filled %d times", b.name, bought, fills)
		}
	}
	b := c.basket
	if b == nil || c.faulty {
		if b != nil {
			w.saw("a cart was left as it was")
		}
		return
	}
	for _, o := range orders {
		soon := o.Changed.Sub(w.placed[o.ID]) < time.Minute
		if o.UserID == user && o.State == order.Completed && o.Created.After(b.filled) && w.ordered(o, b.lines) && soon {
			w.violated("I5", w.name(o.ID), "is completed, and its cart was not emptied")
		}
		if o.UserID == user && o.State == order.Completed && o.Created.Before(b.filled) {
			w.saw("a cart filled later was left alone")
		}
	}
}

func sameBasket(a, b *basket) bool {
	x, y := pieces(a.lines), pieces(b.lines)
	for product, n := range x {
		if y[product] != n {
			return false
		}
	}
	return len(x) == len(y)
}
