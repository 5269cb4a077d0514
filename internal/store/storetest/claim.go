package storetest

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
)

// openEveryState records an order in each state, under the state's name, and another one that is held for longer.
func openEveryState(t *testing.T, s Store) {
	t.Helper()
	for _, state := range order.States() {
		mustOpen(t, s, in(Order(order.ID(state.String())), state), due)
		mustOpen(t, s, in(Order(order.ID("held-"+state.String())), state), held)
	}
}

// names are the names of the states that f holds for, sorted.
func names(f func(order.State) bool) []order.ID {
	var names []order.ID
	for _, state := range order.States() {
		if f(state) {
			names = append(names, order.ID(state.String()))
		}
	}
	slices.Sort(names)
	return names
}

func claimsDue(t *testing.T, s Store) {
	openEveryState(t, s)
	var all []*order.Order
	for _, lane := range []order.Queue{order.ShippingQueue, order.DeliveryQueue} {
		claimed := mustClaimOf(t, s, lane, 100)
		got := ids(claimed)
		slices.Sort(got)
		if diff := difference(names(func(s order.State) bool { return s.Queue() == lane }), got); diff != "" {
			t.Errorf("claimed others than are due in lane %d (-want +got):\n%s", lane, diff)
		}
		all = append(all, claimed...)
	}
	for _, o := range all {
		if o.Epoch != 2 {
			t.Errorf("%s has epoch %d after the first take-over, want 2", o.ID, o.Epoch)
		}
		mustHold(t, s, o)
	}
}

func claimsLongest(t *testing.T, s Store) {
	minutes := []int{3, 9, 1, 7, 5}
	for _, m := range minutes {
		o := Order(order.ID(strconv.Itoa(m)))
		o.Created = o.Created.Add(time.Duration(-m) * time.Minute)
		mustOpen(t, s, o, time.Duration(-m)*time.Minute)
	}
	var got []order.ID
	for range 3 {
		got = append(got, ids(mustClaim(t, s, 2))...)
	}
	if diff := difference([]order.ID{"9", "7", "5", "3", "1"}, got); diff != "" {
		t.Errorf("claimed, two at a time (-want +got):\n%s", diff)
	}
	for _, limit := range []int{0, -1} {
		mustOpen(t, s, Order(order.ID(fmt.Sprint("limit", limit))), due)
		if claimed := mustClaim(t, s, limit); len(claimed) != 0 {
			t.Errorf("Claim with limit %d = %v, want none", limit, ids(claimed))
		}
	}
}

func claimedOnce(t *testing.T, s Store) {
	mustOpen(t, s, Order("1"), due)
	first := mustClaim(t, s, 10)
	if again := mustClaim(t, s, 10); len(first) != 1 || len(again) != 0 {
		t.Fatalf("claimed %v and then %v, want [1] and none", ids(first), ids(again))
	}
	mustSave(t, s, first[0], due) // given up for somebody else to take
	again := mustClaim(t, s, 10)
	if len(again) != 1 || again[0].Epoch != 3 {
		t.Fatalf("claimed %v of the order that was given up, want it with epoch 3", again)
	}
}

func claimedByOne(t *testing.T, s Store) {
	const orders, claimers = 100, 16
	for i := range orders {
		mustOpen(t, s, Order(order.ID(strconv.Itoa(i))), due)
	}
	claims := make([][]order.ID, claimers)
	var wg sync.WaitGroup
	for i := range claimers {
		wg.Go(func() {
			for {
				claimed, err := s.Claim(t.Context(), order.ShippingQueue, 3, held)
				if err != nil {
					t.Error(err)
				}
				if len(claimed) == 0 {
					return
				}
				claims[i] = append(claims[i], ids(claimed)...)
			}
		})
	}
	wg.Wait()

	all := slices.Concat(claims...)
	slices.Sort(all)
	if distinct := slices.Compact(slices.Clone(all)); len(all) != orders || len(distinct) != orders {
		t.Errorf("of %d orders %d were claimed, in %d claims", orders, len(distinct), len(all))
	}
}

func purgesFinal(t *testing.T, s Store) {
	openEveryState(t, s)
	if n, err := s.Purge(t.Context(), 100); err != nil || n != len(names(order.State.Final)) {
		t.Errorf("Purge = %d, %v, want %d", n, err, len(names(order.State.Final)))
	}
	for _, state := range order.States() {
		if _, err := s.Get(t.Context(), order.ID(state.String())); (err != nil) != state.Final() {
			t.Errorf("Get of an order that was %s = %v", state, err)
		}
		if _, err := s.Get(t.Context(), order.ID("held-"+state.String())); err != nil {
			t.Errorf("Get of an order that was %s and still kept = %v", state, err)
		}
	}
}

func purgesSome(t *testing.T, s Store) {
	for i := range 5 {
		mustOpen(t, s, in(Order(order.ID(strconv.Itoa(i))), order.Completed), due)
	}
	for _, test := range []struct{ limit, want int }{{-1, 0}, {0, 0}, {2, 2}, {2, 2}, {2, 1}, {2, 0}} {
		if n, err := s.Purge(t.Context(), test.limit); n != test.want || err != nil {
			t.Errorf("Purge of at most %d = %d, %v, want %d", test.limit, n, err, test.want)
		}
	}
}
