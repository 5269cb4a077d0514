package demo

import (
	"fmt"
	"maps"
	"slices"
)

// Tally is how often each thing happened to one order.
type Tally struct {
	Charges, Refunds, Parcels, Letters, Events int
}

// Net is how many charges stand: those that were not given back.
func (t Tally) Net() int { return t.Charges - t.Refunds }

// Books are the neighbours' ledgers laid side by side. They owe nothing to what checkout believes.
type Books struct {
	// Orders are the tallies by order id. What came without a key is under "".
	Orders map[string]Tally
}

// Books reads all ledgers. Charges and parcels are told apart by the idempotency key that they came with, letters and
// events by the order that they are about.
func (s *Shop) Books() Books {
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
	for _, l := range s.Email.Letters() {
		count(l.OrderID, func(t *Tally) *int { return &t.Letters }, 1)
	}
	for id, n := range s.Accounting.count() {
		count(id, func(t *Tally) *int { return &t.Events }, n)
	}
	return Books{orders}
}

// Total adds up all orders.
func (b Books) Total() Tally {
	var sum Tally
	for _, t := range b.Orders {
		sum.Charges += t.Charges
		sum.Refunds += t.Refunds
		sum.Parcels += t.Parcels
		sum.Letters += t.Letters
		sum.Events += t.Events
	}
	return sum
}

// Balanced tells whether charges that stand, parcels, letters and events are the same orders, each once.
func (b Books) Balanced() bool { return len(b.Differences()) == 0 }

// Differences are what is wrong with the books, in words, ordered by order. After a failure a letter or an event may
// rightly come twice; it is counted among the differences all the same.
func (b Books) Differences() []string {
	var found []string
	for _, id := range slices.Sorted(maps.Keys(b.Orders)) {
		name := "order " + id
		if id == "" {
			name = "without a key"
		}
		for _, problem := range b.Orders[id].problems() {
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
	note(t.Letters > 1, "%d letters", t.Letters)
	note(t.Events > 1, "%d events", t.Events)
	note(t.Net() > 0 && t.Parcels == 0, "charged, not shipped")
	note(t.Charges == 0 && t.Parcels > 0, "shipped, not charged")
	note(t.Refunds > 0 && t.Net() == 0 && t.Parcels > 0, "shipped and refunded")
	note(t.Parcels > 0 && t.Letters == 0, "shipped, no letter")
	note(t.Parcels > 0 && t.Events == 0, "shipped, no event")
	note(t.Parcels == 0 && t.Letters > 0, "a letter, not shipped")
	note(t.Parcels == 0 && t.Events > 0, "an event, not shipped")
	return found
}
