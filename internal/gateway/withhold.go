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
	"checkout/internal/creditcard"
	"checkout/internal/order"
)

// withheld stands in the place of what the payment service said.
const withheld = "[text withheld: it may hold card data]"

// paymentError is a failed call to the payment service, with nothing of a card in it.
type paymentError struct {
	status    *status.Status
	certainty error // order.ErrUnsent, order.ErrRefused, or nil when money may have moved
}

func (e *paymentError) Error() string              { return e.status.Err().Error() }
func (e *paymentError) GRPCStatus() *status.Status { return e.status }
func (e *paymentError) Unwrap() error              { return e.certainty }

// withholdCard is the grpc.UnaryClientInterceptor next to the wire: nobody else sees what the payment service said as it
// came. It knows the card of a charge. That of a look-up or a reversal is not known any more, so that no digit of the text
// stays. Details go in any case.
func withholdCard(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var left atomic.Bool
	err := next(context.WithValue(ctx, departed{}, &left), method, req, reply, conn, opts...)
	if err == nil {
		return nil
	}
	said := answered(err)
	text := strings.ToValidUTF8(said.Message(), "\uFFFD")
	charge, isCharge := req.(*oteldemo.ChargeRequest)
	var certainty error
	switch {
	case !left.Load(): // the text is gRPC's own
		text = mask(text)
		if isCharge {
			certainty = order.ErrUnsent
		}
	case isCharge:
		text = censored(text, charge.GetCreditCard())
		if refused(said) {
			certainty = order.ErrRefused
		}
	case creditcard.MayHold(text):
		text = withheld
	}
	return &paymentError{status.New(said.Code(), text), certainty}
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

// censored is what the payment service said of a card, unless it may hold some of it. What is left then is how stock's
// refusal begins, if it is one.
func censored(text string, c *oteldemo.CreditCardInfo) string {
	card := creditcard.New(c.GetCreditCardNumber(), c.GetCreditCardCvv(), c.GetCreditCardExpirationYear(), c.GetCreditCardExpirationMonth())
	defer card.Clear()
	if isStock(text, c) || !card.MayBeIn(text) && !holdsCard(text) {
		return text
	}
	return stockRefusal(text) + withheld
}

// isStock tells whether text is one of stock's refusals and nothing more. The CVV may be the same as the end of the card or
// as the year of its expiry: both may be told.
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

// digits is text without whatever is not a digit.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// refused tells whether the payment service, having been asked, said no: whether it is certain that no money moved.
//
// What gRPC itself may report after the request has left is not in the list: UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED,
// INTERNAL, RESOURCE_EXHAUSTED (also an answer that is too large) and UNKNOWN. Neither are ALREADY_EXISTS, which says
// that this very order may have been charged, and ABORTED, where another charge for it may be under way.
func refused(s *status.Status) bool {
	switch s.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.NotFound,
		codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	case codes.Unknown:
		return stockRefusal(s.Message()) != ""
	default:
		return false
	}
}

// stockRefusal is how text begins, if that is how the stock payment service refuses, which knows no codes; else "".
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

// departed is the key of an *atomic.Bool in a call's context that becomes true before the call leaves the process.
type departed struct{}

// departures sets it: gRPC reports the headers of a call in the very goroutine of the call.
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
