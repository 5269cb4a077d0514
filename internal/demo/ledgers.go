package demo

import (
	"fmt"
	"maps"
	"slices"
)

// Tally is how often each thing happened to one order.
type Tally struct {
	Charges, Refunds, Parcels, Emails, Events int
}

// Net is how many charges were not refunded.
func (t Tally) Net() int { return t.Charges - t.Refunds }

// Ledgers are those of the services, order by order. They do not depend on what checkout has on record.
type Ledgers struct {
	// Orders are the tallies by order id. What came without a key is under "".
	Orders map[string]Tally
}

// Ledgers reads all ledgers. Charges and parcels are told apart by their idempotency key, e-mails and events by
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
		if !c.Reversed.IsZero() {
			count(c.Key, func(t *Tally) *int { return &t.Refunds }, 1)
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
		sum.Parcels += t.Parcels
		sum.Emails += t.Emails
		sum.Events += t.Events
	}
	return sum
}

// Match reports whether net charges, parcels, e-mails and events are the same orders, each once.
func (l Ledgers) Match() bool { return len(l.Differences()) == 0 }

// Differences are what does not match, in words, by order. After a failure an e-mail or an event may
// rightly come twice; it is counted among the differences all the same.
func (l Ledgers) Differences() []string {
	var found []string
	for _, id := range slices.Sorted(maps.Keys(l.Orders)) {
		name := "order " + id
		if id == "" {
			name = "without a key"
		}
		for _, problem := range l.Orders[id].problems() {
			found = append(found, name+": "+problem)
		}
	}
	return found
}

func (t Tally) problems() []string {
	var found []string
	note := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	note(t.Net() > 1, "charged %d times", t.Net())
	note(t.Parcels > 1, "shipped %d times", t.Parcels)
	note(t.Emails > 1, "%d e-mails", t.Emails)
	note(t.Events > 1, "%d events", t.Events)
	note(t.Net() > 0 && t.Parcels == 0, "charged, not shipped")
	note(t.Charges == 0 && t.Parcels > 0, "shipped, not charged")
	note(t.Refunds > 0 && t.Net() == 0 && t.Parcels > 0, "shipped and refunded")
	note(t.Parcels > 0 && t.Emails == 0, "shipped, no e-mail")
	note(t.Parcels > 0 && t.Events == 0, "shipped, no event")
	note(t.Parcels == 0 && t.Emails > 0, "an e-mail, not shipped")
	note(t.Parcels == 0 && t.Events > 0, "an event, not shipped")
	return found
}
