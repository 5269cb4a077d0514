package demo

import (
	"fmt"
	"maps"
	"slices"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/wire"
)

// Tally is how often each thing happened to one order.
type Tally struct {
	Charges, Refunds, PartRefunds, Parcels, Emails, Events int // of a charge is either all refunded, or a part
}

// Net is how many charges were not refunded.
func (t Tally) Net() int { return t.Charges - t.Refunds }

// Outcome is what the ledgers say of an order.
type Outcome int

const (
	Pending        Outcome = iota // something is still to come
	Matched                       // charged, shipped, confirmed and published
	Refunded                      // charged and refunded, all of it
	PaymentUnknown                // waits for an operator, or for the payment service
	Parked                        // paid, and waits for an operator
	Mismatched                    // what nothing mends any more
)

// Result is an outcome, in words.
type Result struct {
	Outcome Outcome
	Text    string
}

// Result compares the ledgers of an order. state is that on record, if it is known: without it an order that waits for an
// operator is pending.
func (t Tally) Result(state checkoutv1.OrderState) Result {
	confirmed := t.Emails+t.Events > 0
	switch {
	case t.Net() > 1:
		return Result{Mismatched, fmt.Sprintf("charged %d times", t.Net())}
	case t.Net() < 1 && t.Parcels > 0:
		return Result{Mismatched, "shipped, not paid"}
	case t.Parcels > 1:
		return Result{Mismatched, fmt.Sprintf("shipped %d times", t.Parcels)}
	case t.Charges == 0 && confirmed:
		return Result{Mismatched, "confirmed, never charged"}
	case t.Net() < 1 && confirmed:
		return Result{Mismatched, "confirmed, and refunded"}
	case t.Refunds > 0 && t.Net() < 1:
		return Result{Refunded, "refunded"}
	case t.Parcels == 0:
		return t.unshipped(state)
	case t.Emails == 0 || t.Events == 0:
		return Result{Pending, "shipped; e-mail or event pending"}
	case t.Emails > 1 || t.Events > 1: // as after a failure
		return Result{Matched, "matches; confirmed more than once"}
	case t.PartRefunds > 0:
		return Result{Matched, "matches; refunded in part"}
	}
	return Result{Matched, "matches"}
}

// unshipped is the result of an order that is not shipped, and was charged once at most.
func (t Tally) unshipped(state checkoutv1.OrderState) Result {
	switch {
	case state == checkoutv1.OrderState_IN_DOUBT:
		return Result{PaymentUnknown, "payment unknown"}
	case t.Charges == 0:
		return Result{Pending, "not charged"}
	case state == checkoutv1.OrderState_CANCELLED || state == checkoutv1.OrderState_DECLINED:
		return Result{Mismatched, "charged, but " + wire.StateName(state)}
	case state == checkoutv1.OrderState_REFUNDED: // an operator says so; the ledger of a basic payment service cannot
		return Result{Refunded, "refunded"}
	case state == checkoutv1.OrderState_PARKED:
		return Result{Parked, "paid and parked"}
	}
	return Result{Pending, "paid, not shipped"}
}

// Ledgers are those of the services, order by order. They do not depend on what checkout has on record.
type Ledgers struct {
	// Orders are the tallies by order id. What came without a key is under "".
	Orders map[string]Tally
}

// Ledgers reads all ledgers. Charges and parcels are distinguished by their idempotency key, e-mails and events by
// their order.
func (s *Shop) Ledgers() Ledgers {
	orders := make(map[string]Tally)
	count := func(id string, in func(*Tally) *int, n int) {
		t := orders[id]
		*in(&t) += n
		orders[id] = t
	}
	for _, c := range s.Payment.Charges() {
		count(c.Key, func(t *Tally) *int { return &t.Charges }, 1)
		switch {
		case !c.Reversed.IsZero():
			count(c.Key, func(t *Tally) *int { return &t.Refunds }, 1)
		case c.Refunded != nil:
			count(c.Key, func(t *Tally) *int { return &t.PartRefunds }, 1)
		}
	}
	for _, p := range s.Shipping.Parcels() {
		count(p.Key, func(t *Tally) *int { return &t.Parcels }, 1)
	}
	for _, e := range s.Email.Sent() {
		count(e.OrderID, func(t *Tally) *int { return &t.Emails }, 1)
	}
	for id, n := range s.Accounting.count() {
		count(id, func(t *Tally) *int { return &t.Events }, n)
	}
	return Ledgers{orders}
}

// Total adds up all orders.
func (l Ledgers) Total() Tally {
	var sum Tally
	for _, t := range l.Orders {
		sum.Charges += t.Charges
		sum.Refunds += t.Refunds
		sum.PartRefunds += t.PartRefunds
		sum.Parcels += t.Parcels
		sum.Emails += t.Emails
		sum.Events += t.Events
	}
	return sum
}

// Match reports whether net charges, parcels, e-mails and events are the same orders, each once.
func (l Ledgers) Match() bool {
	for _, t := range l.Orders {
		if t.Emails > 1 || t.Events > 1 || t.Result(0).differs() {
			return false
		}
	}
	return true
}

// Differences are the orders whose ledgers do not match, or do not yet, each with why.
func (l Ledgers) Differences() []string {
	var found []string
	for _, id := range slices.Sorted(maps.Keys(l.Orders)) {
		name := "order " + id
		if id == "" {
			name = "without a key"
		}
		if r := l.Orders[id].Result(0); r.differs() {
			found = append(found, name+": "+r.Text)
		}
	}
	return found
}

func (r Result) differs() bool { return r.Outcome != Matched && r.Outcome != Refunded }
