package sim

import (
	"slices"
	"strings"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
)

// What is checked while it happens. The world is locked.

// checkOpened checks an order that has just been recorded.
func (w *world) checkOpened(o *order.Order) {
	name := w.name(o.ID)
	if a := w.account(o.ID); a.sent > 0 {
		w.violated("I1", name, "was charged before it was on record")
	}
	if o.State != order.Charging {
		w.violated("I3", name, "was opened in state %s", o.State)
	}
	w.checkPrices(name, o)
}

// checkSaved checks a change of the record.
func (w *world) checkSaved(before, after *order.Order, hold time.Duration) {
	name := w.name(after.ID)
	w.saw(after.State.String())
	refund := w.refunds[after.ID] && before.State == order.Completed && after.State == order.Refunding
	part := before.State == order.Refunding && before.RefundTo != (money.Amount{}) && after.State == order.Completed
	if part {
		w.saw("an order is refunded in part")
	}
	if before.State != after.State && !refund && !part && !allowed(before.State, after.State) {
		w.violated("I3", name, "went from %s to %s", before.State, after.State)
	}
	if after.State == order.Placed && before.State != order.Placed && before.State != order.Undelivered {
		w.placed[after.ID] = time.Now()
	}
	w.checkAttempts(before, after, hold)
	w.checkGivenUp(before, after)
	if after.State == order.Cancelled && strings.Contains(after.Reason, "too late") {
		w.saw("too late to charge")
	}
	if strings.Contains(after.Reason, "its receipt could not be recorded before") {
		w.saw("a receipt came late")
	}
	w.checkPrivacy(name, after.Reason)
	if n := len(after.History); n > 0 {
		w.checkPrivacy(name, after.History[n-1].Problem)
	}
}

// shipment is what is known of the attempts to ship an order since it was paid, or since an operator's retry.
type shipment struct {
	made        int  // attempts that may have made a parcel, of processes that held the order
	interrupted int  // takeovers from processes that may have been about to make one
	leased      bool // the order was last saved by a process that works on it
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
	if o == nil || w.owners[id] != p || p.life.Err() != nil { // it was suspended, and its attempt is on record; or it is dead
		return func() {}
	}
	s := w.shipment(id)
	s.made++
	if w.plan.attempts > 0 && (s.made > o.ShipAttempts || s.made > w.plan.attempts) {
		w.violated("I2", w.name(id), "attempt %d to ship it of %d, and on record are %d", s.made, w.plan.attempts, o.ShipAttempts)
	}
	return func() { s.made-- }
}

// checkAttempts wants no attempt on record that was not made, and is not going to be.
func (w *world) checkAttempts(before, after *order.Order, hold time.Duration) {
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
			w.violated("I2", w.name(after.ID), "%d attempts to ship it are on record, %d were made, %d interrupted, %d are under way", after.ShipAttempts, s.made, s.interrupted, underWay)
		}
	}
}

// checkGivenUp wants a delivery to be given up only when it was refused, or after a day.
func (w *world) checkGivenUp(before, after *order.Order) {
	if wrong := after.Undeliverable &^ before.Undeliverable &^ w.refusals[after.ID]; wrong != 0 && time.Since(before.Changed) < 24*time.Hour {
		w.violated("I4", w.name(after.ID), "deliveries %b were given up after %v", wrong, time.Since(before.Changed))
	}
}

// checkUncharged wants no order to wait for an operator if a running process knows that it was not charged.
func (w *world) checkUncharged(o *order.Order) {
	p := w.uncharged[o.ID]
	if o.State == order.InDoubt && p != nil && p.life.Err() == nil && !p.closing && w.age() > w.plan.heal+time.Minute {
		w.violated("I3", w.name(o.ID), "is in doubt, and %s knows that it was not charged", p.name)
	}
}

// checkPrivacy wants no card and no address in a text.
func (w *world) checkPrivacy(name, text string) {
	if strings.Contains(text, goodCard) || strings.Contains(text, badCard) || strings.Contains(text, "@") {
		w.violated("I10", name, "leaked: %s", text)
	}
}

// waitsForOperator reports whether an order of this state waits for an operator.
func (w *world) waitsForOperator(s order.State) bool {
	return s == order.Parked || s == order.Undelivered || !w.plan.keyed && (s == order.InDoubt || s == order.Refunding)
}

// checkOwner wants a process that acts for an order to own it, and the order to be in one of the states on record. A process that
// was suspended cannot know better, except before a charge, when it looks at the time.
func (p *process) checkOwner(act string, id order.ID, states ...order.State) {
	w, name := p.w, p.w.name(id)
	o := w.on(id)
	switch {
	case o == nil:
		w.violated("I1", name, "%s, and it is not on record", act)
	case p.dozed && act != "charge":
	case w.owners[id] != p:
		w.violated("I1", name, "%s by %s, after it was taken over by %s", act, p.name, w.owners[id].name)
	case !slices.Contains(states, o.State):
		w.violated("I3", name, "%s, and on record it is %s", act, o.State)
	case act != "charge" && act != "reverse" && o.TransactionID == "":
		w.violated("I2", name, "%s, and there is no receipt on record", act)
	}
}

// checkContent wants a message to say what is on record.
func (w *world) checkContent(kind string, id order.ID, says string) {
	o := w.on(id)
	if o == nil || content(o) != says {
		w.violated("I7", w.name(id), "%s says %s, and on record is %v", kind, says, o)
	}
}

// checkEmptying checks a request to empty a cart.
func (w *world) checkEmptying(user string) {
	for _, o := range w.orders() {
		if o.UserID == user && (o.State == order.Placed || o.State == order.Completed) {
			return
		}
	}
	w.violated("I5", user, "the cart is to be emptied, and no order is placed")
}

// readWindow is how long ago the service may have looked at a cart that it has emptied.
const readWindow = 10 * time.Second

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
	if b.filled.Add(readWindow).After(sent) {
		w.saw("a cart was emptied just as it changed")
		b.gone, c.faulty = true, true
		return
	}
	w.violated("I5", user, "%s was lost", b.name)
}

// ordered reports whether the order is of these lines.
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

// checkPrices wants the order's money to add up: exactly, of listed prices and of a quote that was given.
func (w *world) checkPrices(name string, o *order.Order) {
	var total int64
	for _, item := range o.Items {
		price, _ := priceOf(item.ProductID)
		want := payable(exchanged(price, o.Currency), o.Currency)
		if nanos(item.Cost) != want || item.Cost.Currency() != o.Currency {
			w.violated("I7", name, "%s costs %v", item.ProductID, item.Cost)
		}
		total += want * int64(item.Quantity)
	}
	quoted := slices.ContainsFunc(w.quotes[o.Address.Street], func(quote int64) bool {
		return payable(exchanged(quote, o.Currency), o.Currency) == nanos(o.Shipping)
	})
	if !quoted {
		w.violated("I7", name, "shipping costs %v, which was never quoted", o.Shipping)
	}
	if total += nanos(o.Shipping); total != nanos(o.Total) || o.Total.Currency() != o.Currency {
		w.violated("I7", name, "costs %v, and adds up to %d nanos", o.Total, total)
	}
}
