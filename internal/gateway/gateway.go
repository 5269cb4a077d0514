// Package gateway provides the clients of the services that checkout calls, one file each: they implement the ports of
// package order over gRPC, HTTP and Kafka.
//
// Answers are checked before they are used: an implausible one is order.ErrImplausible. Every call has a deadline and every
// answer a size limit. Reads are retried by gRPC (grpc.go) or net/http when a connection breaks; writes are sent once, and
// retried by the order alone.
package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"checkout/internal/order"
)

// Timeouts is how long a service may take to answer, including name look-up, connecting and retries. A caller's earlier
// deadline wins.
type Timeouts struct {
	Read    time.Duration // everything read, and the emptying of the cart
	Charge  time.Duration // a charge, or its reversal
	Ship    time.Duration // more than the 10 s of the demo's slowest shipments, so that none is sent twice
	Email   time.Duration
	Publish time.Duration // an event, until the broker holds it durably; at least 1 s
}

// Flags are the faults that the demo's feature flags inject. Without an answer they are false and 0, without delay.
type Flags interface {
	// PaymentUnreachable sends charges, look-ups and reversals to an address that does not exist (flag paymentUnreachable).
	PaymentUnreachable(ctx context.Context) bool
	// ExtraEvents is how many copies follow every event (flag kafkaQueueProblems).
	ExtraEvents(ctx context.Context) int
}

// maxID is how many bytes an id may have: it goes into the record, the e-mail and every trace.
const maxID = 256

// noID is the error of an answer without an id. what names it.
func noID(what string) error { return fmt.Errorf("%w: no %s", order.ErrImplausible, what) }

// checkID returns ErrImplausible for what cannot be an id.
func checkID(what, id string) error {
	switch {
	case strings.TrimSpace(id) == "":
		return noID(what)
	case len(id) > maxID:
		return fmt.Errorf("%w: a %s of %d bytes", order.ErrImplausible, what, len(id))
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("%w: a %s that is not plain text", order.ErrImplausible, what)
	}
	return nil
}
