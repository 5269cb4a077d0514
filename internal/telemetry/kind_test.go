package telemetry

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
)

// What the order says of a failure is more than gRPC's code: PlaceOrder's span has it, RPCs are counted by gRPC's.
func TestTheKindOfAFailedOrderIsTheOrdersOwn(t *testing.T) {
	t.Parallel()
	for kind, test := range map[order.Kind]struct {
		code codes.Code
		want string
	}{
		order.ErrUnavailable:        {codes.Unavailable, "unavailable"},
		order.ErrPaymentUnreachable: {codes.Unavailable, "payment_unreachable"},
		order.ErrInternal:           {codes.Internal, other},
		order.ErrDeclined:           {codes.FailedPrecondition, "card_declined"},
		order.ErrEmptyCart:          {codes.FailedPrecondition, "cart_empty"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := record(t, stableRPC())
			placer := r.Placer(placeFunc(func(context.Context, order.Request) (*order.Order, error) {
				return nil, &order.Error{Kind: kind, Err: errors.New("this is why")}
			}))
			client := r.checkout(t, func(ctx context.Context) error {
				_, err := placer.Place(ctx, request())
				if !errors.Is(err, kind) {
					return err
				}
				return status.Error(test.code, "no order")
			})
			if _, err := client.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); status.Code(err) != test.code {
				t.Fatalf("got %v, want %v", err, test.code)
			}
			r.waitFor(t, 2)
			span := describe(r.span(t, "server oteldemo.CheckoutService/PlaceOrder"))
			for _, want := range []string{"error.type=" + test.want + "\n", "rpc.response.status_code=" + codeName(test.code) + "\n"} {
				if !strings.Contains(span, want) {
					t.Errorf("the span has no %s:\n%s", want, span)
				}
			}
			if strings.Contains(span, "no order") {
				t.Errorf("the span's status is gRPC's, and not the order's:\n%s", span)
			}
			metrics := r.metrics(t)
			if blamed := test.code != codes.FailedPrecondition; strings.Contains(metrics["rpc.server.call.duration"], "error.type="+codeName(test.code)) != blamed {
				t.Errorf("the RPC is counted as gRPC's error: %t is wrong:\n%s", !blamed, metrics["rpc.server.call.duration"])
			}
			if !strings.Contains(metrics[metricOrders], "1\n  string checkout.order.outcome="+string(failureOf(kind).outcome)+"\n  string error.type="+test.want) {
				t.Errorf("the order is not counted as %s:\n%s", test.want, metrics[metricOrders])
			}
		})
	}
}
