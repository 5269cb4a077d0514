package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
)

// cancelled is what its owner makes of an order that was never charged.
func cancelled(o *order.Order) *order.Order {
	return with(in(o, order.Cancelled), func(o *order.Order) {
		o.Key = ""
		o.Reason = "never charged"
		o.Changed = o.Changed.Add(time.Second)
		o.History = append(o.History[:1:1], order.HistoryEntry{At: o.Changed, State: order.Cancelled, Problem: "never charged"})
	})
}

func cancelsUnopened(t *testing.T, s Store) {
	late := of(Order("1"), "user", "key")
	for range 2 { // its answer may have been lost
		if err := s.Cancel(t.Context(), cancelled(late), held); err != nil {
			t.Fatal(err)
		}
	}
	if conflict, err := s.Open(t.Context(), order.Opening{Order: late, Hold: held, CartRead: ago(after)}); err == nil {
		t.Errorf("Open of an order that was cancelled before = %v, nil, want an error", conflict)
	}
	mustHold(t, s, cancelled(late))
	for _, key := range []string{"", "key"} {
		if o, err := s.Find(t.Context(), "user", key); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("Find with the key %q = %v, %v, want nothing: it was never opened", key, o, err)
		}
	}
	mustOpen(t, s, of(Order("2"), "user", "key"), held)
	mustFind(t, s, "user", "key", "2")
}

func cancelsOpened(t *testing.T, s Store) {
	for _, state := range order.States() {
		o := in(Order(order.ID(state.String())), state)
		mustOpen(t, s, o, due)
		err := s.Cancel(t.Context(), cancelled(o), held)
		switch state {
		case order.Charging, order.InDoubt:
			if err != nil {
				t.Errorf("Cancel of an order that is %s = %v", state, err)
			}
			mustHold(t, s, cancelled(o))
		case order.Cancelled:
			if err != nil {
				t.Errorf("Cancel of an order that is %s = %v", state, err)
			}
			mustHold(t, s, o)
		default:
			if !errors.Is(err, order.ErrFenced) {
				t.Errorf("Cancel of an order that is %s = %v, want %v", state, err, order.ErrFenced)
			}
			mustHold(t, s, o)
		}
	}
}

func cancelsTakenOver(t *testing.T, s Store) {
	opened := of(Order("1"), "user", "key")
	mustOpen(t, s, opened, due)
	taken := mustClaim(t, s, 1)[0]
	if err := s.Cancel(t.Context(), cancelled(opened), due); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), in(taken, order.InDoubt), order.Charging, held); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Save by who has taken it over = %v, want %v", err, order.ErrFenced)
	}
	mustHold(t, s, with(cancelled(opened), func(o *order.Order) { o.Epoch = taken.Epoch }))
	mustOpen(t, s, of(Order("2"), "user", "key"), held) // its place and its key are free
	if n, err := s.Purge(t.Context(), 10); n != 1 || err != nil {
		t.Errorf("purged %d, %v, want the order whose time is over", n, err)
	}
}

func cancelsWhileOpened(t *testing.T, s Store) {
	for i := range 16 { // who comes first is chance
		o := Order(order.ID(fmt.Sprint(i)))
		var wg sync.WaitGroup
		wg.Go(func() {
			if conflict, err := s.Open(t.Context(), order.Opening{Order: o, Hold: held, CartRead: ago(after)}); conflict != nil {
				t.Errorf("Open = %v, %v", conflict, err)
			}
		})
		wg.Go(func() {
			if err := s.Cancel(t.Context(), cancelled(o), held); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		mustHold(t, s, cancelled(o))
	}
}
