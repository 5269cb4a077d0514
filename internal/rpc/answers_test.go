package rpc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"checkout/internal/order"
)

func TestEveryKindOfFailureHasItsAnswer(t *testing.T) {
	t.Parallel()
	documented := documentedAnswers(t)
	refused := fmt.Errorf("could not charge the card: %w", status.Error(codes.Unknown, "Credit card info is invalid."))
	wrongCVV := fmt.Errorf("could not charge the card: %w", status.Error(codes.InvalidArgument, "[text withheld: it may hold card data]"))
	unreachable := fmt.Errorf("could not charge the card: %w", status.Error(codes.Unavailable, "no such host"))
	for _, test := range []struct {
		failure order.Error
		code    codes.Code
		text    string
		reason  string
		moved   string
	}{
		{order.Error{Kind: order.ErrInvalid, Violations: []order.Violation{{Field: "email", Problem: "is missing"}}}, codes.InvalidArgument, "invalid request: email: is missing", "INVALID_REQUEST", "no"},
		{order.Error{Kind: order.ErrEmptyCart, Step: order.StepCart}, codes.FailedPrecondition, "the cart is empty", "CART_EMPTY", "no"},
		{order.Error{Kind: order.ErrBadCart, Violations: []order.Violation{{Field: "cart[A].quantity", Problem: "0 is not between 1 and 10000"}}}, codes.FailedPrecondition, "the cart cannot be ordered: cart[A].quantity: 0 is not between 1 and 10000", "CART_NOT_ORDERABLE", "no"},
		{order.Error{Kind: order.ErrUnknownProduct, Err: errors.New("below")}, codes.FailedPrecondition, "unknown product", "PRODUCT_UNKNOWN", "no"},
		{order.Error{Kind: order.ErrImplausible, Step: order.StepConvert, Err: errors.New("below")}, codes.FailedPrecondition, "convert: implausible answer", "IMPLAUSIBLE_ANSWER", "no"},
		{order.Error{Kind: order.ErrUnavailable, Step: order.StepCatalog, Err: errors.New("below")}, codes.Unavailable, "catalog: unavailable", "UNAVAILABLE", "no"},
		{order.Error{Kind: order.ErrUnavailable, Step: order.StepRecord, Err: order.ErrTooLate}, codes.Unavailable, "the record of orders is unavailable; this request charged nothing", "UNAVAILABLE", "no"},
		{order.Error{Kind: order.ErrUnavailable, Step: order.StepCharge, Err: fmt.Errorf("%w: it takes up to 1s", order.ErrTooLate)}, codes.Unavailable, "too late to charge", "UNAVAILABLE", "no"},
		{order.Error{Kind: order.ErrUnavailable, MayBePaid: true, Step: order.StepRecord}, codes.Unavailable, "the record of orders is unavailable; this request charged nothing", "UNAVAILABLE", "unknown"},
		{order.Error{Kind: order.ErrBusy, MayBePaid: true}, codes.Aborted, "another order of the user is under way", "ORDER_UNDER_WAY", "unknown"},
		{order.Error{Kind: order.ErrOverloaded, RetryAfter: time.Second}, codes.ResourceExhausted, "too many orders under way", "OVERLOADED", "no"},
		{order.Error{Kind: order.ErrOverloaded, RetryAfter: time.Second, Err: order.Limit("too many declined charges of one user")}, codes.ResourceExhausted, "too many declined charges of one user", "LIMIT_REACHED", "no"},
		{order.Error{Kind: order.ErrDeclined, OrderID: "1", Err: refused}, codes.FailedPrecondition, "failed to charge card: could not charge the card: rpc error: code = Unknown desc = Credit card info is invalid.", "CARD_DECLINED", "no"},
		{order.Error{Kind: order.ErrDeclined, OrderID: "1", Err: wrongCVV}, codes.FailedPrecondition, "failed to charge card: could not charge the card: rpc error: code = FailedPrecondition desc = the card was declined", "CARD_DECLINED", "no"},
		{order.Error{Kind: order.ErrPaymentUnreachable, OrderID: "1", Err: unreachable}, codes.Unavailable, "failed to charge card: could not charge the card: rpc error: code = Unavailable desc = no such host", "PAYMENT_UNREACHABLE", "no"},
		{order.Error{Kind: order.ErrInDoubt, OrderID: "1", Err: context.DeadlineExceeded}, codes.Aborted, "failed to charge card: could not charge the card: rpc error: code = DeadlineExceeded desc = context deadline exceeded", "PAYMENT_UNKNOWN", "unknown"},
		{order.Error{Kind: order.ErrInDoubt, OrderID: "1", Err: errors.New("paid, and not recorded: disk I/O error")}, codes.Aborted, "failed to charge card: could not charge the card: rpc error: code = DeadlineExceeded desc = context deadline exceeded", "PAYMENT_UNKNOWN", "unknown"},
		{order.Error{Kind: order.ErrUnshippable, OrderID: "1", Err: errors.New("below")}, codes.Aborted, "the paid order cannot be shipped; a refund is due", "SHIPPING_REFUSED", "yes"},
		{order.Error{Kind: order.ErrRefunded, OrderID: "1", Err: errors.New("below")}, codes.Aborted, "the order was not placed; the charge was given back", "ORDER_REFUNDED", "no"},
		{order.Error{Kind: order.ErrKeyReused, OrderID: "1"}, codes.FailedPrecondition, "idempotency key reused", "IDEMPOTENCY_KEY_REUSED", "no"},
		{order.Error{Kind: order.ErrBusy, OrderID: "1"}, codes.Aborted, "another order of the user is under way", "ORDER_UNDER_WAY", "no"},
		{order.Error{Kind: order.ErrPriceChanged, Total: usd(123, 450_000_000)}, codes.FailedPrecondition, "the price has changed: the total is USD 123.45", "PRICE_CHANGED", "no"},
		{order.Error{Kind: order.ErrInternal, Err: errors.New("below")}, codes.Internal, "internal error", "INTERNAL", "unknown"},
		{order.Error{Kind: order.ErrInternal, OrderID: "1", Err: errors.New("below")}, codes.Internal, "internal error", "INTERNAL", "unknown"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel()
			told, _ := status.FromError(answer(fmt.Errorf("wrapped: %w", &test.failure)))
			if told.Code() != test.code || told.Message() != test.text {
				t.Errorf("answered %v %q, want %v %q", told.Code(), told.Message(), test.code, test.text)
			}
			info, _ := told.Details()[0].(*errdetails.ErrorInfo)
			if info.GetReason() != test.reason || info.GetMetadata()["money_moved"] != test.moved {
				t.Errorf("told %v, want reason %s and money_moved=%s", info, test.reason, test.moved)
			}
			line, ok := documented[strings.ToLower(test.code.String())+" "+test.reason]
			if says := strings.Contains(line, "Money moved: `"+test.moved+"`"); !ok || says != (test.moved != "no" && !test.failure.MayBePaid) {
				t.Errorf("docs/answers.md says %q under %v, want %s and money moved %s", line, test.code, test.reason, test.moved)
			}
			if got := info.GetMetadata()["order_id"]; got != string(test.failure.OrderID) {
				t.Errorf("told order_id %q, want %q", got, test.failure.OrderID)
			}
			if retryable := test.code == codes.Unavailable || test.code == codes.ResourceExhausted || test.failure.MayBePaid; retryable && info.GetMetadata()["safe_to_retry"] != "true" {
				t.Errorf("%v invites a retry that is not safe", test.code)
			}
		})
	}
}

// documentedAnswers are the lines of docs/answers.md about each code and reason, such as "failedprecondition CART_EMPTY".
func documentedAnswers(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/answers.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	var code string
	for line := range strings.Lines(string(page)) {
		if heading := regexp.MustCompile(`^\*\*([A-Z_]+)\*\*`).FindStringSubmatch(line); heading != nil {
			code = strings.ToLower(strings.ReplaceAll(heading[1], "_", ""))
		}
		for _, reason := range regexp.MustCompile("[-,;] `([A-Z_]+)`").FindAllStringSubmatch(line, -1) {
			lines[code+" "+reason[1]] = line
		}
	}
	return lines
}

func TestAForeignErrorStaysInside(t *testing.T) {
	t.Parallel()
	if got := status.Code(answer(errors.New("not of ours"))); got != codes.Internal {
		t.Errorf("a foreign error is answered %v, want INTERNAL", got)
	}
	if got := status.Convert(answer(errors.New("secret"))).Message(); got != "internal error" {
		t.Errorf("a foreign error says %q, want nothing of what is inside", got)
	}
}

func TestViolationsAndRetryDelayAreDetails(t *testing.T) {
	t.Parallel()
	told := status.Convert(answer(&order.Error{
		Kind:       order.ErrOverloaded,
		Violations: []order.Violation{{Field: "email", Problem: "is missing"}},
		RetryAfter: 1430 * time.Millisecond,
	}))
	want := []any{
		&errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "checkout", Metadata: map[string]string{"money_moved": "no", "safe_to_retry": "true"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "email", Description: "is missing"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1536 * time.Millisecond)},
	}
	if diff := cmp.Diff(want, told.Details(), protocmp.Transform()); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}
