package order

import (
	"context"
	"sync"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
)

// pace is how long calls to a service have taken lately: the mean, and how far from it they were (RFC 6298, §2).
type pace struct {
	mu              sync.Mutex
	mean, deviation time.Duration
	noted           time.Time // the latest
}

// paceTime is how long a pace is believed: a service that is not called may have recovered.
const paceTime = 3 * time.Second

func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known() {
		p.deviation += ((took - p.mean).Abs() - p.deviation) / 4
		p.mean += (took - p.mean) / 8
	} else {
		p.mean, p.deviation = took, took/2
	}
	p.noted = time.Now()
}

func (p *pace) known() bool { return !p.noted.IsZero() && time.Since(p.noted) < paceTime }

// expected is what hardly any call takes longer than; 0 when nothing is known.
func (p *pace) expected() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known() {
		return 0
	}
	return p.mean + 4*p.deviation
}

// pacedPayment is a Payment whose pace is noted.
type pacedPayment struct {
	Payment
	pace *pace
}

// Charge implements Payment.
func (p pacedPayment) Charge(ctx context.Context, id ID, amount money.Amount, card creditcard.Card) (transactionID string, err error) {
	began := time.Now()
	transactionID, err = p.Payment.Charge(ctx, id, amount, card)
	p.pace.note(time.Since(began))
	return transactionID, err
}
