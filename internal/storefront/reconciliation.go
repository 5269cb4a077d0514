package storefront

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
)

// event is a record of the topic, decoded.
type event struct {
	demo.Event

	JSON string // its value; empty when it is no order
}

func (s *Storefront) lookAtEvents(context.Context, *http.Request) (any, error) {
	var events []event
	for _, e := range newest(s.Shop.Accounting.Events()) {
		one := event{Event: e}
		if e.Order != nil {
			one.JSON = protojson.MarshalOptions{Multiline: true, Indent: "  "}.Format(e.Order)
		}
		events = append(events, one)
	}
	return fitting(events, func(e event) string { return e.JSON }), nil
}

// comparedStates is of how many orders in states of one kind checkout is asked.
const comparedStates = 500

// reconciliation compares the ledgers of the other services, and what they say with checkout's record.
type reconciliation struct {
	KeyedShipping bool

	Total  demo.Tally
	Booked int

	Orders, Matching, Refunded, Unknown, Parked, Open, Wrong int

	Rows []ledgerRow // the first of the orders
}

type ledgerRow struct {
	OrderID string
	demo.Tally
	verdict
}

// verdict is what the ledgers say about an order.
type verdict struct{ Words, Tone string }

// The verdicts that are counted apart.
const (
	refunded       = "refunded"
	paymentUnknown = "payment unknown"
	parked         = "paid, parked"
)

func (s *Storefront) reconcile(ctx context.Context, _ *http.Request) (any, error) {
	booked, err := s.Shop.Accounting.Booked(ctx)
	if err != nil {
		return nil, err
	}
	ledgers := s.Shop.Ledgers()
	page := reconciliation{KeyedShipping: s.KeyedShipping, Total: ledgers.Total(), Booked: booked}
	states := s.states(ctx)
	for id, t := range ledgers.Orders {
		row := ledgerRow{id, t, judge(t, states[id])}
		page.count(row.verdict)
		page.Rows = append(page.Rows, row)
	}
	// What is wrong comes first, then what is open, then the newest: ids begin with the time.
	rank := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortFunc(page.Rows, func(a, b ledgerRow) int {
		return cmp.Or(cmp.Compare(rank[a.Tone], rank[b.Tone]), strings.Compare(b.OrderID, a.OrderID))
	})
	page.Rows = page.Rows[:min(len(page.Rows), listed)]
	return page, nil
}

// states are the states of the orders that may not be shipped although they were charged, as far as checkout reports them.
func (s *Storefront) states(ctx context.Context) map[string]checkoutv1.OrderState {
	states := make(map[string]checkoutv1.OrderState)
	for _, kind := range [][]checkoutv1.OrderState{
		{checkoutv1.OrderState_IN_DOUBT, checkoutv1.OrderState_PARKED},
		{checkoutv1.OrderState_CANCELLED, checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_REFUNDED},
	} {
		orders, _, _ := s.list(ctx, comparedStates, kind...) // without them the ledgers are compared alone
		for _, o := range orders {
			states[o.GetOrderId()] = o.GetState()
		}
	}
	return states
}

func (p *reconciliation) count(v verdict) {
	p.Orders++
	switch {
	case v.Tone == "bad":
		p.Wrong++
	case v.Words == paymentUnknown:
		p.Unknown++
	case v.Words == parked:
		p.Parked++
	case v.Tone == "warn":
		p.Open++
	case v.Words == refunded:
		p.Refunded++
	default:
		p.Matching++
	}
}

// judge reports whether an order's entries are as they should be (good), may become so (warn), or never can (bad). state is
// that on record, if it is known.
func judge(t demo.Tally, state checkoutv1.OrderState) verdict {
	told := t.Emails+t.Events > 0
	switch {
	case t.Net() > 1:
		return verdict{"charged more than once", "bad"}
	case t.Net() < 1 && t.Parcels > 0:
		return verdict{"shipped, not paid", "bad"}
	case t.Parcels > 1:
		return verdict{"shipped more than once", "bad"}
	case t.Charges == 0 && told:
		return verdict{"confirmed, never charged", "bad"}
	case t.Net() < 1 && told:
		return verdict{"confirmed, and refunded", "bad"}
	case t.Net() < 1:
		return verdict{refunded, "good"}
	case t.Parcels == 0:
		return judgePaid(state)
	case t.Emails == 0 || t.Events == 0:
		return verdict{"shipped; e-mail or event pending", "warn"}
	case t.Emails > 1 || t.Events > 1:
		return verdict{"matches; confirmed more than once", "good"}
	}
	return verdict{"matches", "good"}
}

// judgePaid is judge for an order that is paid and not shipped.
func judgePaid(state checkoutv1.OrderState) verdict {
	switch state {
	case checkoutv1.OrderState_CANCELLED, checkoutv1.OrderState_DECLINED:
		return verdict{"charged, but " + stateName(state), "bad"}
	case checkoutv1.OrderState_REFUNDED: // an operator says so; the ledger of a basic payment service cannot
		return verdict{refunded, "good"}
	case checkoutv1.OrderState_IN_DOUBT:
		return verdict{paymentUnknown, "warn"}
	case checkoutv1.OrderState_PARKED:
		return verdict{parked, "warn"}
	default:
		return verdict{"paid, not shipped yet", "warn"}
	}
}
