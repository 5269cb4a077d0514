package demo

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/wire"
)

// Charge is an entry in the payment service's ledger.
type Charge struct {
	TransactionID string
	Key           string // the call's idempotency-key: checkout's order id
	Amount        *oteldemo.Money
	LastFour      string // of the card's number; the rest is not kept
	Synthetic     bool   // the load generator's: no bank was asked
	At            time.Time
	Reversed      time.Time       // when the money was given back; zero while it was not
	Refunded      *oteldemo.Money // of Amount, in part; nil: nothing
}

// Payment charges cards that pass the stock shop's checks: a right check digit (Luhn), VISA or MasterCard, not expired.
// It refuses the others with stock's texts, always with status UNKNOWN. Like stock it charges again when asked again,
// unless HonourKeys. The flag paymentFailure is the chance that it refuses a card for no good reason.
//
// Beside it, at the same address, it serves checkout.v1.PaymentLedger.
type Payment struct {
	*Server
	oteldemo.UnimplementedPaymentServiceServer
	checkoutv1.UnimplementedPaymentLedgerServer

	mu      sync.Mutex
	flags   *Flags // nil until there are some
	keyed   bool
	charges []*Charge
	byKey   map[string][]*Charge // of one key: at most one while keys are honoured
	closed  map[string]bool      // the keys that Reverse was asked for
}

func newPayment(n *Server) (*Payment, func() error) {
	n.discard = true
	p := &Payment{Server: n, byKey: make(map[string][]*Charge), closed: make(map[string]bool)}
	return p, n.serveGRPC(func(r grpc.ServiceRegistrar) {
		oteldemo.RegisterPaymentServiceServer(r, p)
		checkoutv1.RegisterPaymentLedgerServer(r, p)
	})
}

// HonourKeys makes a second charge with the same idempotency-key answer like the first, and charge nothing; and a charge
// whose key was reversed be refused with FAILED_PRECONDITION. Without it keys are only written down: what was charged
// under one can be looked up and given back, and charged again.
func (p *Payment) HonourKeys(keyed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyed = keyed
}

// useFlags makes it obey the flag paymentFailure.
func (p *Payment) useFlags(flags *Flags) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flags = flags
}

// flagRefusal is the words that a good card is refused with, or none.
func (p *Payment) flagRefusal() string {
	p.mu.Lock()
	flags := p.flags
	p.mu.Unlock()
	if flags == nil {
		return ""
	}
	if chance, err := value[float64](flags, "paymentFailure"); err != nil || rand.Float64() >= chance { //nolint:gosec // luck, not a secret
		return ""
	}
	return "Payment request failed. Invalid token."
}

// Charges is the ledger, oldest entry first. What was given back stays in it.
func (p *Payment) Charges() []Charge {
	p.mu.Lock()
	defer p.mu.Unlock()
	charges := make([]Charge, len(p.charges))
	for i, charge := range p.charges {
		charges[i] = *charge
	}
	return charges
}

// Charge implements oteldemo.PaymentServiceServer.
func (p *Payment) Charge(ctx context.Context, req *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
	card := req.GetCreditCard()
	number := strings.NewReplacer("-", "", " ", "").Replace(card.GetCreditCardNumber())
	transaction, err := p.book(&Charge{
		TransactionID: uuid.NewString(),
		Key:           first(ctx, "idempotency-key"),
		Amount:        proto.CloneOf(req.GetAmount()),
		LastFour:      number[max(0, len(number)-4):],
		Synthetic:     strings.Contains(first(ctx, "baggage"), "synthetic_request=true"),
		At:            time.Now(),
	}, cmp.Or(p.flagRefusal(), check(number, card, time.Now())))
	if err != nil {
		return nil, err
	}
	return &oteldemo.ChargeResponse{TransactionId: transaction}, nil
}

// book writes a charge down and returns its transaction, or the one that stands for its key. refusal is why the card
// cannot be charged; the outcome of the key goes before it. All this is decided in one moment, the same that Reverse
// waits for: a charge that was on its way meets the reversal that has overtaken it.
func (p *Payment) book(charge *Charge, refusal string) (string, error) {
	defer p.changes.notify()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.byKey[charge.Key]
	switch keyed := p.keyed && charge.Key != ""; {
	case keyed && p.closed[charge.Key]:
		return "", status.Error(codes.FailedPrecondition, "The idempotency key was reversed.")
	case keyed && len(before) > 0:
		return before[0].TransactionID, nil
	case refusal != "":
		return "", status.Error(codes.Unknown, refusal)
	}
	p.charges = append(p.charges, charge)
	p.byKey[charge.Key] = append(before, charge)
	return charge.TransactionID, nil
}

// Lookup implements checkoutv1.PaymentLedgerServer.
func (p *Payment) Lookup(_ context.Context, req *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error) {
	key := req.GetIdempotencyKey()
	if key == "" {
		return nil, errNoKey()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, charge := range p.byKey[key] {
		if charge.Reversed.IsZero() {
			return &checkoutv1.LookupResponse{
				State:         checkoutv1.LookupResponse_CHARGED,
				TransactionId: charge.TransactionID,
				Amount:        proto.CloneOf(charge.Amount),
			}, nil
		}
	}
	if p.closed[key] {
		return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_REVERSED, TransactionId: p.firstOf(key)}, nil
	}
	return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_NONE}, nil
}

// Reverse implements checkoutv1.PaymentLedgerServer.
func (p *Payment) Reverse(_ context.Context, req *checkoutv1.ReverseRequest) (*checkoutv1.ReverseResponse, error) {
	key := req.GetIdempotencyKey()
	if key == "" {
		return nil, errNoKey()
	}
	defer p.changes.notify()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed[key] = true
	for _, charge := range p.byKey[key] {
		if charge.Reversed.IsZero() {
			charge.Reversed = time.Now()
		}
	}
	return &checkoutv1.ReverseResponse{TransactionId: p.firstOf(key)}, nil
}

// Refund implements checkoutv1.PaymentLedgerServer.
func (p *Payment) Refund(_ context.Context, req *checkoutv1.RefundRequest) (*checkoutv1.RefundResponse, error) {
	key := req.GetIdempotencyKey()
	if key == "" {
		return nil, errNoKey()
	}
	total, err := wire.Amount(req.GetAmount())
	if err != nil || total.Sign() <= 0 {
		return nil, status.Error(codes.InvalidArgument, "amount is not a positive amount of money")
	}
	defer p.changes.notify()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed[key] || len(p.byKey[key]) == 0 {
		return nil, status.Error(codes.FailedPrecondition, "There is no charge under the idempotency key.")
	}
	charge := p.byKey[key][0]
	if more, err := compare(total, charge.Amount); err != nil || more > 0 {
		return nil, status.Error(codes.OutOfRange, "More than was charged.")
	}
	if more, err := compare(total, charge.Refunded); err != nil || more > 0 { // or so much was refunded before
		charge.Refunded = proto.CloneOf(req.GetAmount())
	}
	return &checkoutv1.RefundResponse{}, nil
}

// compare compares an amount with one on the wire.
func compare(a money.Amount, with *oteldemo.Money) (int, error) {
	b, err := wire.Amount(with)
	if err != nil {
		return 0, err
	}
	return a.Compare(b)
}

// firstOf is the first transaction under a key, or "". The caller holds mu.
func (p *Payment) firstOf(key string) string {
	if charges := p.byKey[key]; len(charges) > 0 {
		return charges[0].TransactionID
	}
	return ""
}

// errNoKey refuses to look up or reverse all that came without a key.
func errNoKey() error { return status.Error(codes.InvalidArgument, "idempotency_key is empty") }

// first is the first value of a call's metadata under name, or "".
func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
