package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
)

func comesBack(t *testing.T, s Store) {
	opened := Order("1")
	mustOpen(t, s, opened, held)
	mustHold(t, s, opened)

	placed := with(opened, func(o *order.Order) {
		o.State = order.Placed
		o.TransactionID = "d4c1"
		o.TrackingID = "77e0"
		o.Delivered = order.CartSettled | order.EventPublished
		o.Reason = "mail: unavailable"
		o.History = []order.HistoryEntry{
			{At: o.Changed, State: order.Charging, By: "somebody"},
			{At: o.Changed, State: order.Placed, Step: order.StepEmail, Problem: "unavailable", Times: 3, Last: o.Changed.Add(time.Second)},
		}
		o.Attempts = 3
		o.ShipAttempts = 2
		o.Undeliverable = order.EmailSent
		o.Changed = o.Changed.Add(time.Second)
	})
	mustSave(t, s, placed, held)
	mustHold(t, s, placed)

	skipped := with(in(placed, order.Completed), func(o *order.Order) { o.Undeliverable, o.Skipped = 0, order.EmailSent })
	if err := s.Save(t.Context(), skipped, order.Placed, held); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, skipped)

	bare := &order.Order{ID: "2", UserID: "2", State: order.Charging, Created: opened.Created, Changed: opened.Changed}
	mustOpen(t, s, bare, held)
	mustHold(t, s, bare)
}

func everyState(t *testing.T, s Store) {
	for _, state := range order.States() {
		o := in(Order(order.ID(state.String())), state)
		mustOpen(t, s, o, held)
		mustHold(t, s, o)
	}
}

func strangeText(t *testing.T, s Store) {
	o := Order("1")
	o.Reason = "payment said \xff"
	o.Trace = map[string]string{"baggage": "a=\xc3"}
	o.History = []order.HistoryEntry{{Problem: "payment said \xff"}}
	mustOpen(t, s, o, held)
	mustHold(t, s, with(o, func(o *order.Order) {
		o.Reason = "payment said \uFFFD"
		o.Trace = map[string]string{"baggage": "a=\uFFFD"}
		o.History = []order.HistoryEntry{{Problem: "payment said \uFFFD"}}
	}))
}

func notFound(t *testing.T, s Store) {
	if _, err := s.Get(t.Context(), "1"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("Get = %v, want %v", err, order.ErrNotFound)
	}
	if err := s.Save(t.Context(), Order("1"), order.Charging, held); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Save = %v, want %v", err, order.ErrFenced)
	}
	if _, err := s.Take(t.Context(), "1"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("Take = %v, want %v", err, order.ErrNotFound)
	}
	for _, key := range []string{"", "key"} {
		if _, err := s.Find(t.Context(), "user", key); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("Find with the key %q = %v, want %v", key, err, order.ErrNotFound)
		}
	}
}

func openedOnce(t *testing.T, s Store) {
	first := Order("1")
	mustOpen(t, s, first, held)
	mustOpen(t, s, first, held) // its answer may have been lost

	another := with(first, func(o *order.Order) { o.UserID = "2026" })
	if conflict, err := s.Open(t.Context(), order.Opening{Order: another, Hold: held, CartRead: ago(after)}); err == nil {
		t.Errorf("Open of another order under the same id = %v, nil, want an error", conflict)
	}
	mustHold(t, s, first)
}

func needsStateAndEpoch(t *testing.T, s Store) {
	opened := Order("1")
	mustOpen(t, s, opened, held)

	charged := in(opened, order.Charged)
	if err := s.Save(t.Context(), charged, order.InDoubt, held); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Save from another state = %v, want %v", err, order.ErrFenced)
	}
	for _, epoch := range []int64{0, 2} {
		o := with(charged, func(o *order.Order) { o.Epoch = epoch })
		if err := s.Save(t.Context(), o, order.Charging, held); !errors.Is(err, order.ErrFenced) {
			t.Errorf("Save of epoch %d instead of 1 = %v, want %v", epoch, err, order.ErrFenced)
		}
	}
	mustHold(t, s, opened)
}

func repeated(t *testing.T, s Store) {
	opened := Order("1")
	mustOpen(t, s, opened, held)
	charged := in(opened, order.Charged)
	charged.TransactionID = "d4c1"
	mustSave(t, s, charged, held)
	mustSave(t, s, charged, held)
	mustSave(t, s, with(charged, func(o *order.Order) { // tried again later
		o.Changed = o.Changed.Add(time.Minute)
		o.Reason = "its receipt could not be recorded before"
		o.History = append(o.History[:1:1], order.HistoryEntry{At: o.Changed, State: order.Charged, Problem: o.Reason})
		o.Attempts = 2
	}), held)
	mustHold(t, s, charged)

	for what, change := range map[string]func(*order.Order){
		"transaction": func(o *order.Order) { o.TransactionID = "another" },
		"parcel":      func(o *order.Order) { o.TrackingID = "another" },
		"delivery":    func(o *order.Order) { o.Delivered = order.EmailSent },
		"epoch":       func(o *order.Order) { o.Epoch++ },
		"total":       func(o *order.Order) { o.Total = o.Shipping },
	} {
		if err := s.Save(t.Context(), with(charged, change), order.Charging, held); !errors.Is(err, order.ErrFenced) {
			t.Errorf("Save of another %s from a state that is past = %v, want %v", what, err, order.ErrFenced)
		}
	}
	mustHold(t, s, charged)
}

func fencedByClaim(t *testing.T, s Store) {
	opened := Order("1")
	mustOpen(t, s, opened, due)
	claimed := mustClaim(t, s, 1)
	if len(claimed) != 1 {
		t.Fatalf("claimed %v, want the order that is due", ids(claimed))
	}
	for _, o := range []*order.Order{opened, in(opened, order.Charged)} {
		if err := s.Save(t.Context(), o, order.Charging, held); !errors.Is(err, order.ErrFenced) {
			t.Errorf("Save as %s by the former owner = %v, want %v", o.State, err, order.ErrFenced)
		}
	}
	charged := in(claimed[0], order.Charged)
	mustSave(t, s, charged, held)
	mustHold(t, s, charged)
}

func oneSaves(t *testing.T, s Store) {
	opened := Order("1")
	mustOpen(t, s, opened, held)

	const contenders = 32
	errs := make([]error, contenders)
	var wg sync.WaitGroup
	for i := range contenders {
		wg.Go(func() {
			o := in(opened, order.Charged)
			o.TransactionID = strconv.Itoa(i)
			errs[i] = s.Save(t.Context(), o, order.Charging, held)
		})
	}
	wg.Wait()

	var winners []string
	for i, err := range errs {
		switch {
		case err == nil:
			winners = append(winners, strconv.Itoa(i))
		case !errors.Is(err, order.ErrFenced):
			t.Errorf("Save = %v, want nil or %v", err, order.ErrFenced)
		}
	}
	got, err := s.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if len(winners) != 1 || got.TransactionID != winners[0] {
		t.Errorf("contenders %v were told that they have saved, and the record is of %q", winners, got.TransactionID)
	}
}

func callerLeft(t *testing.T, s Store) {
	left, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 32 { // who looks first, the caller or the store, is chance
		id := order.ID(strconv.Itoa(i))
		if _, err := s.Open(left, order.Opening{Order: Order(id), Hold: held, CartRead: ago(after)}); !errors.Is(err, context.Canceled) {
			t.Errorf("Open = %v, want %v", err, context.Canceled)
		}
		if _, err := s.Get(t.Context(), id); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("then Get = %v, want %v", err, order.ErrNotFound)
		}
	}
}

func closed(t *testing.T, s Store) {
	mustOpen(t, s, Order("1"), held)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), order.Opening{Order: Order("2"), Hold: held, CartRead: ago(after)}); err == nil {
		t.Error("Open of a closed store = nil")
	}
	if o, err := s.Get(t.Context(), "1"); err == nil {
		t.Errorf("Get from a closed store = %v", o)
	}
}
