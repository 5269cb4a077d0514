package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// desk is a Resolver that notes what it is asked for, and says one thing.
type desk struct {
	asked    []decision
	previews int
	order    order.Order
	err      error
}

type decision struct {
	ID         order.ID
	Resolution order.Resolution
}

func (d *desk) Resolve(_ context.Context, id order.ID, r order.Resolution) (*order.Order, error) {
	d.asked = append(d.asked, decision{id, r})
	return &d.order, d.err
}

func (d *desk) Preview(context.Context, order.ID, order.Resolution) (*order.Order, error) {
	d.previews++
	return &d.order, d.err
}

// deciding serves the desk, which knows one order, and another one that was paid.
func deciding(t *testing.T, d *desk) checkoutv1.OrderAdminClient {
	t.Helper()
	client, _ := audited(t, d)
	return client
}

// audited serves the desk, with an audit log.
func audited(t *testing.T, d *desk) (checkoutv1.OrderAdminClient, *ledger) {
	t.Helper()
	s, l := &shelf{}, &ledger{}
	s.put(order.Order{ID: id(1), State: order.InDoubt}, order.Order{ID: id(2), TransactionID: "tx 2", State: order.Completed})
	options := Options{Orders: s, Audit: l, Eraser: erasing(func(string) (int, []order.ID, error) { return 2, nil, nil }), Log: slog.New(slog.DiscardHandler)}
	return checkoutv1.NewOrderAdminClient(reach(t, NewAdminServer(d, health.NewServer(), options))), l
}

func TestADecisionIsMadeAndTheOrderReturned(t *testing.T) {
	t.Parallel()
	d := &desk{order: order.Order{ID: id(1), State: order.Charged}}
	client := deciding(t, d)
	retry := &checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace", Why: "the carrier is back"}
	if got, err := client.RetryOrder(t.Context(), retry); err != nil || got.GetOrderId() != string(id(1)) {
		t.Errorf("%v, %v; want the order", got, err)
	}
	for _, req := range []*checkoutv1.ResolveOrderRequest{
		{Resolution: checkoutv1.ResolveOrderRequest_PAID, TransactionId: "a receipt"},
		{Resolution: checkoutv1.ResolveOrderRequest_NOT_PAID},
		{Resolution: checkoutv1.ResolveOrderRequest_REFUNDED},
		{Resolution: checkoutv1.ResolveOrderRequest_SHIPPED, TrackingId: "a parcel"},
		{Resolution: checkoutv1.ResolveOrderRequest_SKIP, Skip: []string{"email"}},
		{Resolution: checkoutv1.ResolveOrderRequest_SKIP, Skip: []string{"event", "email"}},
	} {
		req.OrderId, req.By, req.Why = string(id(1)), "grace", "asked the bank"
		got, err := client.ResolveOrder(t.Context(), req)
		if diff := cmp.Diff((view{}).message(&d.order), got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	chf, err := money.Parse("CHF 2.50")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CancelOrder(t.Context(), &checkoutv1.CancelOrderRequest{OrderId: string(id(1)), By: "grace", Why: "asked the bank"}); err != nil {
		t.Error(err)
	}
	if _, err := client.RefundOrder(t.Context(), &checkoutv1.RefundOrderRequest{OrderId: string(id(1)), Amount: wire.Money(chf), By: "grace", Why: "asked the bank"}); err != nil {
		t.Error(err)
	}
	want := []decision{{id(1), order.Resolution{Kind: order.Retry, By: "grace", Why: "the carrier is back"}}}
	for _, r := range []order.Resolution{
		{Kind: order.Paid, TransactionID: "a receipt"},
		{Kind: order.NotPaid},
		{Kind: order.PaidBack},
		{Kind: order.Shipped, TrackingID: "a parcel"},
		{Kind: order.SkipDeliveries, Skip: order.EmailSent},
		{Kind: order.SkipDeliveries, Skip: order.EmailSent | order.EventPublished},
		{Kind: order.Cancel},
		{Kind: order.Refund, Amount: chf},
	} {
		r.By, r.Why = "grace", "asked the bank"
		want = append(want, decision{id(1), r})
	}
	if diff := cmp.Diff(want, d.asked, cmp.Comparer(func(a, b money.Amount) bool { return a == b })); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestWhyADecisionIsNotDone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		code   codes.Code
		reason string
		text   string
	}{
		"no order":           {order.ErrNotFound, codes.NotFound, "ORDER_NOT_FOUND", "there is no such order on record"},
		"not at rest":        {fmt.Errorf("%w: it is completed", order.ErrFenced), codes.FailedPrecondition, "ORDER_NOT_AT_REST", "the order does not wait for an operator: it is completed"},
		"just taken":         {fmt.Errorf("take order 1: %w", order.ErrFenced), codes.FailedPrecondition, "ORDER_NOT_AT_REST", "the order does not wait for an operator"},
		"against its record": {fmt.Errorf("%w: the transaction is missing", order.ErrRefused), codes.FailedPrecondition, "DECISION_REFUSED", "this cannot be done to the order: the transaction is missing"},
		"certainly not":      {fmt.Errorf("%w: disk I/O error", order.ErrUnsent), codes.Unavailable, "NOT_RECORDED", "the record of orders is not available; nothing was recorded"},
		"no record":          {errors.New("disk I/O error"), codes.Unavailable, "UNAVAILABLE", "the decision was perhaps not recorded; look at the order, and decide again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := deciding(t, &desk{err: test.err}).RetryOrder(t.Context(), &checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace"})
			wantRefusal(t, err, test.code, test.reason)
			if got := status.Convert(err).Message(); got != test.text {
				t.Errorf("it says %q, want %q", got, test.text)
			}
		})
	}
}

func TestADecisionIsChecked(t *testing.T) {
	t.Parallel()
	d := &desk{}
	client := deciding(t, d)
	const card, address = "4432-8015-6152-0454", "ada@example.com"
	long := strings.Repeat("x", 257)
	resolution := func(is checkoutv1.ResolveOrderRequest_Resolution, change ...func(*checkoutv1.ResolveOrderRequest)) *checkoutv1.ResolveOrderRequest {
		req := &checkoutv1.ResolveOrderRequest{OrderId: string(id(1)), Resolution: is, By: "grace", Why: "asked the bank"}
		for _, c := range change {
			c(req)
		}
		return req
	}
	for _, test := range []struct {
		req    proto.Message
		fields []string
	}{
		{&checkoutv1.RetryOrderRequest{}, []string{"order_id", "by"}},
		{&checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: " "}, []string{"by"}},
		{&checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace\x1b[2J", Why: long}, []string{"by", "why"}},
		{&checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace " + card, Why: card}, []string{"by", "why"}},
		{resolution(0), []string{"resolution"}},
		{resolution(6), []string{"resolution"}},
		{&checkoutv1.ResolveOrderRequest{}, []string{"order_id", "resolution", "by", "why"}},
		{resolution(2, func(r *checkoutv1.ResolveOrderRequest) { r.TransactionId = "t" }), []string{"transaction_id"}},
		{resolution(1, func(r *checkoutv1.ResolveOrderRequest) { r.TransactionId = long }), []string{"transaction_id"}},
		{resolution(1, func(r *checkoutv1.ResolveOrderRequest) { r.TransactionId = card }), []string{"transaction_id"}},
		{resolution(1, func(r *checkoutv1.ResolveOrderRequest) { r.TransactionId = address }), []string{"transaction_id"}},
		{resolution(1, func(r *checkoutv1.ResolveOrderRequest) { r.TrackingId = "t" }), []string{"tracking_id"}},
		{resolution(4, func(r *checkoutv1.ResolveOrderRequest) { r.TrackingId = "of " + address }), []string{"tracking_id"}},
		{resolution(1, func(r *checkoutv1.ResolveOrderRequest) { r.Skip = []string{"email"} }), []string{"skip"}},
		{resolution(4), []string{"tracking_id"}},
		{resolution(4, func(r *checkoutv1.ResolveOrderRequest) { r.TrackingId = card }), []string{"tracking_id"}},
		{resolution(4, func(r *checkoutv1.ResolveOrderRequest) { r.TransactionId, r.TrackingId = "t", "t" }), []string{"transaction_id"}},
		{&checkoutv1.CancelOrderRequest{OrderId: string(id(1))}, []string{"by", "why"}},
		{&checkoutv1.RefundOrderRequest{OrderId: string(id(1)), Amount: &oteldemo.Money{CurrencyCode: "CHF", Units: 1, Nanos: -1}}, []string{"amount", "by", "why"}},
		{resolution(5), []string{"skip"}},
		{resolution(5, func(r *checkoutv1.ResolveOrderRequest) { r.Skip = []string{"email", "cart"} }), []string{"skip[1]"}},
		{resolution(3, func(r *checkoutv1.ResolveOrderRequest) { r.By, r.Why = card, "card "+card }), []string{"by", "why"}},
	} {
		t.Run(fmt.Sprint(test.req), func(t *testing.T) {
			var err error
			switch req := test.req.(type) {
			case *checkoutv1.RetryOrderRequest:
				_, err = client.RetryOrder(t.Context(), req)
			case *checkoutv1.ResolveOrderRequest:
				_, err = client.ResolveOrder(t.Context(), req)
			case *checkoutv1.CancelOrderRequest:
				_, err = client.CancelOrder(t.Context(), req)
			case *checkoutv1.RefundOrderRequest:
				_, err = client.RefundOrder(t.Context(), req)
			}
			wantRefusal(t, err, codes.InvalidArgument, "INVALID_REQUEST", test.fields...)
		})
	}
	if d.asked != nil {
		t.Errorf("%v was done all the same", d.asked)
	}
}

func TestWhoMayDecideIsAMatterOfTheListener(t *testing.T) {
	t.Parallel()
	options := Options{Orders: &shelf{}, Log: slog.New(slog.DiscardHandler)}
	shop, people := reach(t, NewServer(nil, health.NewServer(), options)), reach(t, NewAdminServer(&desk{}, health.NewServer(), options))
	retry := &checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace"}
	if _, err := checkoutv1.NewOrderAdminClient(shop).RetryOrder(t.Context(), retry); status.Code(err) != codes.Unimplemented {
		t.Errorf("the shop's server says %v to a decision, want UNIMPLEMENTED", err)
	}
	if _, err := checkoutv1.NewOrderServiceClient(people).ListOrders(t.Context(), &checkoutv1.ListOrdersRequest{}); err != nil {
		t.Errorf("the people's server says %v to a look, want none", err)
	}
	if _, err := grpc_health_v1.NewHealthClient(people).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("the people's server says %v of its health, want none", err)
	}
	if _, err := oteldemo.NewCheckoutServiceClient(people).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("the people's server says %v to an order, want UNIMPLEMENTED", err)
	}
}
