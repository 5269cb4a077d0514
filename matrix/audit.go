package main

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
)

// observed is what customers were answered, what the services' ledgers say, and what is on record. The ledgers do not depend on
// what the service believes.
type observed struct {
	step      step
	mode      mode
	keyed     bool
	answers   []reply
	charges   []demo.Charge
	books     map[string]demo.Tally // by order
	record    map[string]checkoutv1.OrderState
	leaks     []string // where a card's number or CVV was found
	rejected  int      // events that accounting could not book
	rss       int64    // bytes, at most
	ended     error    // how the process ended after SIGTERM
	died      bool     // it ended before
	recording error    // why the record could not be read
}

// reply is the answer to a customer's call.
type reply struct {
	customer int
	first    bool // the customer's first call
	code     codes.Code
	reason   string
	moved    string // whether money has moved: no, yes, unknown
	orderID  string
	total    *oteldemo.Money // of an order
	tracking string
	text     string
	took     time.Duration
}

// limits are what a cell may take.
type limits struct {
	deadline time.Duration // of a customer, and some time for a busy machine
	rss      int64         // bytes; below 0: any
	attempts int           // parcels of an order, where shipping honours no keys
}

// violations are the invariants that do not hold.
func (e *observed) violations(l limits) []string {
	var found []string
	check := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	check(e.died, "the process died: %v", e.ended)
	check(!e.died && e.ended != nil, "the process ended badly: %v", e.ended)
	check(e.recording != nil, "the record cannot be read: %v", e.recording)
	check(l.rss >= 0 && e.rss > l.rss, "%.1f MiB resident, at most %d are allowed", float64(e.rss)/(1<<20), l.rss>>20)
	check(e.rejected > 0, "accounting could not book %d events", e.rejected)
	for _, leak := range e.leaks {
		check(true, "a card's number or CVV is in %s", leak)
	}
	for _, r := range e.answers {
		found = append(found, e.answered(r, l)...)
	}
	for id := range e.books {
		found = append(found, e.order(id, l)...)
	}
	for id := range e.record {
		if _, known := e.books[id]; !known {
			found = append(found, e.order(id, l)...)
		}
	}
	for customer := range customers {
		found = append(found, e.customer(customer)...)
	}
	return found
}

// order checks one order, in the ledgers and on record.
func (e *observed) order(id string, l limits) []string {
	var found []string
	state, recorded := e.record[id]
	books := e.books[id]
	net, parcels, emails, events := books.Net(), books.Parcels, books.Emails, books.Events
	check := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf("order …%s (%v): ", id[max(0, len(id)-4):], state)+fmt.Sprintf(format, args...))
		}
	}
	check(!recorded && e.recording == nil, "is on no record, with %d charges, %d parcels, %d e-mails, %d events", net, parcels, emails, events)
	check(net > 1, "charged %d times", net)
	check(e.keyed && parcels > 1, "%d parcels", parcels)
	check(!e.keyed && parcels > l.attempts, "%d parcels, at most %d may be tried", parcels, l.attempts)
	check(parcels > 0 && net == 0, "shipped and not charged")
	check(emails+events > 0 && parcels == 0, "confirmed and not shipped")
	if !recorded {
		return found
	}
	switch state {
	case checkoutv1.OrderState_COMPLETED:
		check(net != 1 || parcels == 0 || emails == 0 || events == 0, "%d charges, %d parcels, %d e-mails, %d events", net, parcels, emails, events)
	case checkoutv1.OrderState_PLACED, checkoutv1.OrderState_UNDELIVERED:
		check(net != 1 || parcels == 0, "%d charges, %d parcels", net, parcels)
	case checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_CANCELLED, checkoutv1.OrderState_REFUNDED:
		check(net != 0 || parcels != 0, "%d charges, %d parcels", net, parcels)
	case checkoutv1.OrderState_CHARGED, checkoutv1.OrderState_PARKED, checkoutv1.OrderState_REFUNDING:
		check(net != 1, "%d charges", net)
	case checkoutv1.OrderState_IN_DOUBT:
		check(e.keyed, "in doubt, though the payment service can be asked")
	case checkoutv1.OrderState_CHARGING:
		check(true, "still charging")
	case checkoutv1.OrderState_ORDER_STATE_UNSPECIFIED:
	}
	return found
}

// answered looks at one answer.
func (e *observed) answered(r reply, l limits) []string {
	var found []string
	check := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf("customer %d (%v %s): ", r.customer, r.code, r.reason)+fmt.Sprintf(format, args...))
		}
	}
	check(r.took > l.deadline, "answered after %v", r.took.Round(time.Millisecond))
	check(r.code == codes.DeadlineExceeded || r.code == codes.Canceled, "no answer within the deadline: %s", r.text)
	check(r.code == codes.Internal || r.code == codes.Unknown || r.code == codes.DataLoss, "%s", r.text)
	check(r.first && e.step.optional && r.code != codes.OK, "the order does not need %s, and failed: %s", e.step.name, r.text)
	if r.code != codes.OK {
		return found
	}
	books := e.books[r.orderID]
	check(books.Net() != 1, "answered with an order that was charged %d times", books.Net())
	for _, c := range e.charges {
		check(c.Key == r.orderID && !proto.Equal(c.Amount, r.total), "charged %v, answered %v", c.Amount, r.total)
	}
	check(r.tracking != "" && books.Parcels == 0, "answered with a tracking id of no parcel")
	return found
}

// customer looks at all that one customer was answered and charged.
func (e *observed) customer(number int) []string {
	var found []string
	charged := 0
	for _, c := range e.charges {
		if c.LastFour == lastFour(number) && c.Reversed.IsZero() {
			charged++
		}
	}
	check := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf("customer %d: ", number)+fmt.Sprintf(format, args...))
		}
	}
	// A cart that is still full is a new order when it is asked for again.
	check(charged > 1 && e.step.name != "cart" && e.step.name != "emptying", "charged %d times for one purchase", charged)
	answered, moved := false, false
	for _, r := range e.answers {
		if r.customer == number {
			answered, moved = true, moved || r.code == codes.OK || r.moved != "no"
		}
	}
	check(answered && !moved && charged > 0, "was answered that no money moved, and was charged")
	return found
}
