// Package storetest says what a store of orders must do, as tests that any of them can be run through.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"checkout/internal/money"
	"checkout/internal/order"
)

// Store is what the tests ask for.
type Store interface {
	order.Store
	Get(ctx context.Context, id order.ID) (*order.Order, error)
	Purge(ctx context.Context, limit int) (int, error)
	Close() error
}

// Run runs all tests, each with an empty store of its own. None waits for time to pass, so that the store's clock may be
// any: an order that is held for less than no time is due.
func Run(t *testing.T, open func() (Store, error)) {
	for name, test := range map[string]func(*testing.T, Store){
		"an order comes back as it was recorded":           comesBack,
		"every state can be recorded":                      everyState,
		"text that is not UTF-8 keeps no order out":        strangeText,
		"an unknown order is not found":                    notFound,
		"an order is opened once":                          openedOnce,
		"a save needs the order's state and epoch":         needsStateAndEpoch,
		"a save can be repeated when its answer was lost":  repeated,
		"a save after a take-over is fenced":               fencedByClaim,
		"of many who save from one state, one does":        oneSaves,
		"a claim takes what is due in its lane":            claimsDue,
		"a claim takes those that have waited longest":     claimsLongest,
		"an order is claimed once until it is due again":   claimedOnce,
		"many who claim at a time never get the same":      claimedByOne,
		"a purge deletes what is final and has been kept":  purgesFinal,
		"a purge deletes no more than it is told":          purgesSome,
		"nothing is done for a caller who has left":        callerLeft,
		"a closed store refuses":                           closed,
		"whatever is done, it holds what a map would hold": likeMap,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, s)
		})
	}
}

// Order is an order of that id in the state Charging, with something in every field that it can have by then.
func Order(id order.ID) *order.Order {
	return &order.Order{
		ID:       id,
		Epoch:    1,
		State:    order.Charging,
		UserID:   "1997",
		Currency: "CHF",
		Email:    "someone@example.com",
		Address:  order.Address{Street: "Bahnhofstraße 1", City: "Zürich", State: "ZH", Country: "Switzerland", ZipCode: "8001"},
		Items: []order.Item{
			{Line: order.Line{ProductID: "OLJCESPC7Z", Quantity: 2}, Cost: amount(101, 960_000_000)},
			{Line: order.Line{ProductID: "66VCHSJNUP", Quantity: 1}, Cost: amount(0, 50_000_000)},
		},
		Shipping: amount(8, 990_000_000),
		Total:    amount(212, 960_000_000),
		Created:  time.UnixMilli(1_750_000_000_123).UTC(),
		Changed:  time.UnixMilli(1_750_000_000_456).UTC(),
		Trace:    map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "session.id=1"},
	}
}

func amount(units int64, nanos int32) money.Amount {
	a, _ := money.New("CHF", units, nanos) // of the constants above: it cannot fail
	return a
}

// with is a copy of o, changed.
func with(o *order.Order, change func(*order.Order)) *order.Order {
	c := *o
	change(&c)
	return &c
}

// in is a copy of o in a state.
func in(o *order.Order, s order.State) *order.Order {
	return with(o, func(o *order.Order) { o.State = s })
}

const (
	held = time.Hour    // not due while the tests run
	due  = -time.Minute // due at once
)

func mustOpen(t *testing.T, s Store, o *order.Order, hold time.Duration) {
	t.Helper()
	if err := s.Open(t.Context(), o, hold); err != nil {
		t.Fatal(err)
	}
}

// mustSave saves an order that is Charging.
func mustSave(t *testing.T, s Store, o *order.Order, hold time.Duration) {
	t.Helper()
	if err := s.Save(t.Context(), o, order.Charging, hold); err != nil {
		t.Fatal(err)
	}
}

// mustClaim claims of the lane that new orders are in.
func mustClaim(t *testing.T, s Store, limit int) []*order.Order {
	t.Helper()
	return mustClaimOf(t, s, order.Unshipped, limit)
}

func mustClaimOf(t *testing.T, s Store, lane order.Lane, limit int) []*order.Order {
	t.Helper()
	claimed, err := s.Claim(t.Context(), lane, limit, held)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

// mustHold fails when the store's record is another than want.
func mustHold(t *testing.T, s Store, want *order.Order) {
	t.Helper()
	got, err := s.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := difference(want, got); diff != "" {
		t.Errorf("the record of %s differs (-want +got):\n%s", want.ID, diff)
	}
}

func difference(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b money.Amount) bool { return a == b }))
}

func ids(orders []*order.Order) []order.ID {
	var ids []order.ID
	for _, o := range orders {
		ids = append(ids, o.ID)
	}
	return ids
}
