package storefront

import (
	"context"
	"html/template"
	"net/http"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// listed is how many orders, e-mails or events a page shows, if their texts are not longer than maxText bytes of HTML.
	listed, maxText = 50, 60_000
	// maxAnswer bounds what checkout may answer about orders, in bytes.
	maxAnswer = 2 << 20
)

func (s *Storefront) backOffice(mux *http.ServeMux) {
	s.show(mux, "/orders", view{"orders", "All orders", "/orders", s.lookAtOrders, true, whole("orders")})
	s.show(mux, "/orders/{id}", view{"order", "Your order", "/cart", s.lookAtOrder, false, whole("order")})
	s.show(mux, "/traces/{id}", view{"trace", "Trace", "/orders", s.lookAtTrace, true, whole("trace")})
	s.show(mux, "/emails", view{"emails", "Confirmation e-mails", "/emails", s.lookAtEmails, true, whole("emails")})
	s.show(mux, "/events", view{"events", "Event log", "/events", s.lookAtEvents, true, whole("events")})
	s.show(mux, "/reconciliation", view{"reconciliation", "Reconciliation", "/reconciliation", s.reconcile, true, whole("reconciliation")})
}

// list asks for the newest orders in some states, or in all, and reports whether there are more.
func (s *Storefront) list(ctx context.Context, size int32, states ...checkoutv1.OrderState) (orders []*checkoutv1.Order, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	page, err := s.orders.ListOrders(ctx, &checkoutv1.ListOrdersRequest{PageSize: size, States: states}, grpc.MaxCallRecvMsgSize(maxAnswer))
	return page.GetOrders(), page.GetNextPageToken() != "", err
}

// get asks for one order.
func (s *Storefront) get(ctx context.Context, request *checkoutv1.GetOrderRequest) (*checkoutv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return s.orders.GetOrder(ctx, request, grpc.MaxCallRecvMsgSize(maxAnswer))
}

func (s *Storefront) lookAtOrders(ctx context.Context, _ *http.Request) (any, error) {
	orders, _, err := s.list(ctx, listed)
	if err != nil {
		return nil, unavailable("The record of orders")
	}
	return orders, nil
}

// orderPage is one order, as far as it is known.
type orderPage struct {
	ID      string
	Order   *checkoutv1.Order // nil when checkout cannot be asked about it
	Receipt receipt           // empty when the shop does not remember it
	Console string            // the operators' page about it; empty when there is none
	TraceID string
}

// State is the state of the order as its customer sees it: one that is shipped is on its way, whatever else could not be
// delivered.
func (p orderPage) State() checkoutv1.OrderState {
	if s := p.Order.GetState(); s != checkoutv1.OrderState_UNDELIVERED {
		return s
	}
	return checkoutv1.OrderState_PLACED
}

// news is what a customer wants to know about an order first.
type news struct {
	Tone, Title, Words string
	Open               bool // there will be other news
}

// News are the news of the order.
func (p orderPage) News() news {
	switch p.State() {
	case checkoutv1.OrderState_CHARGING:
		return news{"info", "Your payment is being processed", "Please wait, and do not pay again.", true}
	case checkoutv1.OrderState_IN_DOUBT:
		return news{"bad", "Payment unknown", "We do not know yet whether your card was charged. Please do not pay again: we find out, and the page of the order shows it.", true}
	case checkoutv1.OrderState_CHARGED:
		return news{"info", "Thank you! Your order is paid", "It is being shipped.", true}
	case checkoutv1.OrderState_PLACED, checkoutv1.OrderState_UNDELIVERED, checkoutv1.OrderState_COMPLETED:
		return news{"good", "Thank you! Your order is on its way", "You do not need to do anything.", false}
	case checkoutv1.OrderState_PARKED:
		return news{"warn", "Your order is delayed", "Your card was charged, and we could not ship the order yet. Our staff looks into it; please do not order again.", true}
	case checkoutv1.OrderState_REFUNDING:
		return news{"warn", "Your order cannot be shipped", "The money is being returned to your card.", true}
	case checkoutv1.OrderState_REFUNDED:
		return news{"warn", "Your order was not placed", "The money has been returned to your card.", false}
	case checkoutv1.OrderState_DECLINED:
		return news{"warn", "Your card was declined", "Your card has not been charged. You can try another one.", false}
	case checkoutv1.OrderState_CANCELLED:
		return news{"warn", "Your order was cancelled", "Your card has not been charged. You can order again.", false}
	case checkoutv1.OrderState_ORDER_STATE_UNSPECIFIED:
	}
	if p.Receipt.Order != nil && !p.Receipt.Late {
		return news{"good", "Thank you! Your order is on its way", "Its progress cannot be shown right now.", true}
	}
	return news{"warn", "Your order is being processed", "Its progress cannot be shown right now. Please do not order again.", true}
}

// step is a step of an order.
type step struct {
	Name, Tone, Note string
}

func (s *Storefront) lookAtOrder(ctx context.Context, r *http.Request) (any, error) {
	page := orderPage{ID: r.PathValue("id")}
	page.Receipt = s.receipts.of(page.ID)
	page.TraceID = page.Receipt.TraceID
	order, err := s.get(ctx, &checkoutv1.GetOrderRequest{OrderId: page.ID})
	switch code := status.Code(err); {
	case err == nil:
		page.Order = order
		page.TraceID = order.GetTraceId()
		if s.Console != "" {
			page.Console = s.Console + "/orders/" + page.ID
		}
	case code == codes.NotFound, code == codes.InvalidArgument:
		return nil, &problem{http.StatusNotFound, "There is no such order", "Please check its number. Orders are not kept for ever."}
	case page.Receipt.ID == "":
		return nil, unavailable("The record of orders")
	}
	return page, nil
}

// Steps are how far the order is on its way, as customers see it. There are none if it is over without a parcel and a charge.
func (p orderPage) Steps() []step {
	o := p.Order
	paid, shipped := mark("Paid", o.GetTransactionId() != "", "transaction "+o.GetTransactionId()), mark("Shipped", o.GetTrackingId() != "", "parcel "+o.GetTrackingId())
	switch p.State() {
	case checkoutv1.OrderState_ORDER_STATE_UNSPECIFIED, checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_CANCELLED:
		return nil
	case checkoutv1.OrderState_IN_DOUBT:
		paid = step{"Paid", "warn", "unknown"}
	case checkoutv1.OrderState_REFUNDING, checkoutv1.OrderState_REFUNDED:
		return []step{paid, mark("Refunded", p.State() == checkoutv1.OrderState_REFUNDED, "")}
	default:
	}
	steps := []step{paid, shipped, p.delivery("Confirmed by e-mail", "email")}
	if part := o.GetRefunded(); part != nil {
		steps = append(steps, step{"Refunded", "good", wire.Price(part)})
	}
	return steps
}

// Deliveries are the steps that customers do not see.
func (p orderPage) Deliveries() []step {
	return []step{p.delivery("Cart emptied", "cart"), p.delivery("Published to Kafka", "event")}
}

// delivery is what follows the parcel.
func (p orderPage) delivery(name, what string) step {
	switch o := p.Order; {
	case slices.Contains(o.GetUndeliverable(), what):
		return step{name, "warn", "could not be delivered"}
	case slices.Contains(o.GetSkipped(), what):
		return step{name, "warn", "skipped"}
	default:
		placed := p.State() == checkoutv1.OrderState_PLACED || p.State() == checkoutv1.OrderState_COMPLETED
		return mark(name, placed && !slices.Contains(o.GetPending(), what), "")
	}
}

// mark is a step that is done or not done yet.
func mark(name string, done bool, note string) step {
	if done {
		return step{name, "good", note}
	}
	return step{name, "", "not yet"}
}

// tracePage is a trace and those that belong to it.
type tracePage struct {
	ID     string
	Traces []web.Waterfall
}

func (s *Storefront) lookAtTrace(_ context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	if !consistsOf(id, 32, "0123456789abcdef") {
		return nil, &problem{http.StatusNotFound, "There is no such trace", "The id of a trace has 32 hexadecimal digits."}
	}
	page := tracePage{ID: id}
	if spans := s.Shop.Collector.Trace(id); len(spans) > 0 {
		page.Traces = append(page.Traces, waterfall("The call that placed the order", spans))
	}
	for _, later := range s.Shop.Collector.Linked(id) {
		page.Traces = append(page.Traces, waterfall("Done later, in the linked trace "+later, s.Shop.Collector.Trace(later)))
	}
	return page, nil
}

// maxBars is how many rows of a trace are drawn.
const maxBars = 300

func waterfall(caption string, spans []demo.Span) web.Waterfall {
	w := web.Waterfall{Caption: caption}
	for _, r := range demo.Rows(spans[:min(len(spans), maxBars)]) {
		bar := web.Bar{Name: r.Name, Depth: r.Depth, Start: r.Start, Took: r.Length}
		switch {
		case r.Event:
			bar.Note, bar.Tone = "at "+web.Took(r.Start), "good"
		case r.Failed:
			bar.Note, bar.Tone = "failed", "bad"
		default:
			bar.Tone = "info"
		}
		w.Bars = append(w.Bars, bar)
	}
	return w
}

func (s *Storefront) lookAtEmails(context.Context, *http.Request) (any, error) {
	return fitting(newest(s.Shop.Email.Sent()), func(c demo.Confirmation) string { return c.Text }), nil
}

// fitting are the first of a list, as many as fit into a page, and one at least.
func fitting[T any](all []T, text func(T) string) []T {
	bytes := 0
	for i, one := range all {
		if bytes += len(template.HTMLEscapeString(text(one))); bytes > maxText && i > 0 {
			return all[:i]
		}
	}
	return all
}

// newest are the last of a list, the last one first.
func newest[T any](all []T) []T {
	last := slices.Clone(all[max(0, len(all)-listed):])
	slices.Reverse(last)
	return last
}
