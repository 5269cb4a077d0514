package rpc

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"checkout/internal/order"
)

// domain is the ErrorInfo domain of our reasons.
const domain = "checkout"

// Whether the customer's money has moved, as ErrorInfo tells it.
const (
	no      = "no"
	yes     = "yes"
	unknown = "unknown"
)

// answers is how each kind of failure is told: its status code, its ErrorInfo reason, and whether money has moved.
// UNAVAILABLE and RESOURCE_EXHAUSTED invite a retry by themselves, so they stand only where nothing has moved.
var answers = [...]struct {
	kind   error
	code   codes.Code
	reason string
	moved  string
}{
	{order.ErrInvalid, codes.InvalidArgument, "INVALID_REQUEST", no},
	{order.ErrEmptyCart, codes.FailedPrecondition, "CART_EMPTY", no},
	{order.ErrBadCart, codes.FailedPrecondition, "CART_NOT_ORDERABLE", no},
	{order.ErrUnknownProduct, codes.FailedPrecondition, "PRODUCT_UNKNOWN", no},
	{order.ErrImplausible, codes.FailedPrecondition, "IMPLAUSIBLE_ANSWER", no},
	{order.ErrUnavailable, codes.Unavailable, "UNAVAILABLE", no},
	{order.ErrOverloaded, codes.ResourceExhausted, "OVERLOADED", no},
	{order.ErrDeclined, codes.FailedPrecondition, "CARD_DECLINED", no},
	{order.ErrPaymentUnreachable, codes.Unavailable, "PAYMENT_UNREACHABLE", no},
	{order.ErrInDoubt, codes.Aborted, "PAYMENT_UNKNOWN", unknown},
	{order.ErrUnshippable, codes.Aborted, "SHIPPING_REFUSED", yes},
	{order.ErrInternal, codes.Internal, "INTERNAL", unknown},
}

// answer is the status error for a failure of Place.
func answer(err error) error {
	var failure *order.Error
	if !errors.As(err, &failure) {
		failure = &order.Error{Kind: order.ErrInternal, Err: err}
	}
	for _, a := range answers {
		if failure.Kind != a.kind {
			continue
		}
		moved := a.moved
		if moved == unknown && failure.OrderID == "" {
			moved = no // nothing was recorded, so nothing was charged
		}
		return told(a.code, text(failure), details(failure, a.reason, moved))
	}
	return status.Error(codes.Internal, order.ErrInternal.Error())
}

func told(code codes.Code, text string, details []protoadapt.MessageV1) error {
	plain := status.New(code, text)
	detailed, err := plain.WithDetails(details...)
	if err != nil {
		return plain.Err()
	}
	return detailed.Err()
}

func details(failure *order.Error, reason, moved string) []protoadapt.MessageV1 {
	info := map[string]string{"money_moved": moved, "safe_to_retry": strconv.FormatBool(moved == no)}
	if failure.OrderID != "" {
		info["order_id"] = string(failure.OrderID)
	}
	if failure.Step != "" {
		info["step"] = string(failure.Step)
	}
	told := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: info}}
	if len(failure.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range failure.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Problem})
		}
		told = append(told, bad)
	}
	if failure.RetryAfter > 0 {
		told = append(told, &errdetails.RetryInfo{RetryDelay: durationpb.New(failure.RetryAfter)})
	}
	return told
}

// text is what a person reads. Causes from below stay below, but for the charge's: the shop's frontend parses the text
// of a failed charge, so it is stock's to the byte.
func text(failure *order.Error) string {
	switch failure.Kind {
	case order.ErrDeclined, order.ErrInDoubt, order.ErrPaymentUnreachable:
		return "failed to charge card: " + chargeText(failure.Err)
	case order.ErrInternal:
		return order.ErrInternal.Error()
	case order.ErrUnshippable:
		return "shipping refused the paid order for good; the money is owed back"
	case order.ErrUnavailable, order.ErrImplausible:
		if failure.Step != "" {
			return string(failure.Step) + ": " + failure.Kind.Error()
		}
	}
	plain := *failure
	plain.Err = nil
	return plain.Error()
}

// chargeText is what became of the charge, in stock's words: "could not charge the card: rpc error: code = X desc = Y".
// The gateway says so itself; for a charge that nobody waited out, gRPC's words for a deadline stand in.
func chargeText(cause error) string {
	const stock = "could not charge the card: "
	if cause != nil && strings.HasPrefix(cause.Error(), stock) {
		return cause.Error()
	}
	return stock + status.FromContextError(cmp.Or(cause, context.DeadlineExceeded)).Err().Error()
}
