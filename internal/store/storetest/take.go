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
		mustOpen(t, s, o, order.AtRest)
		mustHold(t, s, o)
	}
	for _, lane := range []order.Lane{order.Unshipped, order.Undelivered} {
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
	mustNotTake(t, s, "in_doubt")
	if err := s.Save(t.Context(), taken, order.InDoubt, order.AtRest); err != nil {
		t.Fatal(err)
	}
	if again := mustTake(t, s, "in_doubt"); again.Epoch != 3 {
		t.Errorf("taken with epoch %d after it was put back, want 3", again.Epoch)
	}

	mustOpen(t, s, Order("held"), held)
	mustOpen(t, s, Order("due"), due)
	mustNotTake(t, s, "held")
	mustNotTake(t, s, "due")
}

func mustTake(t *testing.T, s Store, id order.ID) *order.Order {
	t.Helper()
	o, err := s.Take(t.Context(), id, held)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mustNotTake(t *testing.T, s Store, id order.ID) {
	t.Helper()
	if _, err := s.Take(t.Context(), id, held); !errors.Is(err, order.ErrFenced) {
		t.Errorf("Take of an order that does not rest = %v, want %v", err, order.ErrFenced)
	}
}

func oneTakes(t *testing.T, s Store) {
	mustOpen(t, s, in(Order("1"), order.Parked), order.AtRest)
	const rivals = 16
	taken := make(chan *order.Order, rivals)
	var wg sync.WaitGroup
	for range rivals {
		wg.Go(func() {
			switch o, err := s.Take(t.Context(), "1", held); {
			case err == nil:
				taken <- o
			case !errors.Is(err, order.ErrFenced):
				t.Errorf("Take = %v, want nil or %v", err, order.ErrFenced)
			}
		})
	}
	wg.Wait()
	if n := len(taken); n != 1 {
		t.Fatalf("the order was taken %d times", n)
	}
	if o := <-taken; o.Epoch != 2 {
		t.Errorf("taken with epoch %d, want 2", o.Epoch)
	}
}
