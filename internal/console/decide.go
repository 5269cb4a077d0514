package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
	"checkout/internal/decision"
	"checkout/internal/web"
)

// form is what was typed into one of the forms of an order, and why it was not done.
type form struct {
	Action      string // retry or resolve
	Signer      string // whom the certificate of the browser names; empty: it showed none
	By          string
	Why         string
	Resolution  string
	Transaction string
	Tracking    string
	Skip        []string // deliveries
	Amount      string   // such as CHF 212.96
	Seen        string   // the order as it was when the decision was confirmed; empty: it is not confirmed
	Failure     *failure
}

// withoutCards is f without what looks like the number of a card: that is never shown, not even to the person who typed it.
func (f form) withoutCards() form {
	for _, text := range []*string{&f.By, &f.Why, &f.Transaction, &f.Tracking} {
		if creditcard.HasNumber(*text) {
			*text = ""
		}
	}
	return f
}

// Skips reports whether the delivery was chosen.
func (f form) Skips(delivery string) bool { return slices.Contains(f.Skip, delivery) }

// choices are the decisions that make sense for an order.
type choices struct {
	Legend      string
	Resolutions []resolution // none: which of the undelivered to skip
	Ask         string       // for the reason
	When        string       // the order can be continued
	Retry       string       // text of the button that does; empty: it cannot continue without a resolution
	Caution     string       // about that
}

// resolution is a choice of the form that resolves.
type resolution struct{ Name, Text string }

// Choices are the decisions that the order allows, which requires one.
func (p orderPage) Choices() choices {
	const ask, fixed = "How do you know?", "Or: the cause is fixed"
	c := choices{Ask: ask, When: fixed}
	texts := map[string]string{
		"paid": "Yes, and the money is kept: ship the order", "not_paid": "No, and it never will be: cancel the order",
		"shipped": "Yes: send the confirmation", "refunded": "The money was refunded: the order is over",
	}
	for _, name := range p.Decisions {
		if text := texts[name]; text != "" {
			c.Resolutions = append(c.Resolutions, resolution{name, text})
		}
	}
	switch retry := slices.Contains(p.Decisions, "retry"); {
	case p.State == "undelivered":
		c.Legend, c.Ask = "Deliveries to skip", "Why are they skipped?"
		c.Retry, c.Caution = "Send again", "What was delivered is not sent again."
	case !c.Offers("paid") && !c.Offers("shipped"):
		c.Legend = "Was it refunded?"
		c.Resolutions = slices.DeleteFunc(c.Resolutions, func(v resolution) bool { return v.Name == "not_paid" }) // that was never sure
		if retry {
			c.Retry, c.Caution = "Refund again", "The payment service is asked to refund it."
		}
	case p.Transaction != "":
		c.Legend = "Was it shipped?"
		c.When, c.Retry, c.Caution = "Or: it was not shipped", "Ship again", "If a parcel was sent before, the customer gets another one."
		c.Resolutions = slices.DeleteFunc(c.Resolutions, func(v resolution) bool { return v.Name == "paid" }) // it means to ship again
	default:
		c.Legend = "Was it paid?"
		if retry {
			c.Retry, c.Caution = "Ask again", "The payment service is asked whether it has charged."
		}
	}
	return c
}

// Offers reports whether the form has that choice.
func (c choices) Offers(name string) bool {
	return slices.ContainsFunc(c.Resolutions, func(v resolution) bool { return v.Name == name })
}

// signer is whom the client's certificate names, by its subject (RFC 4514), or else by its number. Only one that was
// verified counts. It is empty when there is none, and people tell their names themselves.
func signer(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	leaf := r.TLS.VerifiedChains[0][0]
	return cmp.Or(leaf.Subject.String(), "certificate "+leaf.SerialNumber.Text(16))
}

// amount is what was typed; nil: it is none.
func (f form) amount() *oteldemo.Money {
	amount, err := decision.Amount(f.Amount)
	if err != nil {
		return nil
	}
	return amount
}

// Can reports whether an operator can do that with the order.
func (p orderPage) Can(what string) bool { return slices.Contains(p.Decisions, what) }

// decision is that of a form. What contradicts it is for the service to refuse.
func (f form) decision(id string) decision.Decision {
	return decision.Decision{
		OrderID: id, Action: f.Action, By: f.By, Why: f.Why, Amount: f.amount(), Transaction: f.Transaction, Tracking: f.Tracking, Skip: f.Skip,
		Resolution: checkoutv1.ResolveOrderRequest_Resolution(checkoutv1.ResolveOrderRequest_Resolution_value[strings.ToUpper(f.Resolution)]),
	}
}

// decide has a decision made. A browser is asked to confirm it first, then led to the order, and back to the form when it was
// not made. A program says all at once.
func (c *Console) decide(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	typed := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f := form{
		Action: path.Base(r.URL.Path), By: cmp.Or(signer(r), typed("by")), Why: typed("why"), Resolution: typed("resolution"),
		Transaction: typed("transaction_id"), Tracking: typed("tracking_id"), Skip: r.PostForm["skip"], Amount: typed("amount"), Seen: typed("seen"),
	}
	d := f.decision(id)
	if !wantsJSON(r) {
		is, err := c.services.order(r.Context(), &checkoutv1.GetOrderRequest{OrderId: id})
		if err != nil {
			c.fail(w, r, failureOf(err))
			return
		}
		switch seen := seen(is); {
		case f.recorded(is): // the form came twice
			c.showDecided(w, r, is)
			return
		case f.Seen != seen:
			c.confirm(w, r, is, f, seen)
			return
		}
		d.Seen = is.GetChanged() // which was confirmed
	}
	// What is decided is done, even if the browser does not wait for the answer.
	o, err := c.services.decide(context.WithoutCancel(r.Context()), d, false)
	switch {
	case err == nil && wantsJSON(r):
		c.answerOrder(w, r, http.StatusOK, c.pageOf(o))
	case err == nil:
		c.showDecided(w, r, o)
	default:
		why := failureOf(err)
		_, why.Unknown = errors.AsType[lostAnswer](err)
		c.undecided(w, r, id, f, why)
	}
}

// showDecided leads to an order.
func (c *Console) showDecided(w http.ResponseWriter, r *http.Request, o *checkoutv1.Order) {
	http.Redirect(w, r, c.site.URL("/orders/"+o.GetOrderId()), http.StatusSeeOther) //nolint:gosec // to a page of this site
}

// recorded reports whether the decision that was confirmed is in the order's history, of after it was seen.
func (f form) recorded(o *checkoutv1.Order) bool {
	var state, attempts string
	var changed int64
	if _, err := fmt.Sscan(f.Seen, &state, &changed, &attempts); err != nil {
		return false
	}
	return slices.ContainsFunc(o.GetHistory(), func(e *checkoutv1.Event) bool {
		return e.GetBy() == f.By && e.GetProblem() == f.Why && e.GetAt().AsTime().UnixNano() >= changed
	})
}

// seen tells one version of an order from another.
func seen(o *checkoutv1.Order) string {
	return fmt.Sprint(o.GetState(), " ", o.GetChanged().AsTime().UnixNano(), " ", o.GetAttempts())
}

// confirmation is what is to be confirmed.
type confirmation struct {
	orderPage

	Decision string // in words
	Charge   string // what is known of it
	Next     string // what happens then
	Changed  bool   // the order is not what it was when the decision was confirmed
}

// confirm asks to confirm a decision, unless it would be refused.
func (c *Console) confirm(w http.ResponseWriter, r *http.Request, is *checkoutv1.Order, f form, seen string) {
	would, err := c.services.decide(r.Context(), f.decision(is.GetOrderId()), true)
	if err == nil {
		err = complete(f)
	}
	if err != nil {
		c.undecided(w, r, is.GetOrderId(), f, failureOf(err))
		return
	}
	p := c.pageOf(is)
	p.form = f
	p.form.Seen = seen
	data := confirmation{p, f.text(p), decision.Charge(is), decision.Next(would), f.Seen != ""}
	c.answer(w, r, http.StatusOK, "confirm", data, web.Page{Title: "Confirm", Nav: "/orders", Data: data})
}

// complete refuses a decision without what is recorded with it.
func complete(f form) error {
	var missing []*errdetails.BadRequest_FieldViolation
	if f.By == "" {
		missing = append(missing, &errdetails.BadRequest_FieldViolation{Field: "by", Description: "is missing"})
	}
	if f.Why == "" && f.Action != "retry" {
		missing = append(missing, &errdetails.BadRequest_FieldViolation{Field: "why", Description: "is missing"})
	}
	if missing == nil {
		return nil
	}
	s, err := status.New(codes.InvalidArgument, "the decision is not complete").WithDetails(&errdetails.BadRequest{FieldViolations: missing})
	if err != nil {
		return err
	}
	return s.Err()
}

// text is the decision in words.
func (f form) text(p orderPage) string {
	choices := p.Choices()
	switch f.Action {
	case "retry":
		return choices.Retry
	case "cancel":
		return "Cancel the order"
	case "refund":
		return "Refund " + f.Amount
	}
	for _, v := range choices.Resolutions {
		if v.Name == f.Resolution {
			return choices.Legend + " " + v.Text
		}
	}
	return "Skip: " + words(strings.Join(f.Skip, ", "))
}

// undecided answers that a decision was not made, or may have been made: with the order and what was typed, for people.
func (c *Console) undecided(w http.ResponseWriter, r *http.Request, id string, f form, why *failure) {
	if !wantsJSON(r) {
		if o, err := c.services.order(r.Context(), &checkoutv1.GetOrderRequest{OrderId: id}); err == nil {
			p := c.pageOf(o)
			f.Failure, f.Seen = why, ""
			p.form = f.withoutCards()
			c.answerOrder(w, r, why.Status, p)
			return
		}
	}
	c.fail(w, r, why)
}
