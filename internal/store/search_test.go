package store_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/store/storetest"
)

func TestOrdersAreFoundByWhatOperatorsKnow(t *testing.T) {
	t.Parallel()
	everywhere(t, searches)
}

// searches records orders of a few users and addresses, of which some were paid and shipped by and by, and looks for them.
// The first are indexed by then; of these, some were paid or shipped before, and others later.
func searches(t *testing.T, s record) {
	var all []*order.Order // newest first
	states := order.States()
	for i := range 60 {
		created := storetest.Order("1").Created.Add(time.Duration(i) * time.Minute)
		o := storetest.Order(storetest.IDAt(created))
		o.UserID, o.Key, o.Email = fmt.Sprint("user ", i%4), "", order.EmailAddress(fmt.Sprintf("Person%d@example.com", i%5))
		o.Created = created
		put(t, s, o)
		index := func(at int) {
			if i < 40 && i%4 == at {
				if err := s.Index(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		index(0)
		paid := *o
		paid.State, paid.TransactionID = order.Charged, fmt.Sprint("transaction ", i/2)
		save(t, s, &paid, order.Charging)
		index(1)
		shipped := paid
		shipped.State, shipped.TrackingID = order.Placed, fmt.Sprint("parcel ", i/3)
		save(t, s, &shipped, order.Charged)
		index(2)
		is := shipped
		is.State = states[i%len(states)]
		save(t, s, &is, order.Placed)
		all = append(all, &is)
	}
	slices.SortFunc(all, func(a, b *order.Order) int { return cmp.Compare(b.ID, a.ID) })
	minute := func(n int) time.Time { return storetest.Order("1").Created.Add(time.Duration(n) * time.Minute) }
	for name, q := range map[string]lookup.Query{
		"all":                    {},
		"a user":                 {UserID: "user 1"},
		"an address":             {Email: "person2@EXAMPLE.com"},
		"a transaction of two":   {TransactionID: "transaction 7"},
		"a parcel":               {TrackingID: "parcel 9"},
		"a prefix":               {Prefix: string(all[20].ID[:9])},
		"a prefix of nothing":    {Prefix: "ff"},
		"a user's parked orders": {UserID: "user 1", States: []order.State{order.Parked}},
		"a user's hour":          {UserID: "user 1", From: minute(15), Until: minute(45)},
		"everything known":       {UserID: "user 2", Email: "person0@example.com", TransactionID: "transaction 5", TrackingID: "parcel 3", Prefix: "01"},
		"contradictions":         {UserID: "user 1", Email: "person0@example.com", TransactionID: "transaction 5"},
		"nobody":                 {UserID: "nobody"},
		"a state":                {States: []order.State{order.Declined}},
		"two states of an index": {States: []order.State{order.Refunded, order.Declined}},
		"states of two indexes":  {States: []order.State{order.Cancelled, order.InDoubt, order.Parked}, Until: minute(45)},
	} {
		var want []order.ID
		for _, o := range all {
			if q.Selects(o) {
				want = append(want, o.ID)
			}
		}
		q.Limit = 7
		if got := pages(t, s, q); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", name, got, want)
		}
	}
	if _, _, err := s.Erase(t.Context(), "user 1"); err != nil {
		t.Fatal(err)
	}
	for _, id := range pages(t, s, lookup.Query{UserID: "user 1", Limit: 100}) {
		if o, err := s.Get(t.Context(), id); err != nil || o.State.Final() {
			t.Errorf("%v, %v is found, and was erased", o, err)
		}
	}
}

// pages are the orders of all pages of a search.
func pages(t *testing.T, s record, q lookup.Query) (ids []order.ID) {
	t.Helper()
	for {
		found, next, err := s.List(t.Context(), q)
		if err != nil || len(found) > q.Limit {
			t.Fatalf("%d orders, %v", len(found), err)
		}
		for _, o := range found {
			ids = append(ids, o.ID)
		}
		if next == "" {
			return ids
		}
		q.Before = next
	}
}

// put records an order, whatever others its user has.
func put(t *testing.T, s storetest.Store, o *order.Order) {
	t.Helper()
	conflict, err := s.Open(t.Context(), order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now()})
	if err == nil && conflict != nil {
		conflict, err = s.Open(t.Context(), order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now(), Supersede: conflict.ID})
	}
	if err != nil || conflict != nil {
		t.Fatal(conflict, err)
	}
}

func save(t *testing.T, s storetest.Store, o *order.Order, from order.State) {
	t.Helper()
	if err := s.Save(t.Context(), o, from, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// TestASearchLooksAtSoManyOrdersAtMost has a user with many orders, of which one alone is looked for: the search comes to
// it page by page, and no page keeps other orders waiting.
func TestASearchLooksAtSoManyOrdersAtMost(t *testing.T) {
	t.Parallel()
	s := memory(t)
	const orders = 2100
	for i := range orders {
		o := storetest.Order(order.ID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012x", i)))
		o.UserID, o.Key, o.State = "ada", "", order.Completed
		if i == 0 {
			o.State = order.Parked
		}
		put(t, s, o)
	}
	q := lookup.Query{UserID: "ada", States: []order.State{order.Parked}, Limit: 50}
	found, next, err := s.List(t.Context(), q)
	if len(found) > 0 || next == "" || err != nil {
		t.Fatalf("the first page has %d orders, next %q, %v; want none, and a next page", len(found), next, err)
	}
	q.Before = next
	if found, next, err = s.List(t.Context(), q); len(found) != 1 || next != "" || err != nil {
		t.Errorf("the next page has %d orders, next %q, %v; want the one, and no more", len(found), next, err)
	}
}

func TestANewOrderIsFoundBeforeItIsIndexed(t *testing.T) {
	t.Parallel()
	s := memory(t)
	o := storetest.Order(storetest.IDAt(time.Now()))
	o.Created = time.Now()
	put(t, s, o)
	o.State, o.TransactionID = order.Charged, "a transaction"
	save(t, s, o, order.Charging)
	if err := s.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pages(t, s, lookup.Query{TransactionID: "a transaction", Limit: 5}); !slices.Equal(got, []order.ID{o.ID}) {
		t.Errorf("found %v, want %v", got, o.ID)
	}
}
