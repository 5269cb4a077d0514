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

	Orders, Matched, Refunded, Unknown, Parked, Pending, Mismatched int

	Rows []ledgerRow // the first of the orders
}

type ledgerRow struct {
	OrderID string
	demo.Tally
	demo.Result
}

// Tone is that of the result's badge.
func (r ledgerRow) Tone() string {
	switch r.Outcome {
	case demo.Matched, demo.Refunded:
		return "good"
	case demo.Mismatched:
		return "bad"
	case demo.Pending, demo.PaymentUnknown, demo.Parked:
	}
	return "warn"
}

func (s *Storefront) reconcile(ctx context.Context, _ *http.Request) (any, error) {
	ledgers := s.Shop.Ledgers()
	page := reconciliation{KeyedShipping: s.KeyedShipping, Total: ledgers.Total(), Booked: s.Shop.Accounting.Booked()}
	states := s.states(ctx)
	for id, t := range ledgers.Orders {
		row := ledgerRow{id, t, t.Result(states[id])}
		page.count(row.Outcome)
		page.Rows = append(page.Rows, row)
	}
	// What is wrong comes first, then what is open, then the newest: ids begin with the time.
	rank := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortFunc(page.Rows, func(a, b ledgerRow) int {
		return cmp.Or(cmp.Compare(rank[a.Tone()], rank[b.Tone()]), strings.Compare(b.OrderID, a.OrderID))
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

func (p *reconciliation) count(o demo.Outcome) {
	p.Orders++
	*map[demo.Outcome]*int{
		demo.Matched: &p.Matched, demo.Refunded: &p.Refunded, demo.PaymentUnknown: &p.Unknown, demo.Parked: &p.Parked,
		demo.Pending: &p.Pending, demo.Mismatched: &p.Mismatched,
	}[o]++
}
