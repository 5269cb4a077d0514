package main

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
)

// callTime is how long a customer waits for one answer.
const callTime = 5 * time.Second

// answer is the final one to a customer, who asks again where that is right.
type answer struct {
	orderID string
	code    codes.Code
	reason  string // of google.rpc.ErrorInfo, as are the next two
	moved   string // whether money has moved: no, yes or unknown
	text    string
	tries   int
}

// client is a client of one replica.
type client struct{ oteldemo.CheckoutServiceClient }

// ask places the order once.
func (c client) ask(ctx context.Context, p *purchase) answer {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if p.key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", p.key)
	}
	resp, err := c.PlaceOrder(ctx, p.request())
	got := status.Convert(err)
	a := answer{orderID: resp.GetOrder().GetOrderId(), code: got.Code(), text: got.Message()}
	for _, detail := range got.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			a.reason, a.moved = info.GetReason(), info.GetMetadata()["money_moved"]
		}
	}
	return a
}

// retryable reports whether asking again is right: another answer may come, and nothing is bought twice by it.
func (a answer) retryable(retryUnknown bool) bool {
	switch a.code {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
		return true
	default:
		return a.reason == "ORDER_UNDER_WAY" || a.inDoubt() && retryUnknown
	}
}

// inDoubt reports whether the answer is that it is unknown whether money has moved.
func (a answer) inDoubt() bool { return a.reason == "PAYMENT_UNKNOWN" }

// request is what the checkout is asked for. The parcel's address tells whose it is.
func (p *purchase) request() *oteldemo.PlaceOrderRequest {
	req := demo.Order(p.user, "USD")
	req.Address.StreetAddress = p.user
	return req
}
