package storetest

import (
	"errors"
	"sync"
	"testing"

	"checkout/internal/order"
)

func takenByHand(t *testing.T, s Store) {
	for _, state := range order.States() {
		o := in(Order(order.ID(state.String())), state)
		mustOpen(t, s, o, order.UntilResolved)
		mustHold(t, s, o)
	}
	for _, lane := range []order.Queue{order.ShippingQueue, order.DeliveryQueue} {
		if claimed := mustClaimOf(t, s, lane, 100); len(claimed) > 0 {
			t.Errorf("claimed %v, which rest", ids(claimed))
		}
	}
	if n, err := s.Purge(t.Context(), 100); n != 0 || err != nil {
		t.Errorf("purged %d, %v, which rest", n, err)
	}

	taken := mustTake(t, s, "in_doubt")
	want := with(in(Order("in_doubt"), order.InDoubt), func(o *order.Order) { o.Epoch++ })
	if diff := difference(want, taken); diff != "" {
		t.Errorf("the order that was taken differs (-want +got):\n%s", diff)
	}
	mustHold(t, s, want)
	if err := s.Save(t.Context(), in(Order("in_doubt"), order.Charged), order.InDoubt, held); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Save by the former owner = %v, want %v", err, order.ErrFenced)
	}
	if again := mustTake(t, s, "in_doubt"); again.Epoch != 3 { // its taker may have died
		t.Errorf("taken again with epoch %d, want 3", again.Epoch)
	}
	if err := s.Save(t.Context(), in(taken, order.Charged), order.InDoubt, held); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Save by who took it before = %v, want %v", err, order.ErrFenced)
	}

	mustOpen(t, s, Order("held"), held)
	mustOpen(t, s, Order("due"), due)
	mustOpen(t, s, in(Order("completed and kept"), order.Completed), held)
	mustTake(t, s, "completed and kept") // nobody works on it, and an operator may refund it
	mustNotTake(t, s, "held")
	mustNotTake(t, s, "due")
}

func mustTake(t *testing.T, s Store, id order.ID) *order.Order {
	t.Helper()
	o, err := s.Take(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mustNotTake(t *testing.T, s Store, id order.ID) {
	t.Helper()
	if _, err := s.Take(t.Context(), id); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Take of an order that does not rest = %v, want %v", err, order.ErrFenced)
	}
}

func oneTakes(t *testing.T, s Store) {
	mustOpen(t, s, in(Order("1"), order.Parked), order.UntilResolved)
	const contenders = 16
	taken := make([]*order.Order, contenders)
	var wg sync.WaitGroup
	for i := range contenders {
		wg.Go(func() {
			o, err := s.Take(t.Context(), "1")
			if err != nil {
				t.Error(err)
				return
			}
			taken[i] = o
		})
	}
	wg.Wait()
	saved := 0
	for _, o := range taken {
		switch err := s.Save(t.Context(), in(o, order.Charged), order.Parked, held); {
		case err == nil:
			saved++
		case !errors.Is(err, order.ErrFenced):
			t.Errorf("Save = %v, want nil or %v", err, order.ErrFenced)
		}
	}
	if saved != 1 {
		t.Errorf("%d of those who took the order could save it, want the last", saved)
	}
}
