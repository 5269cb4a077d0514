package storefront

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
)

// answer is what a customer hears: an order, or why there is none.
type answer struct {
	order   *oteldemo.OrderResult
	refused *refusal
}

// refusal is why an order was not placed, in words for the customer.
type refusal struct {
	Reason  string // as google.rpc.ErrorInfo has it; empty when checkout did not answer at all
	Title   string
	Words   string // what checkout said
	Money   string // whether money has moved
	Tone    string
	Advice  string
	Fields  []*errdetails.BadRequest_FieldViolation
	OrderID string // of what is on record; may be empty
	SameKey bool   // asking again is about the same order

	status int // of HTTP
	again  bool
}

// place asks checkout for an order, as part of a new trace. Asked again with the same key it is the same order.
func (s *Storefront) place(ctx context.Context, request *oteldemo.PlaceOrderRequest, key string) answer {
	ctx, trace := traced(ctx)
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
	var trailer metadata.MD
	response, err := s.checkout.PlaceOrder(ctx, request, grpc.Trailer(&trailer))
	if err != nil {
		return answer{refused: refusalOf(err)}
	}
	s.receipts.keep(receipt{Order: response.GetOrder(), TraceID: trace, Late: len(trailer.Get("checkout-order-state")) > 0})
	return answer{order: response.GetOrder()}
}

// insist asks until there is an answer that asking again would not better, or ctx ends; and tells how often it asked.
func (s *Storefront) insist(ctx context.Context, request *oteldemo.PlaceOrderRequest, key string) (got answer, asked int) {
	const first, last = 100 * time.Millisecond, time.Second
	for pause := first; ; pause = min(2*pause, last) {
		got = s.place(ctx, request, key)
		asked++
		if got.refused == nil || !got.refused.again || !wait(ctx, pause) {
			return got, asked
		}
	}
}

// wait waits, and tells whether it could.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// traced is a context whose calls belong to a new trace (W3C Trace Context), and the trace's id.
func traced(ctx context.Context) (context.Context, string) {
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	trace, parent := hex.EncodeToString(id[:16]), hex.EncodeToString(id[16:])
	return metadata.AppendToOutgoingContext(ctx, "traceparent", "00-"+trace+"-"+parent+"-01"), trace
}

// refusalOf puts into words what checkout answered.
func refusalOf(err error) *refusal {
	told := status.Convert(err)
	f := &refusal{Words: told.Message(), status: http.StatusServiceUnavailable, SameKey: true}
	var moved string
	for _, detail := range told.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.Reason, f.OrderID, moved = d.GetReason(), d.GetMetadata()["order_id"], d.GetMetadata()["money_moved"]
			f.again = retryable(told.Code()) && d.GetMetadata()["safe_to_retry"] == "true"
		case *errdetails.BadRequest:
			f.Fields = d.GetFieldViolations()
		}
	}
	if f.Reason == "" { // the process died, or the time was up
		f.again = retryable(told.Code())
		f.Title, f.Tone = "Checkout did not answer", "warn"
		f.Money = "Nobody knows yet whether money has moved."
		f.Advice = "Ask again with the form below: it carries the same key, so it is the same order, and never a second charge."
		return f
	}
	f.say(told.Code(), moved)
	return f
}

// retryable are the codes that invite a caller to ask again.
func retryable(code codes.Code) bool {
	return code == codes.Unavailable || code == codes.ResourceExhausted
}

// say fills in the words that go with a reason and with what is known of the money.
func (f *refusal) say(code codes.Code, moved string) {
	f.status = statusOf(code)
	f.Tone, f.Money = "warn", "Your card has not been charged."
	switch moved {
	case "yes":
		f.Tone, f.Money = "bad", "Your card has been charged; the money is owed back to you."
	case "unknown":
		f.Tone, f.Money = "bad", "It is not known whether your card was charged."
	}
	f.Title, f.Advice = "The order was not placed", "Correct it and order again."
	switch f.Reason {
	case "CARD_DECLINED":
		f.Title, f.Advice, f.SameKey = "The card was declined", "Try another card.", false
	case "CART_EMPTY":
		f.Title, f.Advice = "The cart is empty", "Put something into it first."
	case "UNAVAILABLE", "IMPLAUSIBLE_ANSWER":
		f.Title, f.Advice = "A part of the shop does not work right now", "Ask again in a while: it is safe."
	case "PAYMENT_UNREACHABLE":
		f.Title, f.Advice = "The payment service cannot be reached", "Ask again in a while: it is safe."
	case "OVERLOADED":
		f.Title, f.Advice = "Too many orders are under way", "Ask again in a moment: it is safe."
	case "PAYMENT_UNKNOWN":
		f.Title, f.Advice = "The payment service did not answer", "Do not pay again. A person looks into it; asking again with the form below tells what is known."
	case "SHIPPING_REFUSED":
		f.Title, f.Advice = "The order cannot be shipped", "Do not order it again there."
	case "ORDER_REFUNDED":
		f.Title, f.Money, f.Advice = "The order could not be shipped", "Your card was charged, and the money has gone back.", "Do not order it again there."
	case "ORDER_UNDER_WAY":
		f.Title, f.Advice = "Another order of yours is under way", "Ask again when it is done."
	case "IDEMPOTENCY_KEY_REUSED":
		f.Title, f.Advice, f.SameKey = "This form has ordered something else already", "The form below is a new one.", false
	case "INTERNAL":
		f.Title, f.Advice = "Checkout has made a mistake", "Ask again with the form below: it is the same order."
	}
}

// statusOf is the HTTP status that comes nearest.
func statusOf(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.FailedPrecondition:
		return http.StatusUnprocessableEntity
	case codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// receipt is what a customer was told, which is all there is when checkout tells nothing of its orders.
type receipt struct {
	Order   *oteldemo.OrderResult
	TraceID string
	Late    bool // it was paid, and not shipped in time for the answer
}

// maxReceipts is how many receipts are kept.
const maxReceipts = 500

// receipts are the last ones, by order.
type receipts struct {
	mu   sync.Mutex
	byID map[string]receipt
	ids  []string // oldest first
}

// keep keeps the first receipt of an order: the trace that placed it.
func (r *receipts) keep(one receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := one.Order.GetOrderId()
	if _, known := r.byID[id]; known {
		return
	}
	if r.byID == nil {
		r.byID = make(map[string]receipt)
	}
	r.byID[id] = one
	if r.ids = append(r.ids, id); len(r.ids) > maxReceipts {
		delete(r.byID, r.ids[0])
		r.ids = r.ids[1:]
	}
}

func (r *receipts) of(id string) (receipt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, ok := r.byID[id]
	return one, ok
}
