package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/redact"
)

// withheld replaces the text of the payment service's error.
const withheld = "[text withheld: it may hold card data]"

// paymentError is a failed call to the payment service, without card data.
type paymentError struct {
	status    *status.Status
	certainty error // order.ErrUnsent, order.ErrRefused, or nil if money may have moved
}

func (e *paymentError) Error() string              { return e.status.Err().Error() }
func (e *paymentError) GRPCStatus() *status.Status { return e.status }
func (e *paymentError) Unwrap() error              { return e.certainty }

// withholdCard is the innermost grpc.UnaryClientInterceptor: it removes texts that may hold card data and all details from the
// payment service's errors before any other code sees them.
func withholdCard(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var left atomic.Bool
	err := next(context.WithValue(ctx, departed{}, &left), method, req, reply, conn, opts...)
	if err == nil {
		return nil
	}
	answer := answered(err)
	charge, isCharge := req.(*oteldemo.ChargeRequest)
	text := passed(answer.Message(), charge.GetCreditCard())
	var certainty error
	switch {
	case !left.Load():
		text = redact.Text(answer.Message()) // gRPC's own
		if isCharge {
			certainty = order.ErrUnsent
		}
	case isCharge:
		certainty = certain(answer)
	}
	return &paymentError{status.New(answer.Code(), text), certainty}
}

// answered is the status that the service answered with, without the text that gRPC puts before it after retries.
func answered(err error) *status.Status {
	if e, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return e.GRPCStatus()
	}
	return status.Convert(err)
}

// passed is the text of an answer if it is one of gRPC's own or of the demo's payment service. Others are withheld, after the
// beginning of a known refusal: there are more ways to write a card's number than can be recognized.
func passed(text string, c *oteldemo.CreditCardInfo) string {
	switch text {
	case context.DeadlineExceeded.Error(), context.Canceled.Error(), "error reading from server: EOF":
		return text
	}
	if isStock(text, c) {
		return text
	}
	return stockRefusal(text) + withheld
}

// isStock reports whether text is one of the refusals of the demo's payment service and nothing more. The end of the card's
// number and its expiry may be shown, even if they equal the CVV.
func isStock(text string, c *oteldemo.CreditCardInfo) bool {
	number := digits(c.GetCreditCardNumber())
	brand, after, found := strings.Cut(strings.TrimPrefix(text, "Sorry, we cannot process "), " credit cards. Only VISA or MasterCard is accepted.")
	return found && after == "" && strings.Trim(brand, "abcdefghijklmnopqrstuvwxyz -") == "" || slices.Contains([]string{
		"Credit card info is invalid.",
		"Payment request failed. Invalid token.",
		"Payment request failed. Invalid token. app.loyalty.level=gold",
		"Payment request failed. Invalid token. demo.loyalty.level=gold",
		fmt.Sprintf("The credit card (ending %s) expired on %d/%d.", number[max(0, len(number)-4):],
			c.GetCreditCardExpirationMonth(), c.GetCreditCardExpirationYear()),
	}, text)
}

// digits is the digits of text.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// certain is what an answer to a charge says for certain: order.ErrRefused, the card is refused; order.ErrUnsent, this service was
// refused, because of its address, credentials or rights; or nil: money may have moved.
//
// Codes that gRPC itself may return after the request was sent are not in the list: UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED,
// INTERNAL, RESOURCE_EXHAUSTED (also for too large an answer) and UNKNOWN. Neither are ALREADY_EXISTS, with which this order may
// have been charged, and ABORTED, with which another charge for it may be in progress.
func certain(s *status.Status) error {
	switch code := s.Code(); {
	case code == codes.NotFound, code == codes.PermissionDenied, code == codes.Unauthenticated, code == codes.Unimplemented:
		return order.ErrUnsent
	case code == codes.InvalidArgument, code == codes.FailedPrecondition, code == codes.OutOfRange,
		code == codes.Unknown && stockRefusal(s.Message()) != "":
		return order.ErrRefused
	}
	return nil
}

// stockRefusal is the beginning of text if it is a refusal of the demo's payment service, which has no codes; otherwise "".
func stockRefusal(text string) string {
	for _, beginning := range []string{
		"Credit card info is invalid.",
		"Sorry, we cannot process ",
		"The credit card (ending ",
		"Payment request failed. Invalid token.",
	} {
		if strings.HasPrefix(text, beginning) {
			return beginning
		}
	}
	return ""
}

// departed is the key of an *atomic.Bool in a call's context that becomes true before the call is sent.
type departed struct{}

// departures sets it: gRPC reports the headers of a call in the goroutine of the call.
type departures struct{}

func (departures) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); !ok {
		return
	}
	if left, ok := ctx.Value(departed{}).(*atomic.Bool); ok {
		left.Store(true)
	}
}

func (departures) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (departures) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (departures) HandleConn(context.Context, stats.ConnStats)                       {}
