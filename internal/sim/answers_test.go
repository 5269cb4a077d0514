package sim

import (
	"cmp"
	"errors"
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
	toRefund // it was taken, and goes back
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
		return toRefund
	}
	return 0
}

// checkAnswer wants every answer to stay true.
func (w *world) checkAnswer(a *ask) {
	switch {
	case a.answer != nil:
		w.checkOK(a)
	case a.err != nil:
		w.checkRefusal(a)
	}
}

// checkOK wants an order that was the answer to be what was requested, and to arrive.
func (w *world) checkOK(a *ask) {
	got, o := a.answer, w.on(a.answer.ID)
	if o == nil {
		w.violated("I6", a.name, "got an order that is not on record")
		return
	}
	name := a.name + " got " + w.name(o.ID)
	switch {
	case o.State == order.Completed:
	case w.refunded(o):
		w.saw("refunded by an operator")
	case o.State == order.Refunded && got.TrackingID == "" && (o.Address.City == nowhere || w.account(o.ID).returned > 0):
		w.saw("refunded after an OK")
	default:
		w.violated("I3", name, "which is %s", o.State)
	}
	if got.TrackingID != "" && got.TrackingID != o.TrackingID {
		w.violated("I6", name, "with parcel %q, which is %q", got.TrackingID, o.TrackingID)
	}
	if got.Total != o.Total || got.Shipping != o.Shipping || !slices.Equal(got.Items, o.Items) {
		w.violated("I7", name, "with other prices than are on record")
	}
	r := a.request
	if o.UserID != r.UserID || o.Currency != r.Currency || o.Address != r.Address || o.Email != r.Email {
		w.violated("I6", name, "which is another request's")
	}
	switch lines := a.basket.lines; {
	case w.ordered(o, lines):
	case (len(lines) == 0 || a.basket.gone) && r.Key == "": // an empty cart without a key is taken for a lost answer
		w.saw("an empty cart was answered with the last order")
	default:
		w.violated("I6", name, "which is not %s", a.basket.name)
	}
	if o.Trace["ask"] == a.name && r.Expected != (money.Amount{}) && r.Expected != o.Total {
		w.violated("I7", name, "which costs %v, and %v was agreed", o.Total, r.Expected)
	}
	if got.TrackingID == "" {
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
		w.violated("I9", a.name, "was answered %v", a.err)
	}
	failure, _ := errors.AsType[*order.Error](a.err)
	unsure := failure != nil && failure.MayBePaid
	if unsure {
		w.saw("perhaps paid by an earlier call")
	}
	w.checkPrivacy(a.name, a.err.Error())
	for _, o := range w.orders() {
		if o.Trace["ask"] == a.name && says == no && w.account(o.ID).net() > 0 {
			w.violated("I9", a.name, "was answered %q, and %s is charged", kind, w.name(o.ID))
		}
		if says == no && !unsure && kind != order.ErrOverloaded && w.samePurchase(a, o) && w.account(o.ID).net() > 0 && w.account(o.ID).since.Before(a.asked) {
			w.violated("I9", a.name, "was answered %q, and %s of an earlier request is charged", kind, w.name(o.ID))
		}
	}
	o := w.on(id)
	switch {
	case says == no && o != nil && kind != order.ErrBusy && kind != order.ErrKeyReused && w.account(id).net() > 0:
		w.violated("I9", a.name, "was answered %q of %s, which is charged", kind, w.name(id))
	case says == unknown && o == nil:
		w.violated("I9", a.name, "was answered %q of no order", kind)
	case says == toRefund && (o == nil || w.account(id).net() > 0 || o.Address.City != nowhere && w.account(id).returned == 0):
		w.violated("I9", a.name, "was answered %q of %s", kind, w.name(id))
	case w.plan.calm() && slices.Contains([]order.Kind{order.ErrUnavailable, order.ErrPaymentUnreachable, order.ErrImplausible}, kind) && a.hadTime():
		w.violated("I9", a.name, "was answered %v without a fault", a.err)
	}
}

// samePurchase reports whether the order is of a call with the same request and basket.
func (w *world) samePurchase(a *ask, o *order.Order) bool {
	i := slices.IndexFunc(w.asks, func(other *ask) bool { return other.name == o.Trace["ask"] })
	return i >= 0 && w.asks[i].basket == a.basket && w.asks[i].request.Key == a.request.Key && w.asks[i].request.Address == a.request.Address
}

// hadTime reports whether the customer waited long enough for the answer.
func (a *ask) hadTime() bool { return a.heard && a.patience > 5*time.Second }

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
			w.violated("I6", a.name, "was answered %q, and the same key %q before", says, before)
		}
		last[key] = says
	}
}

// final is an answer that must stay the same for its key.
func (w *world) final(a *ask) (says string, final bool) {
	if got := a.answer; got != nil {
		o := w.on(got.ID) // before there was a parcel, shipping might still refuse it
		return "OK " + w.name(got.ID), got.TrackingID != "" || o == nil || o.State != order.Refunded
	}
	kind, id := a.kind()
	switch o := w.on(id); {
	case kind == order.ErrRefunded:
	case kind == order.ErrDeclined && o != nil && o.State == order.Declined: // else the record was unavailable, and forgot it
	default:
		return "", false
	}
	return string(kind) + " " + w.name(id), true
}
