package order

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"checkout/internal/money"
)

// ID names an order: a UUID (RFC 9562, version 7), as in "01890a5d-ac96-774b-bcce-b302099a8057".
// It is the key of its charge, its parcel, its e-mail and its event.
type ID string

// newID makes an ID. Version 7 begins with the time, so that new rows lie side by side in the store.
func newID(now time.Time) ID {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // never fails: crypto/rand
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return ID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// Line is one product of a cart.
type Line struct {
	ProductID string
	Quantity  int32
}

// Item is a line with its unit price in the customer's currency, rounded to what can be paid.
type Item struct {
	Line
	Cost money.Amount
}

// Address is where a parcel goes.
type Address struct {
	Street, City, State, Country, ZipCode string
}

// EmailAddress is a customer's address. It goes into the record and to the e-mail service, never into a log or a trace.
type EmailAddress string

// String hides the address when it is printed.
func (EmailAddress) String() string { return "***" }

// Format hides the address from every verb of package fmt.
func (EmailAddress) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// LogValue hides the address from logs.
func (EmailAddress) LogValue() slog.Value { return slog.StringValue("***") }

// Order is an order as it is recorded. It has no field for a card, on purpose.
type Order struct {
	ID    ID
	Epoch int64 // the fencing token: a takeover raises it
	State State

	UserID   string
	Key      string // the caller's idempotency key; empty when there was none, or it is free for another try
	Currency money.Currency
	Email    EmailAddress
	Address  Address
	Items    []Item
	Shipping money.Amount // the quote that is charged
	Total    money.Amount // Σ cost · quantity + shipping

	TransactionID string // the receipt of the charge; empty before Charged
	TrackingID    string // the parcel; empty before Placed
	ShipAttempts  int    // shipments that were sent, or are about to be: each of them may have become a parcel
	Delivered     Delivery
	Undeliverable Delivery     // deliveries that failed for good, or for a day
	Skipped       Delivery     // deliveries that an operator has decided to do without
	Refunded      money.Amount // of the charge, in part; the zero Amount: nothing, or all of a refunded order
	RefundTo      money.Amount // while it is refunding: what is to be refunded in all; the zero Amount: everything
	Reason        string       // why the order is where it is, if that is not plain; it holds no card and no address
	Attempts      int          // failed tries since the last change of state
	History       []HistoryEntry

	Created time.Time
	Changed time.Time         // when it came into its state
	Trace   map[string]string // W3C trace context and baggage of the call that placed it

	Repeated bool // it is the answer to another call than the one that placed it; not on record
}

// UnknownShipments are the ShipAttempts of an order from a restored backup. They are more than any limit, so that nothing is shipped
// before an operator says so.
const UnknownShipments = 1000

// Settled reports whether the order lays no claim on the user's cart any more: the cart was dealt with, or never will be.
func (o *Order) Settled() bool { return o.State.Final() || o.Delivered.Has(CartSettled) }

// Lines are the order's items without their prices.
func (o *Order) Lines() []Line {
	lines := make([]Line, len(o.Items))
	for i, item := range o.Items {
		lines[i] = item.Line
	}
	return lines
}

// sameLines reports whether a cart still holds what was ordered, in whatever order and however split.
func sameLines(cart []Line, items []Item) bool {
	left := make(map[string]int64, len(items))
	for _, item := range items {
		left[item.ProductID] += int64(item.Quantity)
	}
	for _, line := range cart {
		left[line.ProductID] -= int64(line.Quantity)
	}
	for _, n := range left {
		if n != 0 {
			return false
		}
	}
	return true
}

// Quantity is the number of pieces in the order.
func (o *Order) Quantity() int {
	var n int
	for _, item := range o.Items {
		n += int(item.Quantity)
	}
	return n
}

// Delivery is a set of deliveries: what is pending once an order is placed. Each may be made more than once.
type Delivery uint8

const (
	// CartSettled: the cart was emptied, or has changed since and is left as it is.
	CartSettled Delivery = 1 << iota
	// EmailSent: the e-mail service has taken the confirmation.
	EmailSent
	// EventPublished: the broker holds the event.
	EventPublished
)

// Has reports whether d contains all of others.
func (d Delivery) Has(others Delivery) bool { return d&others == others }

// step is the name of the delivery's step.
func (d Delivery) step() Step {
	switch d {
	case CartSettled:
		return StepEmptyCart
	case EmailSent:
		return StepEmail
	default:
		return StepPublish
	}
}

// pending are the deliveries that are still to be made.
func (o *Order) pending() Delivery {
	return (CartSettled | EmailSent | EventPublished) &^ (o.Delivered | o.Undeliverable | o.Skipped)
}

// undelivered names the deliveries that could not be made, each with its latest failure.
func (o *Order) undelivered() string {
	var parts []string
	for _, d := range []Delivery{EmailSent, EventPublished} {
		if !o.Undeliverable.Has(d) {
			continue
		}
		part := string(d.step())
		for _, e := range slices.Backward(o.History) {
			if e.Step == d.step() {
				part += ": " + e.Problem
				break
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
