package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/decision"
	"checkout/internal/order"
	"checkout/internal/web"
	"checkout/internal/wire"
)

// traceMark stands for the id in Options.TraceURL.
const traceMark = "{trace}"

// orderPage is one order, with its history.
type orderPage struct {
	orderRow

	At          time.Time `json:"at"`
	Items       []item    `json:"items"`
	Shipping    sumOf     `json:"shipping"`
	Key         string    `json:"idempotency_key,omitempty"`
	Transaction string    `json:"transaction_id,omitempty"`
	Shipments   int32     `json:"ship_attempts,omitempty"` // that were sent, and may each have become a parcel
	Tracking    string    `json:"tracking_id,omitempty"`
	Refunded    *sumOf    `json:"refunded,omitempty"`  // in part
	RefundTo    *sumOf    `json:"refund_to,omitempty"` // what is to be refunded in all, if that is a part
	Trace       string    `json:"trace_id,omitempty"`
	TraceURL    string    `json:"trace_url,omitempty"`
	History     []event   `json:"history"` // oldest first

	Hint string `json:"-"` // what is known, and what to find out
	form form   // what was typed into the forms, and why it was not done
}

// ShippingAttempts are how often the order may have been shipped, if it may.
func (p orderPage) ShippingAttempts() string {
	switch {
	case p.Shipments >= order.UnknownShipments:
		return "unknown"
	case p.Shipments > 0:
		return fmt.Sprint(p.Shipments)
	}
	return ""
}

type item struct {
	Product  string `json:"product_id"`
	Name     string `json:"name,omitempty"` // if it is known
	Quantity int32  `json:"quantity"`
	Cost     sumOf  `json:"cost"` // of one
	Sum      string `json:"-"`    // of all
}

// event is a line of an order's history.
type event struct {
	At      time.Time  `json:"at"`
	State   string     `json:"state"`          // after it
	Step    string     `json:"step,omitempty"` // of a try that failed
	Problem string     `json:"problem,omitempty"`
	Times   int32      `json:"times,omitempty"` // how often, if more than once
	Last    *time.Time `json:"last,omitempty"`
	By      string     `json:"by,omitempty"` // who did it, if not the order's own course
}

func (c *Console) pageOf(o *checkoutv1.Order) orderPage {
	p := orderPage{
		orderRow: rowOf(o), At: c.now(),
		Items: []item{}, Shipping: moneyOf(o.GetShipping()),
		Key: o.GetIdempotencyKey(), Transaction: o.GetTransactionId(), Shipments: o.GetShipAttempts(), Tracking: o.GetTrackingId(),
		Trace: o.GetTraceId(), History: []event{}, Hint: decision.Hint(o),
	}
	if c.traceURL != "" && p.Trace != "" {
		p.TraceURL = strings.ReplaceAll(c.traceURL, traceMark, p.Trace)
	}
	for m, into := range map[*oteldemo.Money]**sumOf{o.GetRefunded(): &p.Refunded, o.GetRefundTo(): &p.RefundTo} {
		if m != nil {
			sum := moneyOf(m)
			*into = &sum
		}
	}
	for _, i := range o.GetItems() {
		product := i.GetItem().GetProductId()
		name := c.nameOf(product)
		if name == product {
			name = ""
		}
		p.Items = append(p.Items, item{product, name, i.GetItem().GetQuantity(), moneyOf(i.GetCost()), wire.Times(i.GetCost(), i.GetItem().GetQuantity())})
	}
	for _, e := range o.GetHistory() {
		line := event{At: e.GetAt().AsTime(), State: wire.StateName(e.GetState()), Step: e.GetStep(), Problem: e.GetProblem(), By: e.GetBy()}
		if e.GetTimes() > 1 {
			line.Times = e.GetTimes()
		}
		if e.GetLast() != nil {
			last := e.GetLast().AsTime()
			line.Last = &last
		}
		p.History = append(p.History, line)
	}
	return p
}

// Form is what was typed into the forms.
func (p orderPage) Form() form { return p.form }

// Since is how long after the order's creation something was.
func (p orderPage) Since(t time.Time) string { return "+" + web.Took(t.Sub(p.Created)) }

// Unsaid is the reason, unless the history ends with it.
func (p orderPage) Unsaid() string {
	if n := len(p.History); n > 0 && p.History[n-1].Problem == p.Reason {
		return ""
	}
	return p.Reason
}

// Final reports whether nothing becomes of the order any more.
func (p orderPage) Final() bool {
	switch p.State {
	case "completed", "declined", "refunded", "cancelled":
		return true
	}
	return false
}

func (c *Console) showOrder(w http.ResponseWriter, r *http.Request) {
	o, err := c.services.order(r.Context(), &checkoutv1.GetOrderRequest{OrderId: r.PathValue("id")})
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	c.answerOrder(w, r, http.StatusOK, c.pageOf(o))
}

func (c *Console) answerOrder(w http.ResponseWriter, r *http.Request, status int, p orderPage) {
	p.form.Signer = signer(r)
	page := web.Page{Title: "Order " + p.ID, Nav: "/orders", Data: p}
	if p.form.Failure == nil { // or what was typed would be lost
		page.Live = "/live/orders/" + p.ID
	}
	c.answer(w, r, status, "order", p, page)
}

// liveOrder keeps the page of an order fresh.
func (c *Console) liveOrder(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c.keepFresh(w, r, "order", func(ctx context.Context) (any, error) {
		o, err := c.orders.Get(ctx, id, sharedFor, func(ctx context.Context) (*checkoutv1.Order, error) {
			return c.services.order(ctx, &checkoutv1.GetOrderRequest{OrderId: id})
		})
		p := c.pageOf(o)
		p.form.Signer = signer(r)
		return p, err
	}, "state-of", "facts", "bill", "history", "decide", "money-back")
}
