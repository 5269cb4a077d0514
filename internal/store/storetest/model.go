package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

// likeMap does what comes to its mind with a few orders, in the store and in a map, and wants both to agree throughout.
func likeMap(t *testing.T, s Store) {
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		m := model{ctx, s, make(map[order.ID]entry), make(map[string]order.ID)}
		defer m.forget(t)
		t.Repeat(map[string]func(*rapid.T){
			"open":   m.open,
			"save":   m.save,
			"cancel": m.cancel,
			"claim":  m.claim,
			"take":   m.take,
			"find":   m.find,
			"list":   m.list,
			"purge":  m.purge,
			"":       m.agree,
		})
	})
}

// model is what the store should hold.
type model struct {
	ctx     context.Context // of the test
	store   Store
	entries map[order.ID]entry
	latest  map[string]order.ID // by user
}

// entry is a record, with the time when it is due as the distance from now: holds are so long that the test is a moment.
type entry struct {
	order   *order.Order
	hold    time.Duration
	settled bool // ever
}

func (e entry) due() bool { return e.hold < 0 }

// same reports whether o states the facts that are on record, whenever and for whatever reason it came to be so.
func (e entry) same(o *order.Order) bool { return difference(facts(e.order), facts(o)) == "" }

func facts(o *order.Order) *order.Order {
	return with(o, func(o *order.Order) { o.Changed, o.Reason, o.History, o.Attempts = time.Time{}, "", nil, 0 })
}

func drawID(t *rapid.T) order.ID {
	return rapid.SampledFrom([]order.ID{"a", "b", "c", "d", "e", "f"}).Draw(t, "id")
}

// userOf is the user to whom the orders of that id belong.
func userOf(id order.ID) string {
	if id < "d" {
		return "first"
	}
	return "second"
}

func drawState(t *rapid.T, label string) order.State {
	return rapid.SampledFrom(order.States()).Draw(t, label)
}

func drawHold(t *rapid.T) time.Duration {
	hours := rapid.SampledFrom([]time.Duration{-4, -3, -2, -1, 1, 0}).Draw(t, "hold")
	if hours == 0 {
		return order.UntilResolved
	}
	return hours * time.Hour
}

// drawOrder is an order that may differ from what is recorded under its id, or not.
func drawOrder(t *rapid.T, id order.ID) *order.Order {
	o := of(in(Order(id), drawState(t, "state")), userOf(id), rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key"))
	o.Epoch = rapid.Int64Range(1, 3).Draw(t, "epoch")
	o.Delivered = rapid.SampledFrom([]order.Delivery{0, order.CartSettled, order.EmailSent}).Draw(t, "delivered")
	o.Attempts = rapid.IntRange(0, 1).Draw(t, "attempts")
	return o
}

func (m *model) open(t *rapid.T) {
	o, hold := drawOrder(t, drawID(t)), drawHold(t)
	age := rapid.SampledFrom([]time.Duration{before, after}).Draw(t, "age")
	over := rapid.SampledFrom([]order.ID{"", drawID(t)}).Draw(t, "over")
	conflict, err := m.store.Open(m.ctx, order.Opening{Order: o, Hold: hold, CartRead: ago(age), Supersede: over})
	if known, exists := m.entries[o.ID]; exists {
		if (err == nil) != known.same(o) || conflict != nil {
			t.Fatalf("Open of a known id = %v, %v", conflict, err)
		}
		return
	}
	expect(t, "Open", err, nil)
	if want := m.conflict(o, age, over); want != nil || conflict != nil {
		if diff := difference(want, conflict); diff != "" {
			t.Fatalf("the conflict differs (-want +got):\n%s", diff)
		}
		return
	}
	m.entries[o.ID] = entry{o, hold, o.Settled()}
	m.latest[o.UserID] = o.ID
}

// conflict is the order that stands in the way of o, or nil.
func (m *model) conflict(o *order.Order, age time.Duration, over order.ID) *order.Order {
	if known := m.keyed(o.UserID, o.Key); known != nil {
		return known
	}
	latest, exists := m.entries[m.latest[o.UserID]]
	if !exists || latest.order.ID == over || latest.settled && age == after {
		return nil
	}
	return latest.order
}

// keyed is the user's order of that key, or nil.
func (m *model) keyed(user, key string) *order.Order {
	for _, known := range m.entries {
		if key != "" && known.order.UserID == user && known.order.Key == key {
			return known.order
		}
	}
	return nil
}

func (m *model) save(t *rapid.T) {
	o, hold, from := drawOrder(t, drawID(t)), drawHold(t), drawState(t, "from")
	known, exists := m.entries[o.ID]
	if exists && rapid.Bool().Draw(t, "by the owner") {
		o.Epoch, from = known.order.Epoch, known.order.State
	}
	if exists && o.Key != "" {
		o.Key = known.order.Key // it can be cleared, and nothing else
	}
	err := m.store.Save(m.ctx, o, from, hold)
	switch {
	case exists && known.order.Epoch == o.Epoch && known.order.State == from:
		expect(t, "Save", err, nil)
		m.entries[o.ID] = entry{o, hold, known.settled || o.Settled()}
	case exists && known.same(o):
		expect(t, "Save again", err, nil)
	default:
		expect(t, "Save by somebody else", err, order.ErrFenced)
	}
}

func (m *model) cancel(t *rapid.T) {
	o, hold := cancelled(drawOrder(t, drawID(t))), drawHold(t)
	err := m.store.Cancel(m.ctx, o, hold)
	known, exists := m.entries[o.ID]
	switch {
	case !exists:
		expect(t, "Cancel of nothing", err, nil)
		m.entries[o.ID] = entry{o, hold, true}
	case known.order.State == order.Charging || known.order.State == order.InDoubt:
		expect(t, "Cancel", err, nil)
		m.entries[o.ID] = entry{with(o, func(o *order.Order) { o.Epoch = known.order.Epoch }), hold, true}
	case known.order.State == order.Cancelled:
		expect(t, "Cancel again", err, nil)
	default:
		expect(t, "Cancel of what may be charged", err, order.ErrFenced)
	}
}

func (m *model) claim(t *rapid.T) {
	limit, hold := rapid.IntRange(0, 3).Draw(t, "limit"), drawHold(t)
	lane := rapid.SampledFrom([]order.Queue{order.ShippingQueue, order.DeliveryQueue}).Draw(t, "lane")
	claimed, err := m.store.Claim(m.ctx, lane, limit, hold)
	expect(t, "Claim", err, nil)

	waiting := m.count(func(e entry) bool { return e.due() && e.order.State.Queue() == lane })
	if len(claimed) != min(limit, waiting) {
		t.Fatalf("claimed %v of %d that are due, limit %d", ids(claimed), waiting, limit)
	}
	latest := -100 * time.Hour
	for _, o := range claimed {
		known := m.entries[o.ID]
		if known.order == nil || !known.due() || known.order.State.Queue() != lane {
			t.Fatalf("claimed %v, which is not to be had: %v", o, known)
		}
		latest = max(latest, known.hold)
		taken := m.taken(t, known, o)
		m.entries[o.ID] = entry{taken, time.Hour, known.settled} // out of the way of the count below
		defer func() { m.entries[o.ID] = entry{taken, hold, known.settled} }()
	}
	longer := func(e entry) bool { return e.order.State.Queue() == lane && e.hold < latest }
	if n := m.count(longer); n > 0 {
		t.Fatalf("%d orders that have waited longer were passed over", n)
	}
}

// taken is what the order should be after a take-over, as which o was returned.
func (m *model) taken(t *rapid.T, known entry, o *order.Order) *order.Order {
	taken := with(known.order, func(o *order.Order) { o.Epoch++ })
	if diff := difference(taken, o); diff != "" {
		t.Fatalf("the order that was taken over differs (-want +got):\n%s", diff)
	}
	return taken
}

func (m *model) take(t *rapid.T) {
	id := drawID(t)
	o, err := m.store.Take(m.ctx, id)
	known, exists := m.entries[id]
	switch {
	case !exists:
		expect(t, "Take of nothing", err, order.ErrNotFound)
	case known.hold != order.UntilResolved && known.order.State != order.Completed:
		expect(t, "Take of what does not rest", err, order.ErrFenced)
	default:
		expect(t, "Take", err, nil)
		m.entries[id] = entry{m.taken(t, known, o), known.hold, known.settled}
	}
}

func (m *model) find(t *rapid.T) {
	user, key := userOf(drawID(t)), rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key")
	want := m.keyed(user, key)
	if key == "" {
		want = m.entries[m.latest[user]].order
	}
	got, err := m.store.Find(m.ctx, user, key)
	if want == nil {
		expect(t, "Find", err, order.ErrNotFound)
		return
	}
	expect(t, "Find", err, nil)
	if diff := difference(want, got); diff != "" {
		t.Fatalf("the order of user %q and key %q differs (-want +got):\n%s", user, key, diff)
	}
}

func (m *model) list(t *rapid.T) {
	q := lookup.Query{
		States: rapid.SliceOfNDistinct(rapid.SampledFrom(order.States()), 0, 3, rapid.ID).Draw(t, "states"),
		Before: rapid.SampledFrom([]order.ID{"", "b", "d"}).Draw(t, "before"),
		Limit:  rapid.IntRange(0, 6).Draw(t, "limit"),
	}
	var all []*order.Order
	for _, known := range m.entries {
		all = append(all, known.order)
	}
	slices.SortFunc(all, func(a, b *order.Order) int { return strings.Compare(string(b.ID), string(a.ID)) })
	got, next, err := m.store.List(m.ctx, q)
	expect(t, "List", err, nil)
	want, after := selected(all, q)
	if diff := difference(want, got); diff != "" || next != after {
		t.Fatalf("the list of %+v differs, the next page begins after %q, want %q (-want +got):\n%s", q, next, after, diff)
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
		if _, err := m.store.Get(m.ctx, id); done(known) && errors.Is(err, order.ErrNotFound) {
			delete(m.entries, id)
			if user := known.order.UserID; m.latest[user] == id {
				delete(m.latest, user)
			}
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
