package sim

import (
	"slices"
	"strings"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
)

// What is checked while it happens. The world is locked.

// opening looks at an order that has just been recorded.
func (w *world) opening(o *order.Order) {
	name := w.name(o.ID)
	if a := w.account(o.ID); a.sent > 0 {
		w.bad("I1", name, "was charged before it was on record")
	}
	if o.State != order.Charging {
		w.bad("I3", name, "was opened in state %s", o.State)
	}
	w.priced(name, o)
}

// saved looks at a change of the record.
func (w *world) saved(before, after *order.Order, hold time.Duration) {
	name := w.name(after.ID)
	w.saw(after.State.String())
	refund := w.refunds[after.ID] && before.State == order.Completed && after.State == order.Refunding
	part := before.State == order.Refunding && before.RefundTo != (money.Amount{}) && after.State == order.Completed
	if part {
		w.saw("an order is refunded in part")
	}
	if before.State != after.State && !refund && !part && !leads(before.State, after.State) {
		w.bad("I3", name, "went from %s to %s", before.State, after.State)
	}
	if after.State == order.Placed && before.State != order.Placed && before.State != order.Undelivered {
		w.placed[after.ID] = time.Now()
	}
	w.counted(before, after, hold)
	w.givenUp(before, after)
	if after.State == order.Cancelled && strings.Contains(after.Reason, "too late") {
		w.saw("too late to charge")
	}
	if strings.Contains(after.Reason, "its receipt could not be recorded before") {
		w.saw("a receipt came late")
	}
	w.discreet(name, after.Reason)
	if n := len(after.History); n > 0 {
		w.discreet(name, after.History[n-1].Problem)
	}
}

// shipment is what is known of the attempts to ship an order since it was paid, or since an operator had it shipped again.
type shipment struct {
	made        int  // attempts that may have made a parcel, of those who held the order
	interrupted int  // take-overs from somebody who may have been about to make one
	leased      bool // the order was last saved by somebody who is working on it
}

// shipment is the order's latest one.
func (w *world) shipment(id order.ID) *shipment {
	if len(w.shipments[id]) == 0 {
		w.shipments[id] = []*shipment{{}}
	}
	return w.shipments[id][len(w.shipments[id])-1]
}

// shipping counts an attempt to ship, and wants it to be on record already. It returns what takes it back, when
// it certainly has made no parcel.
func (p *process) shipping(id order.ID) (unmade func()) {
	w := p.w
	o := w.on(id)
	if o == nil || w.masters[id] != p || p.life.Err() != nil { // it was asleep, and its attempt is on record; or it is dead
		return func() {}
	}
	s := w.shipment(id)
	s.made++
	if w.plan.attempts > 0 && (s.made > o.ShipAttempts || s.made > w.plan.attempts) {
		w.bad("I2", w.name(id), "attempt %d to ship it of %d, and on record are %d", s.made, w.plan.attempts, o.ShipAttempts)
	}
	return func() { s.made-- }
}

// counted wants no attempt on record that was not made, and is not going to be.
func (w *world) counted(before, after *order.Order, hold time.Duration) {
	if before.State == order.Parked && after.State == order.Charged && after.ShipAttempts == 0 {
		w.shipments[after.ID] = append(w.shipments[after.ID], &shipment{})
	}
	s, underWay := w.shipment(after.ID), 0
	s.leased = hold == 30*time.Second
	if s.leased {
		underWay = 1
	}
	if after.State == order.Charged || after.State == order.Parked {
		if after.ShipAttempts > s.made+s.interrupted+underWay {
			w.bad("I2", w.name(after.ID), "%d attempts to ship it are on record, %d were made, %d interrupted, %d are under way", after.ShipAttempts, s.made, s.interrupted, underWay)
		}
	}
}

// givenUp wants a delivery to be given up only when it was refused, or after a day.
func (w *world) givenUp(before, after *order.Order) {
	if wrong := after.Undeliverable &^ before.Undeliverable &^ w.refusals[after.ID]; wrong != 0 && time.Since(before.Changed) < 24*time.Hour {
		w.bad("I4", w.name(after.ID), "deliveries %b were given up after %v", wrong, time.Since(before.Changed))
	}
}

// remembered wants no order to wait for an operator because a process did not record what it alone knows: that nothing was
// charged.
func (w *world) remembered(o *order.Order) {
	p := w.witnesses[o.ID]
	if o.State == order.InDoubt && p != nil && p.life.Err() == nil && !p.closing && w.age() > w.plan.heal+time.Minute {
		w.bad("I3", w.name(o.ID), "is in doubt, and %s knows that it was not charged", p.name)
	}
}

// discreet wants no card and no address in a text.
func (w *world) discreet(name, text string) {
	if strings.Contains(text, goodCard) || strings.Contains(text, badCard) || strings.Contains(text, "@") {
		w.bad("I10", name, "somebody can read: %s", text)
	}
}

// rests tells whether an order of this state waits for a person.
func (w *world) rests(s order.State) bool {
	return s == order.Parked || s == order.Undelivered || !w.plan.keyed && (s == order.InDoubt || s == order.Refunding)
}

// entitled wants whoever acts on an order's behalf to be the one who took it last, and the record to say that it is in
// one of the states. A process that was asleep cannot know better, but before a charge it looks at the time.
func (p *process) entitled(act string, id order.ID, states ...order.State) {
	w, name := p.w, p.w.name(id)
	o := w.on(id)
	switch {
	case o == nil:
		w.bad("I1", name, "%s, and it is not on record", act)
	case p.dozed && act != "charge":
	case w.masters[id] != p:
		w.bad("I1", name, "%s by %s, after it was taken over by %s", act, p.name, w.masters[id].name)
	case !slices.Contains(states, o.State):
		w.bad("I3", name, "%s, and on record it is %s", act, o.State)
	case act != "charge" && act != "reverse" && o.TransactionID == "":
		w.bad("I2", name, "%s, and there is no receipt on record", act)
	}
}

// truthful wants a message to say what is on record.
func (w *world) truthful(kind string, id order.ID, says string) {
	o := w.on(id)
	if o == nil || letter(o) != says {
		w.bad("I7", w.name(id), "%s says %s, and on record is %v", kind, says, o)
	}
}

// emptying looks at a request to empty a cart.
func (w *world) emptying(user string) {
	for _, o := range w.orders() {
		if o.UserID == user && (o.State == order.Placed || o.State == order.Completed) {
			return
		}
	}
	w.bad("I5", user, "the cart is to be emptied, and no order is placed")
}

// glance is how long ago the service may have looked at a cart that it has emptied.
const glance = 10 * time.Second

// emptied empties a cart, as it was asked for a while ago. What the customer had put into it by then is theirs, if it is
// not what was ordered.
func (w *world) emptied(user string, sent time.Time) {
	c := w.cart(user)
	b := c.basket
	c.basket = nil
	if b == nil {
		return
	}
	for _, o := range w.orders() {
		if o.UserID == user && w.ordered(o, b.lines) && (o.State == order.Placed || o.State == order.Completed) {
			return
		}
	}
	if b.filled.Add(glance).After(sent) {
		w.saw("a cart was emptied just as it changed")
		b.gone, c.trouble = true, true
		return
	}
	w.bad("I5", user, "%s was thrown away", b.name)
}

// ordered tells whether the order is of these lines.
func (w *world) ordered(o *order.Order, lines []order.Line) bool {
	want, got := pieces(lines), pieces(o.Lines())
	if len(want) != len(got) {
		return false
	}
	for product, n := range want {
		if got[product] != n {
			return false
		}
	}
	return true
}

// priced wants the order's money to add up: exactly, of listed prices and of a quote that was given.
func (w *world) priced(name string, o *order.Order) {
	var total int64
	for _, item := range o.Items {
		price, _ := priceOf(item.ProductID)
		want := payable(exchanged(price, o.Currency), o.Currency)
		if nanos(item.Cost) != want || item.Cost.Currency() != o.Currency {
			w.bad("I7", name, "%s costs %v", item.ProductID, item.Cost)
		}
		total += want * int64(item.Quantity)
	}
	quoted := slices.ContainsFunc(w.quotes[o.Address.Street], func(quote int64) bool {
		return payable(exchanged(quote, o.Currency), o.Currency) == nanos(o.Shipping)
	})
	if !quoted {
		w.bad("I7", name, "shipping costs %v, which was never quoted", o.Shipping)
	}
	if total += nanos(o.Shipping); total != nanos(o.Total) || o.Total.Currency() != o.Currency {
		w.bad("I7", name, "costs %v, and adds up to %d nanos", o.Total, total)
	}
}
