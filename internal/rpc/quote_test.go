package rpc

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
)

func TestTheExpectedTotalComesFromTheMetadata(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []string
		want   money.Amount
		ok     bool
	}{
		{nil, money.Amount{}, true},
		{[]string{"USD 123.45"}, usd(123, 450_000_000), true},
		{[]string{"USD 123.456"}, money.Amount{}, false},
		{[]string{"123.45"}, money.Amount{}, false},
		{[]string{""}, money.Amount{}, false},
		{[]string{"USD 1", "USD 1"}, money.Amount{}, false},
	} {
		var got order.Request
		conn, _ := serve(t, func(_ context.Context, req order.Request) (*order.Order, error) {
			got = req
			return &order.Order{State: order.Placed, Total: usd(1, 0), Shipping: usd(1, 0)}, nil
		})
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{ExpectedTotalHeader: test.values})
		_, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{UserId: "ada"})
		if test.ok {
			if err != nil || got.Expected != test.want {
				t.Errorf("%q: expected %v, %v; want %v", test.values, got.Expected, err, test.want)
			}
			continue
		}
		var field string
		for _, detail := range status.Convert(err).Details() {
			if bad, ok := detail.(*errdetails.BadRequest); ok {
				field = bad.GetFieldViolations()[0].GetField()
			}
		}
		if status.Code(err) != codes.InvalidArgument || field != ExpectedTotalHeader || got.UserID != "" {
			t.Errorf("%q: %v, which names %q; want INVALID_ARGUMENT naming %s", test.values, err, field, ExpectedTotalHeader)
		}
	}
}

func TestANewTotalIsShown(t *testing.T) {
	t.Parallel()
	err := answer(&order.Error{Kind: order.ErrPriceChanged, Total: usd(130, 0)})
	info, _ := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
	if want := map[string]string{"money_moved": "no", "safe_to_retry": "true", "total": "USD 130.00"}; !cmp.Equal(info.GetMetadata(), want) {
		t.Errorf("told %v, want %v", info.GetMetadata(), want)
	}
}

// quoting is a Quoter that is one function.
type quoting func(req order.Request) (*order.Order, error)

func (q quoting) Quote(_ context.Context, req order.Request) (*order.Order, error) { return q(req) }

func TestACartIsQuoted(t *testing.T) {
	t.Parallel()
	failing := false
	conn := reach(t, NewServer(placing(nil), health.NewServer(), Options{
		Deadline: time.Minute, Log: slog.New(slog.DiscardHandler),
		Quoter: quoting(func(req order.Request) (*order.Order, error) {
			if failing {
				return nil, &order.Error{Kind: order.ErrEmptyCart, Step: order.StepCart}
			}
			if want := (order.Request{UserID: "ada", Currency: "USD", Address: order.Address{City: "SF"}}); !cmp.Equal(req.Address, want.Address) || req.UserID != want.UserID || req.Currency != want.Currency {
				t.Errorf("asked for %+v, want %+v", req, want)
			}
			return &order.Order{Total: usd(9, 390_000_000), Shipping: usd(8, 990_000_000), Items: []order.Item{{Line: order.Line{ProductID: "lens", Quantity: 2}, Cost: usd(0, 200_000_000)}}}, nil
		}),
	}))
	client := checkoutv1.NewQuoteServiceClient(conn)
	request := &checkoutv1.QuoteRequest{UserId: "ada", UserCurrency: "USD", Address: &oteldemo.Address{City: "SF"}}
	got, err := client.Quote(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	want := &checkoutv1.QuoteResponse{
		Items: []*oteldemo.OrderItem{{
			Item: &oteldemo.CartItem{ProductId: "lens", Quantity: 2}, Cost: &oteldemo.Money{CurrencyCode: "USD", Nanos: 200_000_000},
		}},
		ShippingCost:  &oteldemo.Money{CurrencyCode: "USD", Units: 8, Nanos: 990_000_000},
		Total:         &oteldemo.Money{CurrencyCode: "USD", Units: 9, Nanos: 390_000_000},
		ExpectedTotal: "USD 9.39",
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("quoted (-want +got):\n%s", diff)
	}
	failing = true
	if _, err := client.Quote(t.Context(), request); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an empty cart: %v", err)
	}
}
