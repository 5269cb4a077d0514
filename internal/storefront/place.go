package storefront

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/wait"
)

// answer is the outcome of a request for an order: the order, or why there is none.
type answer struct {
	order   *oteldemo.OrderResult
	late    bool // the order is paid, and was not shipped in time for the answer
	refused *refusal
	trace   string // the trace's id
}

// refusal is why an order was not placed, in words for the customer.
type refusal struct {
	Reason  string // as google.rpc.ErrorInfo has it; empty when checkout did not answer at all
	Title   string
	Money   string // whether money has moved
	Tone    string
	Advice  string
	OrderID string // of what is on record; may be empty
	SameKey bool   // the next request is for the same order

	fields []*errdetails.BadRequest_FieldViolation
	status int // of HTTP
	again  bool
}

// place asks checkout for an order, as part of a new trace. Asked again with the same key it is the same order.
func (s *Storefront) place(ctx context.Context, request *oteldemo.PlaceOrderRequest, key string) answer {
	ctx, trace := Traced(ctx)
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
	var trailer metadata.MD
	response, err := s.checkout.PlaceOrder(ctx, request, grpc.Trailer(&trailer))
	if err != nil {
		return answer{refused: refusalOf(err), trace: trace}
	}
	return answer{order: response.GetOrder(), late: len(trailer.Get("checkout-order-state")) > 0, trace: trace}
}

// placeUntilAnswered asks until there is an answer that asking again would not better, or ctx ends; and returns how often it asked.
func (s *Storefront) placeUntilAnswered(ctx context.Context, request *oteldemo.PlaceOrderRequest, key string) (got answer, asked int) {
	const first, last = 100 * time.Millisecond, time.Second
	for pause := first; ; pause = min(2*pause, last) {
		got = s.place(ctx, request, key)
		asked++
		if got.refused == nil || !got.refused.again || !wait.For(ctx, pause) {
			return got, asked
		}
	}
}

// Traced is a context whose calls belong to a new trace (W3C Trace Context), and the trace's id.
func Traced(ctx context.Context) (context.Context, string) {
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	trace, parent := hex.EncodeToString(id[:16]), hex.EncodeToString(id[16:])
	return metadata.AppendToOutgoingContext(ctx, "traceparent", "00-"+trace+"-"+parent+"-01"), trace
}

// refusalOf puts into words what checkout answered.
func refusalOf(err error) *refusal {
	answer := status.Convert(err)
	retryable := answer.Code() == codes.Unavailable || answer.Code() == codes.ResourceExhausted
	f := &refusal{status: http.StatusServiceUnavailable, SameKey: true}
	var moved string
	var wait time.Duration
	for _, detail := range answer.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.Reason, f.OrderID, moved = d.GetReason(), d.GetMetadata()["order_id"], d.GetMetadata()["money_moved"]
			f.again = retryable && d.GetMetadata()["safe_to_retry"] == "true"
		case *errdetails.RetryInfo:
			wait = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			f.fields = d.GetFieldViolations()
			if f.fields[0].GetField() == "checkout-expected-total" { // it was quoted in another currency
				f.Reason = "PRICE_CHANGED"
			}
		}
	}
	if f.Reason == "" { // the process died, or the time was up
		f.again = retryable
		f.Title, f.Tone = "We have no answer yet", "warn"
		f.Money = "We do not know yet whether your card was charged."
		f.Advice = "Send the form below again: it asks about the same order, and your card is charged once at most."
		return f
	}
	f.say(answer.Code(), moved)
	if f.Reason == "LIMIT_REACHED" {
		f.Title, f.Advice = "Too many attempts", "Please try again in a minute."
		if wait > time.Minute {
			f.Advice = fmt.Sprintf("Please try again in %.0f minutes.", math.Ceil(wait.Minutes()))
		}
	}
	return f
}

// say fills in the words that go with a reason and with what is known of the money.
func (f *refusal) say(code codes.Code, moved string) {
	f.status = statusOf(code)
	f.Tone, f.Money = "warn", "Your card has not been charged."
	switch moved {
	case "yes":
		f.Tone, f.Money = "bad", "Your card has been charged, and we owe you the money."
	case "unknown":
		f.Tone, f.Money = "bad", "We do not know yet whether your card was charged."
		if f.again { // by an earlier call: this one has charged nothing
			f.Tone, f.Money = "warn", "Your card is charged once at most, even if you have sent this order before."
		}
	}
	f.Title, f.Advice = "The order was not placed", "Please correct the form and order again."
	switch f.Reason {
	case "CARD_DECLINED":
		f.Title, f.Advice, f.SameKey = "Your card was declined", "Please try another card.", false
	case "CART_EMPTY":
		f.Title, f.Advice = "Your cart is empty", "Put something into it first."
	case "CART_NOT_ORDERABLE":
		f.Advice = "We cannot send these products to this address, or so many of them. Please change the cart or the address."
	case "PRODUCT_UNKNOWN":
		f.Title, f.Advice = "A product is not available any more", "Please remove it from the cart."
	case "PRICE_CHANGED":
		f.Title, f.Advice = "The total has changed", "Please check the new total below, and order again if you agree."
	case "UNAVAILABLE", "IMPLAUSIBLE_ANSWER":
		f.Title, f.Advice = "The shop cannot take your order right now", "Please try again in a moment."
	case "PAYMENT_UNREACHABLE":
		f.Title, f.Advice = "Payment is not available right now", "Please try again in a moment."
	case "OVERLOADED":
		f.Title, f.Advice = "The shop is very busy", "Please try again in a moment."
	case "PAYMENT_UNKNOWN":
		f.Title, f.Advice = "Payment unknown", "Please do not pay again."
	case "SHIPPING_REFUSED":
		f.Title, f.Advice = "The order cannot be shipped", "Please do not order it again for this address."
	case "ORDER_REFUNDED":
		f.Title, f.Money, f.Advice = "The order could not be shipped", "Your card was charged, and the money has been returned.", "Please do not order it again for this address."
	case "ORDER_UNDER_WAY":
		f.Title, f.Advice = "Your last order is still being processed", "Please try again when it is done."
	case "IDEMPOTENCY_KEY_REUSED":
		f.Title, f.Advice, f.SameKey = "This form has already placed an order", "Please check it, and send it again for another order.", false
	case "INTERNAL":
		f.Title, f.Advice = "Something went wrong on our side", "Send the form below again: it asks about the same order."
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

// receipt is what the shop remembers of a customer's order: all there is when checkout cannot be asked about orders.
type receipt struct {
	ID, User string
	Order    *oteldemo.OrderResult // nil if it was not placed, or that is not known
	TraceID  string
	Late     bool // it was paid, and not shipped in time for the answer
	At       time.Time
}

// maxReceipts is how many receipts are kept.
const maxReceipts = 500

// receipts are the last ones, oldest first.
type receipts struct {
	mu  sync.Mutex
	all []receipt
}

// keep keeps the first receipt of an order, which has the trace that placed it. One with the order replaces one without.
func (r *receipts) keep(one receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one.At = time.Now()
	if i := slices.IndexFunc(r.all, func(known receipt) bool { return known.ID == one.ID }); i >= 0 {
		if r.all[i].Order == nil {
			r.all[i].Order, r.all[i].Late = one.Order, one.Late
		}
		return
	}
	if r.all = append(r.all, one); len(r.all) > maxReceipts {
		r.all = slices.Clone(r.all[1:])
	}
}

func (r *receipts) of(id string) receipt {
	return r.find(func(one receipt) bool { return one.ID == id })
}

// last is the customer's last receipt that is recent.
func (r *receipts) last(user string) receipt {
	return r.find(func(one receipt) bool { return one.User == user && time.Since(one.At) < recent })
}

// find is the newest receipt of those that are wanted, or none.
func (r *receipts) find(wanted func(receipt) bool) receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range slices.Backward(r.all) {
		if wanted(one) {
			return one
		}
	}
	return receipt{}
}
