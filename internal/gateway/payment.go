package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// nowhere is where payment is looked for while the flag paymentUnreachable is on. As passthrough, its name is looked up
// by the dialler, within dialTimeout, so that a name server that is silent makes the call no slower.
const nowhere = "passthrough:///badAddress:50051"

// Payment is order.Payment over the shop's payment service, and order.Ledger if that serves checkout.v1.PaymentLedger at
// the same address.
//
// A charge is sent once. No retry policy covers it; what gRPC repeats by itself (gRFC A6, transparent retries) is a call
// that never left, or that the server has said it did not look at, by REFUSED_STREAM or by a GOAWAY with a lower stream
// id (RFC 9113, §8.7). Neither can have charged.
type Payment struct {
	conn, nowhere *grpc.ClientConn
	flags         Flags
	charge, read  time.Duration
}

var _ order.Payment = (*Payment)(nil)

// NewPayment makes a Payment of the service at target, host:port; t.Charge bounds a charge and its reversal, t.Read a
// look-up. It dials by itself, with opts as Dial takes them, because it has to see whether a charge has left. Close it
// after use.
func NewPayment(target string, flags Flags, t Timeouts, opts ...grpc.DialOption) (*Payment, error) {
	opts = append(slices.Clip(opts), grpc.WithStatsHandler(departures{}))
	conn, err := Dial(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("payment: %w", err)
	}
	// Like any connection it dials with its first call. The idle timeout ends its attempts soon after the flag is off.
	bad, err := Dial(nowhere, append(opts, grpc.WithIdleTimeout(10*time.Second))...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("payment: %w", err), conn.Close())
	}
	t = t.withDefaults()
	return &Payment{conn: conn, nowhere: bad, flags: flags, charge: t.Charge, read: t.Read}, nil
}

// Close closes the connections. A charge under way then ends without an answer.
func (p *Payment) Close() error { return errors.Join(p.conn.Close(), p.nowhere.Close()) }

// Charge takes amount from card, with the order's id as metadata idempotency-key. The text of an error is the stock
// shop's, byte by byte, as its frontend reads it: "could not charge the card: rpc error: code = X desc = Y", less any
// card data. order.ErrUnsent and order.ErrRefused in it say that no money moved.
func (p *Payment) Charge(ctx context.Context, id order.ID, amount money.Amount, card order.Card) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.charge)
	defer cancel()
	number, cvv, year, month := card.Reveal()
	request := &oteldemo.ChargeRequest{
		Amount: wire.Money(amount),
		CreditCard: &oteldemo.CreditCardInfo{
			CreditCardNumber:          number,
			CreditCardCvv:             cvv,
			CreditCardExpirationYear:  year,
			CreditCardExpirationMonth: month,
		},
	}
	conn := p.reach(ctx)
	var left atomic.Bool
	ctx = context.WithValue(ctx, departed{}, &left)
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", string(id))
	reply, err := oteldemo.NewPaymentServiceClient(conn).Charge(ctx, request)
	if err != nil {
		return "", failedCharge(status.Convert(err), left.Load(), number, cvv)
	}
	transaction := reply.GetTransactionId()
	// OK without a receipt is no answer. Nor is a receipt that is the card: it could be kept nowhere.
	if checkID("transaction id", transaction) != nil || echoes(transaction, number) {
		return "", &chargeError{status: status.Error(codes.Internal, "the payment service answered without a transaction id")}
	}
	return transaction, nil
}

// reach is the connection to ask: the payment service's, or that to nowhere while the flag is on.
func (p *Payment) reach(ctx context.Context) *grpc.ClientConn {
	if p.flags.PaymentUnreachable(ctx) {
		return p.nowhere
	}
	return p.conn
}

// failedCharge is the error of a charge that failed with s. left tells whether it was sent.
func failedCharge(s *status.Status, left bool, number string, cvv int32) error {
	failed := &chargeError{status: status.Error(s.Code(), censored(s.Message(), number, cvv))}
	switch {
	case !left:
		failed.certainty = order.ErrUnsent
	case refused(s):
		failed.certainty = order.ErrRefused
	}
	return failed
}

// censored is what the payment service said, less the card that it was sent.
func censored(text, number string, cvv int32) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	switch {
	case echoes(text, number):
		return maskDigits(text, func(string) bool { return true })
	case stockRefusal(text):
		return mask(text) // the end of a card and the year of its expiry may look like the CVV, and stay
	default:
		return maskDigits(mask(text), func(run string) bool { return isCVV(run, cvv) })
	}
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
		return stockRefusal(s.Message())
	default:
		return false
	}
}

// stockRefusal tells whether text is one of those by which the stock payment service refuses: it knows no codes.
func stockRefusal(text string) bool {
	for _, prefix := range []string{
		"Credit card info is invalid.",
		"Sorry, we cannot process ",
		"The credit card (ending ",
		"Payment request failed. Invalid token.",
	} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// chargeError is a failed charge: it reads like the stock shop's and tells what is certain.
type chargeError struct {
	status    error
	certainty error // order.ErrUnsent, order.ErrRefused, or nil when money may have moved
}

func (e *chargeError) Error() string { return "could not charge the card: " + e.status.Error() }

func (e *chargeError) Unwrap() []error {
	if e.certainty == nil {
		return []error{e.status}
	}
	return []error{e.status, e.certainty}
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
