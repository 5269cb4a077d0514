// Package storetest says what a store of orders must do, as tests that any of them can be run through.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"checkout/internal/lookup"
	"checkout/internal/money"
	"checkout/internal/order"
)

// Store is what the tests ask for.
type Store interface {
	order.Store
	// List are the orders that q selects, newest first (the largest id), and where the next page begins.
	List(ctx context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error)
	// Purge deletes at most limit orders that are final and have been held for as long as their last Save said. It returns
	// how many there were.
	Purge(ctx context.Context, limit int) (int, error)
	Close() error
}

// Run runs all tests, each with an empty store of its own. None waits for time to pass, so that the store's clock may be
// any: an order that is held for less than no time is due.
func Run(t *testing.T, open func() (Store, error)) {
	for name, test := range map[string]func(*testing.T, Store){
		"an order comes back as it was recorded":               comesBack,
		"every state can be recorded":                          everyState,
		"text that is not UTF-8 keeps no order out":            strangeText,
		"an unknown order is not found":                        notFound,
		"an order is opened once":                              openedOnce,
		"an order keeps out the next of its user":              keepsOutTheNext,
		"a settled order makes room for the next":              makesRoom,
		"a settled order has its place until it is asked":      settledForGood,
		"an order gives way to one that is said to be over it": givesWay,
		"an order keeps out others of its key":                 keepsOutItsKey,
		"an order whose key is cleared frees it":               freesItsKey,
		"the order of the same key comes before the latest":    keyBeforeLatest,
		"of many who open an order for one user, one does":     oneOpens,
		"an order is found by its user":                        found,
		"an order that rests is taken by hand alone":           takenByHand,
		"of many who take an order, one saves it":              oneTakes,
		"orders are listed by state, time and page":            lists,
		"a save needs the order's state and epoch":             needsStateAndEpoch,
		"a save can be repeated when its answer was lost":      repeated,
		"a save after a take-over is fenced":                   fencedByClaim,
		"of many who save from one state, one does":            oneSaves,
		"an order is cancelled before it is opened":            cancelsUnopened,
		"an order is cancelled unless it may be charged":       cancelsOpened,
		"an order is cancelled whoever has taken it over":      cancelsTakenOver,
		"an order is cancelled while it is opened":             cancelsWhileOpened,
		"a claim takes what is due in its lane":                claimsDue,
		"a claim takes those that have waited longest":         claimsLongest,
		"an order is claimed once until it is due again":       claimedOnce,
		"many who claim at a time never get the same":          claimedByOne,
		"a purge deletes what is final and has been kept":      purgesFinal,
		"a purge deletes no more than it is told":              purgesSome,
		"nothing is done for a caller who has left":            callerLeft,
		"a closed store refuses":                               closed,
		"whatever is done, it holds what a map would hold":     likeMap,
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

// Order is an order of that id in the state Charging, with something in every field that it can have by then. It is the
// only one of its user.
func Order(id order.ID) *order.Order {
	return &order.Order{
		ID:       id,
		Epoch:    1,
		State:    order.Charging,
		UserID:   "user of " + string(id),
		Key:      "key of " + string(id),
		Currency: "CHF",
		Email:    "someone@example.com",
		Address:  order.Address{Street: "Bahnhofstraße 1", City: "Zürich", State: "ZH", Country: "Switzerland", ZipCode: "8001"},
		Items: []order.Item{
			{Line: order.Line{ProductID: "OLJCESPC7Z", Quantity: 2}, Cost: amount(101, 960_000_000)},
			{Line: order.Line{ProductID: "66VCHSJNUP", Quantity: 1}, Cost: amount(0, 50_000_000)},
		},
		Shipping: amount(8, 990_000_000),
		Total:    amount(212, 960_000_000),
		History:  []order.HistoryEntry{{At: time.UnixMilli(1_750_000_000_456).UTC(), State: order.Charging}},
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

// of is a copy of o that belongs to a user, and has a key.
func of(o *order.Order, user, key string) *order.Order {
	return with(o, func(o *order.Order) { o.UserID, o.Key = user, key })
}

// How long orders are held.
const (
	held = time.Hour    // not due while the tests run
	due  = -time.Minute // due at once
)

// How long ago a cart was asked for: before all that happens in a test, or after it.
const (
	before = time.Hour
	after  = -time.Hour
)

// ago is when something was that was so long ago.
func ago(age time.Duration) time.Time { return time.Now().Add(-age) }

func mustOpen(t *testing.T, s Store, o *order.Order, hold time.Duration) {
	t.Helper()
	switch conflict, err := s.Open(t.Context(), order.Opening{Order: o, Hold: hold, CartRead: ago(after)}); {
	case err != nil:
		t.Fatal(err)
	case conflict != nil:
		t.Fatalf("Open of %s: %s is in the way", o.ID, conflict.ID)
	}
}

// mustConflict fails unless conflict stands in the way of o.
func mustConflict(t *testing.T, s Store, o *order.Order, age time.Duration, over order.ID, conflict *order.Order) {
	t.Helper()
	got, err := s.Open(t.Context(), order.Opening{Order: o, Hold: held, CartRead: ago(age), Supersede: over})
	if err != nil {
		t.Fatal(err)
	}
	if diff := difference(conflict, got); diff != "" {
		t.Fatalf("what stands in the way of %s differs (-want +got):\n%s", o.ID, diff)
	}
	if _, err := s.Get(t.Context(), o.ID); !errors.Is(err, order.ErrNotFound) {
		t.Fatalf("Get of an order that was not recorded = %v, want %v", err, order.ErrNotFound)
	}
}

// mustFind fails unless want is the user's order of that key or, without one, the latest.
func mustFind(t *testing.T, s Store, user, key string, want order.ID) {
	t.Helper()
	got, err := s.Find(t.Context(), user, key)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != want {
		t.Errorf("the order of user %q and key %q is %s, want %s", user, key, got.ID, want)
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
	return mustClaimOf(t, s, order.ShippingQueue, limit)
}

func mustClaimOf(t *testing.T, s Store, lane order.Queue, limit int) []*order.Order {
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
