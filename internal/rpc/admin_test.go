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
	"checkout/internal/order"
)

// desk is a Resolver that notes what it is asked for, and says one thing.
type desk struct {
	asked []decision
	order order.Order
	err   error
}

type decision struct {
	ID         order.ID
	Resolution order.Resolution // none: try again
	Note       order.Note
}

func (d *desk) Retry(_ context.Context, id order.ID, note order.Note) (*order.Order, error) {
	return d.Resolve(nil, id, order.Resolution{}, note) //nolint:staticcheck // it is not looked at
}

func (d *desk) Resolve(_ context.Context, id order.ID, r order.Resolution, note order.Note) (*order.Order, error) {
	d.asked = append(d.asked, decision{id, r, note})
	return &d.order, d.err
}

// deciding serves the desk.
func deciding(t *testing.T, d *desk) checkoutv1.OrderAdminClient {
	t.Helper()
	return checkoutv1.NewOrderAdminClient(reach(t, NewAdminServer(d, health.NewServer(), Options{Log: slog.New(slog.DiscardHandler)})))
}

func TestADecisionIsDoneAndTheOrderTold(t *testing.T) {
	t.Parallel()
	d := &desk{order: order.Order{ID: id(1), State: order.Charged}}
	client := deciding(t, d)
	resolve := func(r checkoutv1.ResolveOrderRequest_Resolution, transaction string) (*checkoutv1.Order, error) {
		return client.ResolveOrder(t.Context(), &checkoutv1.ResolveOrderRequest{OrderId: string(id(1)), Resolution: r, TransactionId: transaction, By: "grace", Why: "asked the bank"})
	}
	for _, act := range []func() (*checkoutv1.Order, error){
		func() (*checkoutv1.Order, error) {
			return client.RetryOrder(t.Context(), &checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace", Why: "the carrier is back"})
		},
		func() (*checkoutv1.Order, error) { return resolve(checkoutv1.ResolveOrderRequest_PAID, "a receipt") },
		func() (*checkoutv1.Order, error) { return resolve(checkoutv1.ResolveOrderRequest_NOT_PAID, "") },
		func() (*checkoutv1.Order, error) { return resolve(checkoutv1.ResolveOrderRequest_REFUNDED, "") },
	} {
		got, err := act()
		if diff := cmp.Diff((view{}).message(&d.order), got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	bank := order.Note{By: "grace", Why: "asked the bank"}
	want := []decision{
		{id(1), order.Resolution{}, order.Note{By: "grace", Why: "the carrier is back"}},
		{id(1), order.Resolution{Verdict: order.Paid, TransactionID: "a receipt"}, bank},
		{id(1), order.Resolution{Verdict: order.NotPaid}, bank},
		{id(1), order.Resolution{Verdict: order.PaidBack}, bank},
	}
	if diff := cmp.Diff(want, d.asked); diff != "" {
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
		"not at rest":        {fmt.Errorf("%w: it is completed", order.ErrFenced), codes.FailedPrecondition, "ORDER_NOT_AT_REST", "the order does not wait for a person: it is completed"},
		"just taken":         {fmt.Errorf("take order 1: %w", order.ErrFenced), codes.FailedPrecondition, "ORDER_NOT_AT_REST", "the order does not wait for a person"},
		"against its record": {fmt.Errorf("%w: the transaction is missing", order.ErrRefused), codes.FailedPrecondition, "DECISION_REFUSED", "this cannot be done to the order: the transaction is missing"},
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
	long := strings.Repeat("x", 257)
	for _, test := range []struct {
		req    proto.Message
		fields []string
	}{
		{&checkoutv1.RetryOrderRequest{}, []string{"order_id", "by"}},
		{&checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: " "}, []string{"by"}},
		{&checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace\x1b[2J", Why: long}, []string{"by", "why"}},
		{&checkoutv1.ResolveOrderRequest{}, []string{"order_id", "resolution", "by", "why"}},
		{&checkoutv1.ResolveOrderRequest{OrderId: string(id(1)), Resolution: 4, By: "grace", Why: "so"}, []string{"resolution"}},
		{&checkoutv1.ResolveOrderRequest{OrderId: string(id(1)), Resolution: 2, TransactionId: "t", By: "grace", Why: "so"}, []string{"transaction_id"}},
		{&checkoutv1.ResolveOrderRequest{OrderId: string(id(1)), Resolution: 1, TransactionId: long, By: "grace", Why: "so"}, []string{"transaction_id"}},
	} {
		t.Run(fmt.Sprint(test.req), func(t *testing.T) {
			var err error
			switch req := test.req.(type) {
			case *checkoutv1.RetryOrderRequest:
				_, err = client.RetryOrder(t.Context(), req)
			case *checkoutv1.ResolveOrderRequest:
				_, err = client.ResolveOrder(t.Context(), req)
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
