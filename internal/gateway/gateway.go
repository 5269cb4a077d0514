// Package gateway provides the neighbours of checkout as order sees them: clients for the cart, the catalogue, the
// exchange, the payment service, the carrier, the mail and the event broker, one file each. They speak the shop's
// protocols on the one side and the ports of package order on the other.
//
// Nothing that a neighbour says is believed unchecked: an answer that cannot be is order.ErrImplausible, before anything
// is done on the strength of it. Every call has a deadline and every answer a limit. What is read is asked again, by retry.go
// or net/http, when a connection breaks; what is written is sent once, and repeated by the order alone.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"checkout/internal/order"
)

// Timeouts is how long a neighbour may take to answer, name look-up, connecting and repeats included. The zero value of a
// field is its default. A caller's earlier deadline wins.
type Timeouts struct {
	Read    time.Duration // everything read, and the emptying of the cart; 2 s
	Charge  time.Duration // a charge, or its reversal; 8 s
	Ship    time.Duration // 12 s: longer than a carrier that dawdles abroad for 10 s, so that it is not asked twice
	Email   time.Duration // 5 s
	Publish time.Duration // an event, until the broker holds it durably; 5 s, at least 1 s
}

func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Read:    cmp.Or(t.Read, 2*time.Second),
		Charge:  cmp.Or(t.Charge, 8*time.Second),
		Ship:    cmp.Or(t.Ship, 12*time.Second),
		Email:   cmp.Or(t.Email, 5*time.Second),
		Publish: cmp.Or(t.Publish, 5*time.Second),
	}
}

// Flags are the faults that the shop's operator can switch on. An implementation that cannot tell answers false and 0,
// without delay.
type Flags interface {
	// PaymentUnreachable sends charges, look-ups and reversals to an address that does not exist (flag paymentUnreachable).
	PaymentUnreachable(ctx context.Context) bool
	// ExtraEvents is how many copies follow every event (flag kafkaQueueProblems).
	ExtraEvents(ctx context.Context) int
}

// maxID is how many bytes a foreign id may have: a UUID has 36, and it goes into the record, the e-mail and every trace.
const maxID = 256

// checkID returns ErrImplausible for what cannot be an id. what names it.
func checkID(what, id string) error {
	switch {
	case strings.TrimSpace(id) == "":
		return fmt.Errorf("%w: no %s", order.ErrImplausible, what)
	case len(id) > maxID:
		return fmt.Errorf("%w: a %s of %d bytes", order.ErrImplausible, what, len(id))
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("%w: a %s that is not plain text", order.ErrImplausible, what)
	}
	return nil
}
