package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"checkout/internal/order"
	"checkout/internal/store"
)

// likeMap does what comes to its mind with a few orders, in the store and in a map, and wants both to agree throughout.
func likeMap(t *testing.T, s Store) {
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		m := model{ctx, s, make(map[order.ID]entry)}
		defer m.forget(t)
		t.Repeat(map[string]func(*rapid.T){
			"open":  m.open,
			"save":  m.save,
			"claim": m.claim,
			"purge": m.purge,
			"":      m.agree,
		})
	})
}

// model is what the store should hold.
type model struct {
	ctx     context.Context // of the test
	store   Store
	entries map[order.ID]entry
}

// entry is a record, with the time when it is due as the distance from now: holds are so long that the test is a moment.
type entry struct {
	order *order.Order
	hold  time.Duration
}

func (e entry) due() bool { return e.hold < 0 }

func (e entry) same(o *order.Order) bool { return difference(e.order, o) == "" }

func drawID(t *rapid.T) order.ID {
	return rapid.SampledFrom([]order.ID{"a", "b", "c", "d", "e"}).Draw(t, "id")
}

func drawState(t *rapid.T, label string) order.State {
	return rapid.SampledFrom(order.States()).Draw(t, label)
}

func drawHold(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{-4, -3, -2, -1, 1}).Draw(t, "hold") * time.Hour
}

// drawOrder is an order that may differ from what is recorded under its id, or not.
func drawOrder(t *rapid.T, id order.ID) *order.Order {
	o := in(Order(id), drawState(t, "state"))
	o.Epoch = rapid.Int64Range(1, 3).Draw(t, "epoch")
	o.Attempts = rapid.IntRange(0, 1).Draw(t, "attempts")
	return o
}

func (m *model) open(t *rapid.T) {
	o, hold := drawOrder(t, drawID(t)), drawHold(t)
	err := m.store.Open(m.ctx, o, hold)
	known, exists := m.entries[o.ID]
	switch {
	case !exists:
		expect(t, "Open", err, nil)
		m.entries[o.ID] = entry{o, hold}
	case known.same(o):
		expect(t, "Open again", err, nil)
	default:
		expect(t, "Open under a known id", err, store.ErrExists)
	}
}

func (m *model) save(t *rapid.T) {
	o, hold, from := drawOrder(t, drawID(t)), drawHold(t), drawState(t, "from")
	known, exists := m.entries[o.ID]
	if exists && rapid.Bool().Draw(t, "by the owner") {
		o.Epoch, from = known.order.Epoch, known.order.State
	}
	err := m.store.Save(m.ctx, o, from, hold)
	switch {
	case exists && known.order.Epoch == o.Epoch && known.order.State == from:
		expect(t, "Save", err, nil)
		m.entries[o.ID] = entry{o, hold}
	case exists && known.same(o):
		expect(t, "Save again", err, nil)
	default:
		expect(t, "Save by somebody else", err, order.ErrFenced)
	}
}

func (m *model) claim(t *rapid.T) {
	limit, hold := rapid.IntRange(0, 3).Draw(t, "limit"), drawHold(t)
	lane := rapid.SampledFrom([]order.Lane{order.Unshipped, order.Undelivered}).Draw(t, "lane")
	claimed, err := m.store.Claim(m.ctx, lane, limit, hold)
	expect(t, "Claim", err, nil)

	waiting := m.count(func(e entry) bool { return e.due() && e.order.State.Lane() == lane })
	if len(claimed) != min(limit, waiting) {
		t.Fatalf("claimed %v of %d that are due, limit %d", ids(claimed), waiting, limit)
	}
	latest := -100 * time.Hour
	for _, o := range claimed {
		known := m.entries[o.ID]
		if known.order == nil || !known.due() || known.order.State.Lane() != lane {
			t.Fatalf("claimed %v, which is not to be had: %v", o, known)
		}
		latest = max(latest, known.hold)
		taken := with(known.order, func(o *order.Order) { o.Epoch++ })
		if diff := difference(taken, o); diff != "" {
			t.Fatalf("the claimed order differs (-want +got):\n%s", diff)
		}
		m.entries[o.ID] = entry{taken, time.Hour} // out of the way of the count below
		defer func() { m.entries[o.ID] = entry{taken, hold} }()
	}
	longer := func(e entry) bool { return e.order.State.Lane() == lane && e.hold < latest }
	if n := m.count(longer); n > 0 {
		t.Fatalf("%d orders that have waited longer were passed over", n)
	}
}

func (m *model) purge(t *rapid.T) {
	limit := rapid.IntRange(0, 3).Draw(t, "limit")
	n, err := m.store.Purge(m.ctx, limit)
	expect(t, "Purge", err, nil)
	done := func(e entry) bool { return e.due() && e.order.State.Final() }
	if want := min(limit, m.count(done)); n != want {
		t.Fatalf("purged %d, want %d", n, want)
	}
	for id, known := range m.entries {
		if _, err := m.store.Get(m.ctx, id); done(known) && errors.Is(err, store.ErrNotFound) {
			delete(m.entries, id)
			n--
		}
	}
	if n != 0 {
		t.Fatalf("purged %d more than are gone", n)
	}
}

// agree compares every order with what it should be.
func (m *model) agree(t *rapid.T) {
	for id, known := range m.entries {
		got, err := m.store.Get(m.ctx, id)
		expect(t, "Get", err, nil)
		if diff := difference(known.order, got); diff != "" {
			t.Fatalf("the record of %s differs (-want +got):\n%s", id, diff)
		}
	}
}

// forget empties the store for the next sequence.
func (m *model) forget(t *rapid.T) {
	for id := range m.entries {
		o, err := m.store.Get(m.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.store.Save(m.ctx, in(o, order.Completed), o.State, due); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := m.store.Purge(m.ctx, len(m.entries)); n != len(m.entries) || err != nil {
		t.Fatalf("emptied the store of %d orders, %v; want %d", n, err, len(m.entries))
	}
}

func (m *model) count(f func(entry) bool) int {
	n := 0
	for _, e := range m.entries {
		if f(e) {
			n++
		}
	}
	return n
}

func expect(t *rapid.T, what string, got, want error) {
	if !errors.Is(got, want) {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}
