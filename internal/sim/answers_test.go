package sim

import (
	"cmp"
	"slices"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
)

// moves is what a kind of failure says about the customer's money.
type moves uint8

const (
	no moves = iota + 1 // nothing has moved, and never will
	unknown
	owed // it was taken, and will not be kept
)

func movesOf(kind order.Kind) moves {
	switch kind {
	case order.ErrInvalid, order.ErrEmptyCart, order.ErrBadCart, order.ErrUnknownProduct, order.ErrImplausible,
		order.ErrUnavailable, order.ErrOverloaded, order.ErrDeclined, order.ErrPaymentUnreachable,
		order.ErrKeyReused, order.ErrBusy, order.ErrPriceChanged:
		return no
	case order.ErrInDoubt:
		return unknown
	case order.ErrUnshippable, order.ErrRefunded:
		return owed
	}
	return 0
}

// checkAnswer wants what a customer was told to be true, for ever.
func (w *world) checkAnswer(a *ask) {
	switch {
	case a.answer != nil:
		w.checkOK(a)
	case a.err != nil:
		w.checkRefusal(a)
	}
}

// checkOK wants an order that was said to be on its way to be what was asked for, and to arrive.
func (w *world) checkOK(a *ask) {
	told, o := a.answer, w.on(a.answer.ID)
	if o == nil {
		w.bad("I6", a.name, "got an order that is not on record")
		return
	}
	name := a.name + " got " + w.name(o.ID)
	switch {
	case o.State == order.Completed:
	case w.refunded(o):
		w.saw("refunded by an operator")
	case o.State == order.Refunded && told.TrackingID == "" && (o.Address.City == nowhere || w.account(o.ID).returned > 0):
		w.saw("refunded after an OK")
	default:
		w.bad("I3", name, "which is %s", o.State)
	}
	if told.TrackingID != "" && told.TrackingID != o.TrackingID {
		w.bad("I6", name, "with parcel %q, which is %q", told.TrackingID, o.TrackingID)
	}
	if told.Total != o.Total || told.Shipping != o.Shipping || !slices.Equal(told.Items, o.Items) {
		w.bad("I7", name, "with other prices than are on record")
	}
	r := a.request
	if o.UserID != r.UserID || o.Currency != r.Currency || o.Address != r.Address || o.Email != r.Email {
		w.bad("I6", name, "which is another request's")
	}
	switch asked := a.basket.lines; {
	case w.ordered(o, asked):
	case (len(asked) == 0 || a.basket.gone) && r.Key == "": // an empty cart without a key is taken for a lost answer
		w.saw("an empty cart was answered by the order before")
	default:
		w.bad("I6", name, "which is not %s", a.basket.name)
	}
	if o.Trace["ask"] == a.name && r.Expected != (money.Amount{}) && r.Expected != o.Total {
		w.bad("I7", name, "which costs %v, and %v was agreed", o.Total, r.Expected)
	}
	if told.TrackingID == "" {
		w.saw("OK without a parcel")
	}
	if o.Trace["ask"] != a.name {
		w.saw("joined by " + map[bool]string{true: "key", false: "no key"}[r.Key != ""])
	}
}

// checkRefusal wants a failure to say what is true about the money.
func (w *world) checkRefusal(a *ask) {
	kind, id := a.kind()
	w.saw(string(kind))
	says := movesOf(kind)
	if says == 0 {
		w.bad("I9", a.name, "was told %v", a.err)
	}
	w.discreet(a.name, a.err.Error())
	for _, o := range w.orders() {
		if o.Trace["ask"] == a.name && says == no && w.account(o.ID).net() > 0 {
			w.bad("I9", a.name, "was told %q, and %s is charged", kind, w.name(o.ID))
		}
	}
	o := w.on(id)
	switch {
	case says == no && o != nil && kind != order.ErrBusy && kind != order.ErrKeyReused && w.account(id).net() > 0:
		w.bad("I9", a.name, "was told %q of %s, which is charged", kind, w.name(id))
	case says == unknown && o == nil:
		w.bad("I9", a.name, "was told %q of no order", kind)
	case says == owed && (o == nil || w.account(id).net() > 0 || o.Address.City != nowhere && w.account(id).returned == 0):
		w.bad("I9", a.name, "was told %q of %s", kind, w.name(id))
	case w.plan.calm() && slices.Contains([]order.Kind{order.ErrUnavailable, order.ErrPaymentUnreachable, order.ErrImplausible}, kind) && a.patient():
		w.bad("I9", a.name, "was told %v, and nothing was wrong", a.err)
	}
}

// patient tells whether the customer gave the service time enough, and waited for the answer.
func (a *ask) patient() bool { return a.heard && a.patience > 5*time.Second }

// checkKeys wants one key to have one answer.
func (w *world) checkKeys() {
	type scope struct{ user, key string }
	last := map[scope]string{}
	asks := slices.Clone(w.asks)
	slices.SortStableFunc(asks, func(a, b *ask) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	for _, a := range asks {
		says, final := w.final(a)
		if a.request.Key == "" || !final {
			continue
		}
		key := scope{a.request.UserID, a.request.Key}
		if before, ok := last[key]; ok && before != says {
			w.bad("I6", a.name, "was told %q, and the same key %q before", says, before)
		}
		last[key] = says
	}
}

// final is an answer that must stay the same for its key.
func (w *world) final(a *ask) (says string, final bool) {
	if told := a.answer; told != nil {
		o := w.on(told.ID) // before there was a parcel, its carrier might still refuse it
		return "OK " + w.name(told.ID), told.TrackingID != "" || o == nil || o.State != order.Refunded
	}
	kind, id := a.kind()
	switch o := w.on(id); {
	case kind == order.ErrRefunded:
	case kind == order.ErrDeclined && o != nil && o.State == order.Declined: // else the record was away, and forgot it
	default:
		return "", false
	}
	return string(kind) + " " + w.name(id), true
}
