package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
)

// Charge is an entry in the payment service's ledger.
type Charge struct {
	TransactionID string
	Key           string // the call's idempotency-key: checkout's order id
	Amount        *oteldemo.Money
	LastFour      string // of the card's number; the rest is not kept
	Synthetic     bool   // the load generator's: no bank was asked
	At            time.Time
}

// Payment charges cards that pass the stock shop's checks: a right check digit (Luhn), VISA or MasterCard, not expired.
// It refuses the others with stock's texts, always with status UNKNOWN. Like stock it charges again when asked again,
// unless HonourKeys.
type Payment struct {
	*Neighbour
	oteldemo.UnimplementedPaymentServiceServer

	mu      sync.Mutex
	charges []Charge
	byKey   map[string]string // transaction by key, once keys are honoured
	keyed   bool
}

func newPayment(n *Neighbour) (*Payment, func() error) {
	n.discard = true
	p := &Payment{Neighbour: n, byKey: make(map[string]string)}
	return p, n.serveGRPC(func(r grpc.ServiceRegistrar) { oteldemo.RegisterPaymentServiceServer(r, p) })
}

// HonourKeys makes a second charge with the same idempotency-key answer like the first, and charge nothing.
func (p *Payment) HonourKeys(keyed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyed = keyed
}

// Charges is the ledger, oldest entry first.
func (p *Payment) Charges() []Charge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.charges)
}

// Charge implements oteldemo.PaymentServiceServer.
func (p *Payment) Charge(ctx context.Context, req *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
	card := req.GetCreditCard()
	number := strings.NewReplacer("-", "", " ", "").Replace(card.GetCreditCardNumber())
	if refusal := check(number, card, time.Now()); refusal != "" {
		return nil, status.Error(codes.Unknown, refusal)
	}
	charge := Charge{
		TransactionID: uuid.NewString(),
		Key:           first(ctx, "idempotency-key"),
		Amount:        proto.CloneOf(req.GetAmount()),
		LastFour:      number[len(number)-4:],
		Synthetic:     strings.Contains(first(ctx, "baggage"), "synthetic_request=true"),
		At:            time.Now(),
	}
	return &oteldemo.ChargeResponse{TransactionId: p.book(charge)}, nil
}

// book writes a charge down and returns its transaction, or the one that stands for its key.
func (p *Payment) book(charge Charge) string {
	defer p.bell.ring()
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, known := p.byKey[charge.Key]; known && p.keyed && charge.Key != "" {
		return before
	}
	p.byKey[charge.Key] = charge.TransactionID
	p.charges = append(p.charges, charge)
	return charge.TransactionID
}

// check returns the words that a card is refused with, or none.
func check(number string, card *oteldemo.CreditCardInfo, now time.Time) string {
	if !luhn(number) {
		return "Credit card info is invalid."
	}
	if brand := brandOf(number); brand != "visa" && brand != "mastercard" {
		return fmt.Sprintf("Sorry, we cannot process %s credit cards. Only VISA or MasterCard is accepted.", brand)
	}
	year, month := int(card.GetCreditCardExpirationYear()), int(card.GetCreditCardExpirationMonth())
	if 12*now.Year()+int(now.Month()) > 12*year+month {
		return fmt.Sprintf("The credit card (ending %s) expired on %d/%d.", number[len(number)-4:], month, year)
	}
	return ""
}

// luhn tells whether number is 12 to 19 digits of which the last is the right check digit (ISO/IEC 7812-1).
func luhn(number string) bool {
	sum, double := 0, false
	for _, digit := range slices.Backward([]byte(number)) {
		if digit < '0' || digit > '9' {
			return false
		}
		d := int(digit - '0')
		if double {
			d = 2*d/10 + 2*d%10
		}
		sum, double = sum+d, !double
	}
	return len(number) >= 12 && len(number) <= 19 && sum%10 == 0
}

// brandOf tells who issued a card, by how its number begins. The number has at least four digits.
func brandOf(number string) string {
	prefix := number[:4]
	in := func(low, high string) bool { return low <= prefix && prefix <= high }
	switch {
	case number[0] == '4':
		return "visa"
	case in("2221", "2720"), in("5100", "5599"):
		return "mastercard"
	case in("3400", "3499"), in("3700", "3799"):
		return "amex"
	case in("3528", "3589"):
		return "jcb"
	case in("6011", "6011"), in("6440", "6599"):
		return "discover"
	case in("3000", "3059"), in("3600", "3699"), in("3800", "3999"):
		return "diners"
	}
	return "unknown"
}

// first is the first value of a call's metadata under name, or "".
func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
