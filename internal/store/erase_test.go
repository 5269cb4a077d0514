package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/store/storetest"
)

func TestAUserIsErased(t *testing.T) {
	t.Parallel()
	everywhere(t, erases)
}

// erases records an order in each state for a user, among those of others, more than are looked through at a time.
func erases(t *testing.T, s record) {
	put := func(id order.ID, user string, state order.State) {
		o := storetest.Order(id)
		o.UserID, o.Key, o.State = user, string(id), state
		put(t, s, o)
	}
	var open []order.ID
	finished := 0
	for i, state := range order.States() {
		for n := range 60 {
			put(order.ID(fmt.Sprintf("%03d-%02d-other", i, n)), fmt.Sprint("other ", i, n), order.Completed)
		}
		id := order.ID(fmt.Sprintf("%03d-%s", i, state))
		put(id, "ada", state)
		if finished++; !state.Final() {
			finished--
			open = append(open, id)
		}
	}
	for round, want := range []int{finished, 0} { // and to do it again does no harm
		erased, kept, err := s.Erase(t.Context(), "ada")
		if erased != want || !slices.Equal(kept, open) || err != nil {
			t.Errorf("Erase no. %d = %d, %v, %v, want %d, %v", round+1, erased, kept, err, want, open)
		}
	}
	left, _, err := s.List(t.Context(), lookup.Query{Limit: 10_000})
	if want := 60*len(order.States()) + len(open); len(left) != want || err != nil {
		t.Errorf("%d orders are left, %v, want %d", len(left), err, want)
	}
	for _, o := range left {
		if o.UserID == "ada" && o.State.Final() {
			t.Errorf("order %s is left, which is %s", o.ID, o.State)
		}
	}
	if _, err := s.Find(t.Context(), "ada", fmt.Sprintf("%03d-%s", 3, order.Completed)); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("Find with the key of an order that was erased = %v, want %v", err, order.ErrNotFound)
	}
	if erased, kept, err := s.Erase(t.Context(), "nobody"); erased != 0 || len(kept) > 0 || err != nil {
		t.Errorf("Erase of a user without orders = %d, %v, %v", erased, kept, err)
	}
}
