package storetest

import (
	"fmt"
	"sync"
	"testing"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

func keepsOutTheNext(t *testing.T, s Store) {
	for _, state := range order.States() {
		if state.Final() {
			continue
		}
		user := state.String()
		first := of(in(Order(order.ID("first-"+user)), state), user, "")
		mustOpen(t, s, first, held)
		for _, key := range []string{"", "key"} {
			next := of(Order(order.ID("next-"+user)), user, key)
			mustConflict(t, s, next, after, "", first)
			mustConflict(t, s, next, after, "somebody else", first)
		}
		mustFind(t, s, user, "", first.ID)
	}
}

func makesRoom(t *testing.T, s Store) {
	for _, settled := range append(
		[]*order.Order{with(in(Order("cart"), order.Placed), func(o *order.Order) { o.Delivered = order.CartSettled })},
		in(Order("completed"), order.Completed),
		in(Order("declined"), order.Declined),
		in(Order("refunded"), order.Refunded),
		in(Order("cancelled"), order.Cancelled),
	) {
		user := string(settled.ID)
		settled = of(settled, user, "")
		opened := in(with(settled, func(o *order.Order) { o.Delivered = 0 }), order.Charging)
		mustOpen(t, s, opened, held)
		mustSave(t, s, settled, held)

		next := of(Order("next-"+settled.ID), user, "")
		mustConflict(t, s, next, before, "", settled) // its cart may be the one that was there before
		mustOpen(t, s, next, held)
		mustFind(t, s, user, "", next.ID)
		mustHold(t, s, settled)
	}
}

func settledForGood(t *testing.T, s Store) {
	first := with(in(of(Order("first"), "user", ""), order.Placed), func(o *order.Order) { o.Delivered = order.CartSettled })
	mustOpen(t, s, first, held)
	parked := in(first, order.Parked)
	parked.Delivered = 0 // as nobody does: once settled is settled
	if err := s.Save(t.Context(), parked, order.Placed, held); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, s, of(Order("next"), "user", ""), held)
}

func givesWay(t *testing.T, s Store) {
	first := in(of(Order("first"), "user", "key"), order.InDoubt)
	mustOpen(t, s, first, order.UntilResolved)
	next := of(Order("next"), "user", "")
	if conflict, err := s.Open(t.Context(), order.Opening{Order: next, Hold: held, CartRead: ago(before), Supersede: first.ID}); conflict != nil || err != nil {
		t.Fatalf("Open over the order in the way = %v, %v", conflict, err)
	}
	mustFind(t, s, "user", "", next.ID)
	mustFind(t, s, "user", "key", first.ID)
	mustHold(t, s, first)
	mustHold(t, s, next)
}

func keepsOutItsKey(t *testing.T, s Store) {
	first := of(in(Order("first"), order.Completed), "user", "key")
	mustOpen(t, s, first, held)
	mustOpen(t, s, of(Order("second"), "user", ""), held)
	mustConflict(t, s, of(Order("third"), "user", "key"), after, "second", first)
	mustConflict(t, s, of(Order("third"), "user", "key"), after, "first", first)
	mustOpen(t, s, of(Order("third"), "another user", "key"), held)
	mustFind(t, s, "user", "key", first.ID)
	mustFind(t, s, "another user", "key", "third")
}

func freesItsKey(t *testing.T, s Store) {
	first := of(Order("first"), "user", "key")
	mustOpen(t, s, first, held)
	cancelled := of(in(first, order.Cancelled), "user", "")
	mustSave(t, s, cancelled, held)
	mustSave(t, s, cancelled, held) // its answer may have been lost
	mustHold(t, s, cancelled)

	mustOpen(t, s, of(Order("second"), "user", "key"), held)
	mustFind(t, s, "user", "key", "second")
}

func keyBeforeLatest(t *testing.T, s Store) {
	first := of(in(Order("first"), order.Declined), "user", "key")
	mustOpen(t, s, first, held)
	mustOpen(t, s, of(Order("second"), "user", "another key"), held)
	mustConflict(t, s, of(Order("third"), "user", "key"), after, "", first)
}

func oneOpens(t *testing.T, s Store) { OneOrder(t, s, s) }

// OneOrder opens many orders at a time for each of some users, through all of the stores, which are to be doors to the
// same record. It wants one of each user recorded, and all the others told so.
func OneOrder(t *testing.T, stores ...Store) {
	const users, contenders = 8, 16
	for user := range users {
		t.Run(fmt.Sprint("user ", user), func(t *testing.T) {
			var wg sync.WaitGroup
			winners := make([]order.ID, contenders)
			for i := range contenders {
				wg.Go(func() {
					o := of(Order(order.ID(fmt.Sprintf("%d-%d", user, i))), fmt.Sprint(user), "")
					if i%4 == 0 {
						o.Key = "key"
					}
					conflict, err := stores[i%len(stores)].Open(t.Context(), order.Opening{Order: o, Hold: held, CartRead: ago(after)})
					if conflict == nil {
						conflict = o
					}
					if winners[i] = conflict.ID; err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()

			all, _, err := stores[0].List(t.Context(), lookup.Query{Limit: users * contenders})
			if err != nil {
				t.Fatal(err)
			}
			var recorded []order.ID
			for _, o := range all {
				if o.UserID == fmt.Sprint(user) {
					recorded = append(recorded, o.ID)
				}
			}
			if len(recorded) != 1 {
				t.Fatalf("recorded %v, want one", recorded)
			}
			for i, winner := range winners {
				if winner != recorded[0] {
					t.Errorf("conflict %d was told that order %s is recorded, and it is %s", i, winner, recorded[0])
				}
			}
		})
	}
}

func found(t *testing.T, s Store) {
	first := of(in(Order("first"), order.Completed), "user", "first key")
	mustOpen(t, s, first, held)
	mustFind(t, s, "user", "", "first")
	second := of(Order("second"), "user", "second key")
	mustOpen(t, s, second, held)
	mustFind(t, s, "user", "", "second")
	mustFind(t, s, "user", "first key", "first")
	mustFind(t, s, "user", "second key", "second")

	got, err := s.Find(t.Context(), "user", "first key")
	if err != nil {
		t.Fatal(err)
	}
	if diff := difference(first, got); diff != "" {
		t.Errorf("the order that was found differs (-want +got):\n%s", diff)
	}
}
