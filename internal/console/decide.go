package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/creditcard"
)

// form is what was typed into one of the forms of an order, and why it was not done.
type form struct {
	Action      string // retry or resolve
	Signer      string // whom the certificate of the browser names; empty: it showed none
	By          string
	Why         string
	Verdict     string
	Transaction string
	Tracking    string
	Skip        []string // deliveries
	Failure     *failure
}

// withoutCards is f without what looks like the number of a card: that is shown to nobody, not even to who has typed it.
func (f form) withoutCards() form {
	for _, text := range []*string{&f.By, &f.Why, &f.Transaction, &f.Tracking} {
		if creditcard.HasNumber(*text) {
			*text = ""
		}
	}
	return f
}

// Skips tells whether the delivery was chosen.
func (f form) Skips(delivery string) bool { return slices.Contains(f.Skip, delivery) }

// choices are the decisions that make sense for an order.
type choices struct {
	Hint     string
	Legend   string
	Verdicts []verdict // none: which of the undelivered to skip
	Ask      string    // for the reason
	When     string    // the order can be continued
	Retry    string    // text of the button that does; empty: it cannot continue without a resolution
	Caution  string    // about that
}

// verdict is a choice of the form that resolves.
type verdict struct{ Name, Text string }

// Choices are the decisions that make sense for the order, which requires one.
func (p orderPage) Choices() choices {
	const ask, fixed = "How do you know?", "Or: the cause is fixed"
	refunded := verdict{"refunded", "The money was given back: the order is over"}
	switch {
	case p.State == "undelivered":
		return choices{
			Hint: "The order is paid and shipped, but not everything could be delivered.", Legend: "Deliveries to skip", Ask: "Why are they skipped?",
			When: fixed, Retry: "Send again", Caution: "What was delivered is not sent again.",
		}
	case p.toRefund():
		c := choices{Hint: "The customer was charged, and the money is to be given back.", Legend: "Was it given back?", Ask: ask, Verdicts: []verdict{refunded}}
		if p.State == "parked" {
			c.When, c.Retry, c.Caution = fixed, "Refund again", "The payment service is asked to give it back."
		}
		return c
	case p.Transaction != "":
		return choices{
			Hint: "The customer was charged. Find out from the shipping service whether it has sent a parcel.", Legend: "Was it shipped?", Ask: ask,
			Verdicts: []verdict{{"shipped", "Yes: send the confirmation"}, refunded},
			When:     "Or: it was not shipped", Retry: "Ship again", Caution: "If a parcel was sent before, the customer gets another one.",
		}
	}
	c := choices{
		Hint: "It is not known whether the customer was charged. Look for a charge of this total at the payment provider.", Legend: "Was it paid?", Ask: ask,
		Verdicts: []verdict{{"paid", "Yes, and the money is kept: ship the order"}, {"not_paid", "No, and it never will be: cancel the order"}, refunded},
	}
	if p.State == "parked" {
		c.When, c.Retry, c.Caution = fixed, "Ask again", "The payment service is asked whether it has charged."
	}
	return c
}

// Offers tells whether the form has that choice.
func (c choices) Offers(name string) bool {
	return slices.ContainsFunc(c.Verdicts, func(v verdict) bool { return v.Name == name })
}

// toRefund tells whether the charge's reversal was ever asked for: the order must not be shipped then.
func (p orderPage) toRefund() bool {
	for _, e := range slices.Backward(p.Story) {
		if p.State == "parked" && e.State != "parked" {
			return e.State == "refunding"
		}
	}
	return p.State == "refunding"
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

// verdicts are what an operator may have found out, or decided, by their names in the form.
func verdicts() map[string]checkoutv1.ResolveOrderRequest_Resolution {
	return map[string]checkoutv1.ResolveOrderRequest_Resolution{
		"paid":     checkoutv1.ResolveOrderRequest_PAID,
		"not_paid": checkoutv1.ResolveOrderRequest_NOT_PAID,
		"refunded": checkoutv1.ResolveOrderRequest_REFUNDED,
		"shipped":  checkoutv1.ResolveOrderRequest_SHIPPED,
		"skip":     checkoutv1.ResolveOrderRequest_SKIP,
	}
}

// retry continues an order that waits for an operator.
func (c *Console) retry(w http.ResponseWriter, r *http.Request) {
	c.decide(w, r, "retry", func(ctx context.Context, id string, f form) (*checkoutv1.Order, error) {
		return c.services.retry(ctx, &checkoutv1.RetryOrderRequest{OrderId: id, By: f.By, Why: f.Why})
	})
}

// resolve records what an operator has found out, or decided, about an order. What was typed for another choice is left out.
func (c *Console) resolve(w http.ResponseWriter, r *http.Request) {
	c.decide(w, r, "resolve", func(ctx context.Context, id string, f form) (*checkoutv1.Order, error) {
		req := &checkoutv1.ResolveOrderRequest{OrderId: id, Resolution: verdicts()[f.Verdict], By: f.By, Why: f.Why}
		switch f.Verdict {
		case "paid":
			req.TransactionId = f.Transaction
		case "shipped":
			req.TrackingId = f.Tracking
		case "skip":
			req.Skip = f.Skip
		}
		return c.services.resolve(ctx, req)
	})
}

// decide has a decision done. A browser is led to the order, and back to the form when it was not done.
func (c *Console) decide(w http.ResponseWriter, r *http.Request, action string, act func(context.Context, string, form) (*checkoutv1.Order, error)) {
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, &failure{Status: http.StatusBadRequest, Reason: "INVALID_REQUEST", Message: "the form cannot be read"})
		return
	}
	id := r.PathValue("id")
	typed := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f := form{
		Action: action, By: cmp.Or(signer(r), typed("by")), Why: typed("why"), Verdict: typed("verdict"),
		Transaction: typed("transaction_id"), Tracking: typed("tracking_id"), Skip: r.PostForm["skip"],
	}
	// What is decided is done, whether or not somebody waits for the answer.
	o, err := act(context.WithoutCancel(r.Context()), id, f)
	switch {
	case err == nil && wantsJSON(r):
		c.answerOrder(w, r, http.StatusOK, c.pageOf(o))
	case err == nil:
		http.Redirect(w, r, c.site.URL("/orders/"+o.GetOrderId()), http.StatusSeeOther)
	default:
		why := failureOf(err)
		_, why.Unknown = errors.AsType[lostAnswer](err)
		c.undecided(w, r, id, f, why)
	}
}

// undecided answers that a decision was not done, or that nobody knows: with the order and what was typed, for people.
func (c *Console) undecided(w http.ResponseWriter, r *http.Request, id string, f form, why *failure) {
	if !wantsJSON(r) {
		if o, err := c.services.order(r.Context(), &checkoutv1.GetOrderRequest{OrderId: id}); err == nil {
			p := c.pageOf(o)
			f.Failure = why
			p.form = f.withoutCards()
			c.answerOrder(w, r, why.Status, p)
			return
		}
	}
	c.fail(w, r, why)
}
