package rpc

import (
	"context"
	"errors"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"checkout/internal/order"
)

// domain is the ErrorInfo domain of our reasons.
const domain = "checkout"

// Whether money has moved, as in ErrorInfo: by this call, or unknown if an earlier one may have paid for the same purchase.
const (
	no      = "no"
	yes     = "yes"
	unknown = "unknown"
)

// answerTo is the answer to a kind of failure: its status code, its ErrorInfo reason, and whether money has moved as far as it is known.
// UNAVAILABLE and RESOURCE_EXHAUSTED invite a retry by themselves, so they stand only where nothing has moved.
func answerTo(kind order.Kind) (code codes.Code, reason, moved string) {
	switch kind {
	case order.ErrInvalid:
		return codes.InvalidArgument, "INVALID_REQUEST", no
	case order.ErrEmptyCart:
		return codes.FailedPrecondition, "CART_EMPTY", no
	case order.ErrBadCart:
		return codes.FailedPrecondition, "CART_NOT_ORDERABLE", no
	case order.ErrUnknownProduct:
		return codes.FailedPrecondition, "PRODUCT_UNKNOWN", no
	case order.ErrImplausible:
		return codes.FailedPrecondition, "IMPLAUSIBLE_ANSWER", no
	case order.ErrUnavailable:
		return codes.Unavailable, "UNAVAILABLE", no
	case order.ErrOverloaded:
		return codes.ResourceExhausted, "OVERLOADED", no
	case order.ErrDeclined:
		return codes.FailedPrecondition, "CARD_DECLINED", no
	case order.ErrPaymentUnreachable:
		return codes.Unavailable, "PAYMENT_UNREACHABLE", no
	case order.ErrInDoubt:
		return codes.Aborted, "PAYMENT_UNKNOWN", unknown
	case order.ErrUnshippable:
		return codes.Aborted, "SHIPPING_REFUSED", yes
	case order.ErrRefunded:
		return codes.Aborted, "ORDER_REFUNDED", no
	case order.ErrKeyReused:
		return codes.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", no
	case order.ErrBusy:
		return codes.Aborted, "ORDER_UNDER_WAY", no
	case order.ErrPriceChanged:
		return codes.FailedPrecondition, "PRICE_CHANGED", no
	case order.ErrInternal:
	}
	return codes.Internal, "INTERNAL", unknown
}

// answer is the status error for a failure of Place.
func answer(err error) error {
	var failure *order.Error
	if !errors.As(err, &failure) {
		failure = &order.Error{Kind: order.ErrInternal, Err: err}
	}
	code, reason, moved := answerTo(failure.Kind)
	if _, ok := errors.AsType[order.Limit](failure.Err); ok {
		reason = "LIMIT_REACHED"
	}
	safe := moved == no
	if failure.MayBePaid {
		moved = unknown
	}
	return told(code, text(failure), details(failure, reason, moved, safe))
}

// refusal is the status error of a call that looks at orders or resolves them. It says nothing of money: it moves none.
func refusal(code codes.Code, reason, text string, id order.ID, bad ...order.Violation) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: domain}
	if id != "" {
		info.Metadata = map[string]string{"order_id": string(id)}
	}
	details := []protoadapt.MessageV1{info}
	if len(bad) > 0 {
		details = append(details, badRequest(bad))
	}
	return told(code, text, details)
}

// told is an error with details. The same details have the same bytes, so that HTTP/2 can send them as an index.
func told(code codes.Code, text string, details []protoadapt.MessageV1) error {
	whole := status.New(code, text).Proto()
	for _, detail := range details {
		packed := new(anypb.Any)
		if anypb.MarshalFrom(packed, protoadapt.MessageV2Of(detail), proto.MarshalOptions{Deterministic: true}) == nil {
			whole.Details = append(whole.Details, packed)
		}
	}
	return status.ErrorProto(whole)
}

func details(failure *order.Error, reason, moved string, safe bool) []protoadapt.MessageV1 {
	info := map[string]string{"money_moved": moved, "safe_to_retry": strconv.FormatBool(safe)}
	if failure.OrderID != "" {
		info["order_id"] = string(failure.OrderID)
	}
	if failure.Step != "" {
		info["step"] = string(failure.Step)
	}
	if failure.Kind == order.ErrPriceChanged {
		info["total"] = failure.Total.String()
	}
	told := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: info}}
	if len(failure.Violations) > 0 {
		told = append(told, badRequest(failure.Violations))
	}
	if failure.RetryAfter > 0 {
		told = append(told, &errdetails.RetryInfo{RetryDelay: durationpb.New(roughly(failure.RetryAfter))})
	}
	return told
}

// roughly rounds a time up by an eighth at most. Of few different times, HTTP/2 sends and keeps each once (HPACK): in a flood of
// refusals, others fill a table for each connection.
func roughly(d time.Duration) time.Duration {
	step := time.Millisecond << max(bits.Len64(uint64(d.Milliseconds()))-4, 0) //nolint:gosec // it is positive
	return (d + step - 1).Truncate(step)
}

func badRequest(violations []order.Violation) *errdetails.BadRequest {
	bad := &errdetails.BadRequest{}
	for _, v := range violations {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Problem})
	}
	return bad
}

// text is what a person reads. Causes from below stay below, but for the charge's: the shop's frontend parses the text
// of a failed charge, so it is stock's to the byte.
func text(failure *order.Error) string {
	switch failure.Kind {
	case order.ErrDeclined, order.ErrInDoubt, order.ErrPaymentUnreachable:
		return "failed to charge card: " + chargeText(failure.Kind, failure.Err)
	case order.ErrInternal:
		return order.ErrInternal.Error()
	case order.ErrUnshippable:
		return "the paid order cannot be shipped; a refund is due"
	case order.ErrRefunded:
		return "the order was not placed; the charge was given back"
	case order.ErrUnavailable, order.ErrImplausible:
		switch {
		case failure.Step == order.StepRecord:
			return "the record of orders is unavailable; this request charged nothing"
		case errors.Is(failure.Err, order.ErrTooLate):
			return order.ErrTooLate.Error()
		case failure.Step != "":
			return string(failure.Step) + ": " + failure.Kind.Error()
		}
	case order.ErrInvalid, order.ErrEmptyCart, order.ErrBadCart, order.ErrUnknownProduct, order.ErrKeyReused, order.ErrBusy:
	case order.ErrOverloaded:
		if limit, ok := errors.AsType[order.Limit](failure.Err); ok {
			return limit.Error()
		}
	case order.ErrPriceChanged:
		return failure.Kind.Error() + ": the total is " + failure.Total.String()
	}
	plain := *failure
	plain.Err = nil
	return plain.Error()
}

// chargeText is the outcome of the charge, in the words of the demo's service: "could not charge the card: rpc error: code = X desc = Y".
// It comes from the gateway; for a charge whose time was over, it is gRPC's text for a deadline. A decline has no other text than
// that or one of stock's: a card tester must not learn what is wrong with a card.
func chargeText(kind order.Kind, cause error) string {
	const stock = "could not charge the card: "
	words := context.DeadlineExceeded
	switch {
	case kind == order.ErrDeclined && (cause == nil || !strings.HasPrefix(cause.Error(), stock+"rpc error: code = Unknown desc = ")):
		return stock + status.Error(codes.FailedPrecondition, "the card was declined").Error()
	case cause != nil && strings.HasPrefix(cause.Error(), stock):
		return cause.Error()
	case errors.Is(cause, context.Canceled):
		words = context.Canceled
	}
	return stock + status.FromContextError(words).Err().Error()
}
