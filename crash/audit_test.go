package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/process"
)

// at is a moment, so many seconds after the beginning.
func at(seconds int) time.Time {
	return time.Date(2026, time.May, 1, 12, 0, seconds, 0, time.UTC)
}

func dollars(n int64) *oteldemo.Money { return &oteldemo.Money{CurrencyCode: "USD", Units: n} }

// bought is a purchase of ann's that went well, as order "a", from second 10 to 20. A process was killed in second 15.
func bought() *observed {
	return &observed{
		attempts: 3,
		purchases: []*purchase{{
			user: "ann", number: 1, began: at(10), ended: at(20),
			answers: []answer{{code: codes.OK, orderID: "a"}},
		}},
		entries: map[string]*entry{"a": {
			charges: []demo.Charge{{Amount: dollars(30), At: at(11)}},
			parcels: []demo.Parcel{parcel("ann", 12)},
			emails:  1, events: 1,
		}},
		record: map[string]*checkoutv1.Order{"a": recorded("a", 1, checkoutv1.OrderState_COMPLETED)},
		kills:  []kill{{at(15), at(15)}},
		full:   map[string]bool{},
	}
}

// parcel is that of a user's first purchase.
func parcel(user string, second int) demo.Parcel {
	return demo.Parcel{Address: &oteldemo.Address{StreetAddress: user}, Items: []*oteldemo.CartItem{{ProductId: "lens", Quantity: 1}}, At: at(second)}
}

// recorded is what is on record of a purchase of ann's.
func recorded(id string, number int32, state checkoutv1.OrderState) *checkoutv1.Order {
	return &checkoutv1.Order{
		OrderId: id, UserId: "ann", State: state, ShipAttempts: 1, Total: dollars(30), Created: timestamppb.New(at(10)), Changed: timestamppb.New(at(13)),
		Items: []*oteldemo.OrderItem{{Item: &oteldemo.CartItem{ProductId: "lens", Quantity: number}}},
	}
}

// undecided loses the answer to the charge.
func undecided(e *observed) {
	e.record["a"].State = checkoutv1.OrderState_IN_DOUBT
	e.entries["a"] = &entry{charges: e.entries["a"].charges}
	e.purchases[0].answers = []answer{{code: codes.Aborted, reason: "PAYMENT_UNKNOWN", moved: "unknown"}}
}

// parked makes the purchase one that may have been shipped, after so many attempts.
func parked(e *observed, attempts int32) {
	e.record["a"].State, e.record["a"].ShipAttempts = checkoutv1.OrderState_PARKED, attempts
	e.entries["a"].emails, e.entries["a"].events = 0, 0
}

func TestCorrectOrdersAreNoViolations(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*observed){
		"bought":                       func(*observed) {},
		"confirmed twice":              func(e *observed) { e.entries["a"].emails, e.entries["a"].events = 2, 3 },
		"answered twice with an order": func(e *observed) { e.purchases[0].answers = append(e.purchases[0].answers, e.purchases[0].answers[0]) },
		"a parcel for each attempt": func(e *observed) {
			e.entries["a"].parcels = append(e.entries["a"].parcels, parcel("ann", 16), parcel("ann", 17))
			e.record["a"].ShipAttempts = 3
		},
		"parked after all attempts, and shipped":     func(e *observed) { parked(e, 3) },
		"parked after all attempts, and not shipped": func(e *observed) { parked(e, 3); e.entries["a"].parcels = nil },
		"in doubt since a kill, and paid":            undecided,
		"in doubt since a kill, and not paid":        func(e *observed) { undecided(e); delete(e.entries, "a") },
		"in doubt, and the cart full":                func(e *observed) { undecided(e); e.full["ann"] = true },
		"completed too late to touch the cart": func(e *observed) {
			e.full["ann"], e.record["a"].Changed = true, timestamppb.New(at(71))
		},
		"refunded, and bought again": func(e *observed) {
			e.keyed = true
			e.record["b"] = recorded("b", 1, checkoutv1.OrderState_CANCELLED)
			e.entries["b"] = &entry{charges: []demo.Charge{{Amount: dollars(30), Reversed: at(13)}}}
		},
		"a later purchase has filled the cart": func(e *observed) {
			undecided(e)
			e.purchases[0].number, e.full["ann"] = 2, true
			e.record["a"] = recorded("a", 2, checkoutv1.OrderState_IN_DOUBT)
			first := bought()
			first.purchases[0].answers[0].orderID = "b"
			e.purchases = append(e.purchases, first.purchases...)
			e.entries["b"], e.record["b"] = first.entries["a"], recorded("b", 1, checkoutv1.OrderState_COMPLETED)
		},
	} {
		e := bought()
		change(e)
		if found := e.audit(); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestEveryViolationIsFound(t *testing.T) {
	t.Parallel()
	const ann, a = "purchase 1 of ann: ", "order a: "
	for name, test := range map[string]struct {
		change func(*observed)
		want   []string
	}{
		"charged twice for one order": {
			func(e *observed) {
				e.entries["a"].charges = append(e.entries["a"].charges, e.entries["a"].charges[0])
			},
			[]string{a + "charged 2 times", a + "completed, with 2", ann + "answered with order a, which is not", ann + "paid 2 times"},
		},
		"charged twice for one purchase": {
			func(e *observed) {
				e.entries["b"] = &entry{charges: e.entries["a"].charges, parcels: e.entries["a"].parcels, emails: 1, events: 1}
				e.record["b"] = recorded("b", 1, checkoutv1.OrderState_COMPLETED)
			},
			[]string{ann + "paid 2 times, with the orders [a b]"},
		},
		"charged something else": {
			func(e *observed) { e.entries["a"].charges[0].Amount = dollars(31) },
			[]string{a + "charged currency_code"},
		},
		"charged without an order id": {
			func(e *observed) { e.entries[""] = &entry{charges: e.entries["a"].charges} },
			[]string{"without an order id: is on no record", "without an order id: paid and lost"},
		},
		"charged, and forgotten": {
			func(e *observed) { delete(e.record, "a"); e.entries["a"].parcels = nil },
			[]string{a + "confirmed, and not shipped", a + "is on no record", a + "paid and lost", ann + "answered with order a, which is on no record"},
		},
		"charged, and cancelled": {
			func(e *observed) { undecided(e); e.record["a"].State = checkoutv1.OrderState_CANCELLED },
			[]string{a + "cancelled, with 1 charges", a + "paid and lost"},
		},
		"charged, and answered that nothing had moved": {
			func(e *observed) {
				undecided(e)
				e.purchases[0].answers[0] = answer{code: codes.FailedPrecondition, reason: "CART_EMPTY", moved: "no"}
			},
			[]string{ann + "answered that no money has moved"},
		},
		"refused without reason": {
			func(e *observed) {
				e.purchases[0].answers = []answer{{code: codes.FailedPrecondition, reason: "CART_EMPTY", moved: "no"}}
				e.entries, e.record = nil, nil
			},
			[]string{ann + "refused without reason"},
		},
		"never answered": {
			func(e *observed) { e.purchases[0].answers = []answer{{code: codes.Unavailable, tries: 7}} },
			[]string{ann + "no answer after 7 tries"},
		},
		"answered with two orders": {
			func(e *observed) {
				e.purchases[0].answers = append(e.purchases[0].answers, answer{code: codes.OK, orderID: "b"})
			},
			[]string{ann + "answered with order b, which is on no record", ann + "answered with two orders, a and b"},
		},
		"answered with another purchase's order": {
			func(e *observed) { e.purchases[0].number = 2 },
			[]string{"purchase 2 of ann: answered with order a, which is purchase 1 of ann"},
		},
		"never shipped": {
			func(e *observed) {
				e.record["a"].State, e.entries["a"] = checkoutv1.OrderState_CHARGED, &entry{charges: e.entries["a"].charges}
			},
			[]string{a + "not settled: it is charged", a + "paid and lost", ann + "answered with order a, which is not"},
		},
		"shipped for nothing": {
			func(e *observed) { e.entries["a"].charges[0].Reversed = at(13) },
			[]string{a + "completed, with 0", a + "shipped and not paid", ann + "answered with order a, which is not"},
		},
		"shipped to somebody else": {
			func(e *observed) { e.entries["a"].parcels[0] = parcel("bob", 12) },
			[]string{a + "its parcel is that of purchase 1 of bob"},
		},
		"shipped more often than is on record": {
			func(e *observed) { e.entries["a"].parcels = append(e.entries["a"].parcels, parcel("ann", 14)) },
			[]string{a + "shipped 2 times, and 1 attempts are on record"},
		},
		"shipped more often than it may be": {
			func(e *observed) {
				e.attempts, e.record["a"].ShipAttempts = 1, 2
				e.entries["a"].parcels = append(e.entries["a"].parcels, parcel("ann", 14))
			},
			[]string{a + "shipped 2 times, and not 1 at most"},
		},
		"parked too soon": {
			func(e *observed) { parked(e, 2) },
			[]string{a + "parked after 2 attempts to ship it, and not 3"},
		},
		"parked where the shipping service honours keys": {
			func(e *observed) { parked(e, 0); e.attempts = 0 },
			[]string{a + "parked, though"},
		},
		"parked, and not paid for": {
			func(e *observed) { parked(e, 3); e.entries["a"] = &entry{} },
			[]string{a + "parked, with 0 charges", ann + "answered with order a, which is not"},
		},
		"shipped twice by a carrier that honours keys": {
			func(e *observed) {
				e.attempts = 0
				e.entries["a"].parcels = append(e.entries["a"].parcels, parcel("ann", 16))
			},
			[]string{a + "shipped 2 times, and not 1 at most"},
		},
		"the e-mail lost": {
			func(e *observed) { e.entries["a"].emails = 0 },
			[]string{a + "completed, with", a + "shipped, and its e-mail was lost", ann + "answered with order a, which is not"},
		},
		"the event lost": {
			func(e *observed) { e.entries["a"].events = 0 },
			[]string{a + "completed, with", a + "shipped, and its event was lost", ann + "answered with order a, which is not"},
		},
		"the event is not the same each time": {
			func(e *observed) { e.differing, e.rejected = 1, 2 },
			[]string{"accounting: 1 events differ", "accounting: 2 events could not"},
		},
		"the cart left full": {
			func(e *observed) { e.full["ann"] = true },
			[]string{ann + "placed, and the cart is still full"},
		},
		"in doubt, and no process was killed": {
			func(e *observed) { undecided(e); e.kills[0] = kill{at(21), at(22)} },
			[]string{a + "in doubt, and no process was killed"},
		},
		"in doubt where the payment service can be asked": {
			func(e *observed) { undecided(e); e.keyed = true },
			[]string{a + "in doubt, though", ann + "no answer after 0 tries"},
		},
		"in doubt, and shipped": {
			func(e *observed) { e.record["a"].State = checkoutv1.OrderState_IN_DOUBT },
			[]string{a + "in doubt, and shipped"},
		},
	} {
		e := bought()
		test.change(e)
		if diff := cmp.Diff(test.want, beginnings(e.audit(), test.want)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// beginnings are the violations' texts, cut to the length of those that are wanted.
func beginnings(found []violation, want []string) []string {
	var texts []string
	for i, v := range found {
		text := v.String()
		if i < len(want) && strings.HasPrefix(text, want[i]) {
			text = want[i]
		}
		texts = append(texts, text)
	}
	return texts
}

func TestAnOrderThatWaitsTooLongIsNamed(t *testing.T) {
	t.Parallel()
	r := &result{recoveries: []recovery{{"a", time.Second}, {"b", time.Second + 1}}, recoveryLimit: time.Second}
	if late := r.late(); len(late) != 1 || late[0].subject != "order b" {
		t.Errorf("late: %v, want order b alone", late)
	}
}

func TestTheSlopeIsThatOfTheBestLine(t *testing.T) {
	t.Parallel()
	var growing []sample
	for minute, size := range []int64{10, 12, 11, 13} {
		growing = append(growing, sample{at: at(60 * minute), usage: process.Usage{RSS: size << 20}})
	}
	if got, want := slope(growing), 0.8; got < want-1e-9 || got > want+1e-9 {
		t.Errorf("slope %v MiB a minute, want %v", got, want)
	}
	if got := slope(growing[:1]); got != 0 {
		t.Errorf("slope of one sample: %v, want 0", got)
	}
}
