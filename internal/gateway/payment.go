package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// nowhere is the target of payment calls while the flag paymentUnreachable is on. With passthrough the dialler looks the name
// up, within dialTimeout, even if no name server answers.
const nowhere = "passthrough:///badAddress:50051"

// Payment is order.Payment over the shop's payment service, and order.Ledger if that serves checkout.v1.PaymentLedger at
// the same address.
//
// A charge is sent once: no retry policy includes it. gRPC's transparent retries (gRFC A6) are of calls that were not sent, or
// that the server has not processed, as it said by REFUSED_STREAM or GOAWAY (RFC 9113, §8.7). Neither can have charged.
type Payment struct {
	conn, nowhere *grpc.ClientConn
	flags         Flags
	charge, read  time.Duration
}

var _ order.Payment = (*Payment)(nil)

// NewPayment makes a Payment of the service at target, host:port; t.Charge bounds a charge and its reversal, t.Read a
// look-up. It dials by itself, with opts as for Dial, because it has to know whether a charge was sent. Close it after use.
func NewPayment(target string, flags Flags, t Timeouts, opts ...grpc.DialOption) (*Payment, error) {
	opts = append(slices.Clip(opts), grpc.WithStatsHandler(departures{}))
	conn, err := connect(target, withholdCard, opts...)
	if err != nil {
		return nil, fmt.Errorf("payment: %w", err)
	}
	// It connects with its first call. The idle timeout ends its attempts soon after the flag is off.
	bad, err := connect(nowhere, withholdCard, append(opts, grpc.WithIdleTimeout(10*time.Second))...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("payment: %w", err), conn.Close())
	}
	return &Payment{conn: conn, nowhere: bad, flags: flags, charge: t.Charge, read: t.Read}, nil
}

// Close closes the connections. A charge in progress then ends without an answer.
func (p *Payment) Close() error { return errors.Join(p.conn.Close(), p.nowhere.Close()) }

// Charge takes amount from card, with the order's id as metadata idempotency-key. The text of an error is the stock
// shop's, byte by byte, because its frontend shows it: "could not charge the card: rpc error: code = X desc = Y", without card
// data. order.ErrUnsent and order.ErrRefused in it say that no money moved.
func (p *Payment) Charge(ctx context.Context, id order.ID, amount money.Amount, card creditcard.Card) (string, error) {
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
	defer request.GetCreditCard().Reset() // strings cannot be overwritten, only released
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", string(id))
	reply, err := oteldemo.NewPaymentServiceClient(p.reach(ctx)).Charge(ctx, request)
	if err != nil {
		return "", fmt.Errorf("could not charge the card: %w", err)
	}
	transaction, err := transactionID(id, reply.GetTransactionId(), card)
	if err != nil { // OK without a receipt is no answer
		return "", fmt.Errorf("could not charge the card: %w", status.Error(codes.Internal, "the payment service answered without a transaction id"))
	}
	return transaction, nil
}

// maxTransaction is how many bytes a transaction id may have: a UUID has 36.
const maxTransaction = 64

// transactionID is the id of an order's charge as it is kept. An id that may hold the card is replaced by the order's, under which
// the charge was made: one with other characters than ASCII letters, digits, dashes, dots and underscores, one that repeats the
// card, and one with a card's number. Without an id it returns ErrImplausible.
func transactionID(order order.ID, answered string, card creditcard.Card) (string, error) {
	if strings.TrimSpace(answered) == "" {
		return "", noID("transaction id")
	}
	odd := func(r rune) bool {
		return r >= utf8.RuneSelf || r != '-' && r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	if len(answered) > maxTransaction || strings.ContainsFunc(answered, odd) || card.IsIn(answered) || creditcard.HasNumber(answered) {
		return string(order), nil
	}
	return answered, nil
}

// reach is the connection to call: the payment service's, or that to nowhere while the flag is on.
func (p *Payment) reach(ctx context.Context) *grpc.ClientConn {
	if p.flags.PaymentUnreachable(ctx) {
		return p.nowhere
	}
	return p.conn
}
