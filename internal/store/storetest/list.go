package storetest

import (
	"fmt"
	"testing"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

// lists has an order in each state, ten times over, each created a minute after the one before.
func lists(t *testing.T, s Store) {
	states := order.States()
	start := Order("1").Created
	var all []*order.Order // newest first
	for i := range 10 * len(states) {
		created := start.Add(time.Duration(i) * time.Minute)
		o := in(Order(IDAt(created)), states[i%len(states)])
		o.Created = created
		mustOpen(t, s, o, held)
		all = append([]*order.Order{o}, all...)
	}
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for name, q := range map[string]lookup.Query{
		"everything":             {Limit: 1000},
		"the newest":             {Limit: 7},
		"nothing":                {Limit: 0},
		"less than nothing":      {Limit: -1},
		"a page":                 {Limit: 7, Before: all[20].ID},
		"a page that is gone":    {Limit: 7, Before: all[20].ID + "0"},
		"from":                   {Limit: 1000, From: minute(40)},
		"until":                  {Limit: 1000, Until: minute(40)},
		"a time":                 {Limit: 1000, From: minute(40), Until: minute(50)},
		"one state":              {Limit: 1000, States: states[:1]},
		"a lane":                 {Limit: 1000, States: []order.State{order.Charging, order.Charged, order.InDoubt, order.Refunding}},
		"what needs an operator": {Limit: 1000, States: []order.State{order.InDoubt, order.Parked}},
		"all that is pending":    {Limit: 1000, States: []order.State{order.Charging, order.Charged, order.Placed, order.InDoubt, order.Refunding, order.Parked}},
		"what is over":           {Limit: 1000, States: []order.State{order.Completed, order.Refunded}},
		"of everything a bit":    {Limit: 1000, States: []order.State{order.Placed, order.Cancelled}},
		"each state":             {Limit: 1000, States: states},
		"all conditions at once": {Limit: 3, States: []order.State{order.Placed, order.Parked}, From: minute(10), Until: minute(90), Before: all[30].ID},
	} {
		got, next, err := s.List(t.Context(), q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want, after := selected(all, q)
		if diff := difference(want, got); diff != "" || next != after {
			t.Errorf("%s: the next page begins after %q, want %q (-want +got):\n%s", name, next, after, diff)
		}
	}
}

// IDAt is a UUID of version 7 that was made at a time.
func IDAt(at time.Time) order.ID {
	ms := at.UnixMilli()
	return order.ID(fmt.Sprintf("%08x-%04x-774b-bcce-b302099a8057", ms>>16, ms&0xffff))
}

// selected are those of all, which are in the order of a list, that a query selects, and where the next page begins.
func selected(all []*order.Order, q lookup.Query) (list []*order.Order, next order.ID) {
	for _, o := range all {
		switch {
		case !q.Selects(o) || q.Before != "" && o.ID >= q.Before:
		case len(list) < q.Limit:
			list = append(list, o)
		case len(list) > 0:
			return list, list[len(list)-1].ID
		}
	}
	return list, ""
}
