package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"checkout/gen/checkout/checkoutv1"
)

// form is what was typed into one of the forms of an order, and why it was not done.
type form struct {
	Action      string // retry or resolve
	Signer      string // whom the certificate of the browser names; empty: it showed none
	By          string
	Why         string
	Verdict     string
	Transaction string
	Failure     *failure
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

// verdicts are what a person may have found out, by their names in the form.
func verdicts() map[string]checkoutv1.ResolveOrderRequest_Resolution {
	return map[string]checkoutv1.ResolveOrderRequest_Resolution{
		"paid":     checkoutv1.ResolveOrderRequest_PAID,
		"not_paid": checkoutv1.ResolveOrderRequest_NOT_PAID,
		"refunded": checkoutv1.ResolveOrderRequest_REFUNDED,
	}
}

// retry sends an order that rests on its way again.
func (c *Console) retry(w http.ResponseWriter, r *http.Request) {
	c.decide(w, r, "retry", func(ctx context.Context, id string, f form) (*checkoutv1.Order, error) {
		return c.services.retry(ctx, &checkoutv1.RetryOrderRequest{OrderId: id, By: f.By, Why: f.Why})
	})
}

// resolve records what a person has found out about an order's money.
func (c *Console) resolve(w http.ResponseWriter, r *http.Request) {
	c.decide(w, r, "resolve", func(ctx context.Context, id string, f form) (*checkoutv1.Order, error) {
		req := &checkoutv1.ResolveOrderRequest{OrderId: id, Resolution: verdicts()[f.Verdict], By: f.By, Why: f.Why}
		if f.Verdict == "paid" {
			req.TransactionId = f.Transaction
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
	f := form{Action: action, By: cmp.Or(signer(r), typed("by")), Why: typed("why"), Verdict: typed("verdict"), Transaction: typed("transaction_id")}
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
			p.form = f
			c.answerOrder(w, r, why.Status, p)
			return
		}
	}
	c.fail(w, r, why)
}
