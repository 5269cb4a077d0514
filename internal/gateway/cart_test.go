package gateway

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

// cartOf is a Cart whose service answers every GetCart like this.
func cartOf(t *testing.T, reply *oteldemo.Cart, err error) *Cart {
	t.Helper()
	return NewCart(dial(t, nettest.ServeGRPC(t, cartService{
		get: func(context.Context, *oteldemo.GetCartRequest) (*oteldemo.Cart, error) { return reply, err },
	}.register)), patient)
}

func TestCartLinesAreAsTheyLieInTheCart(t *testing.T) {
	t.Parallel()
	cart := cartOf(t, &oteldemo.Cart{UserId: "ann", Items: []*oteldemo.CartItem{
		{ProductId: "OLJCESPC7Z", Quantity: 2},
		{ProductId: "66VCHSJNUP", Quantity: -1}, // order judges quantities
	}}, nil)
	got, err := cart.Lines(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	want := []order.Line{{ProductID: "OLJCESPC7Z", Quantity: 2}, {ProductID: "66VCHSJNUP", Quantity: -1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestCartOfAnUnknownUserIsEmpty(t *testing.T) {
	t.Parallel()
	lines, err := cartOf(t, &oteldemo.Cart{}, nil).Lines(t.Context(), "nobody")
	if len(lines) != 0 || err != nil {
		t.Errorf("lines are %v, %v; want none", lines, err)
	}
}

func TestCartThatCannotBeIsImplausible(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]*oteldemo.Cart{
		"somebody else's":        {UserId: "bob"},
		"a line without product": {UserId: "ann", Items: []*oteldemo.CartItem{{Quantity: 1}}},
		"an empty line":          {UserId: "ann", Items: []*oteldemo.CartItem{{}}},
		"an endless product id":  {UserId: "ann", Items: []*oteldemo.CartItem{{ProductId: strings.Repeat("x", 257)}}},
		"a product id of two lines": {UserId: "ann", Items: []*oteldemo.CartItem{
			{ProductId: "X", Quantity: 1},
			{ProductId: "A\nB", Quantity: 1},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := cartOf(t, reply, nil).Lines(t.Context(), "ann")
			wantError(t, err, order.ErrImplausible, "cart: ", `"ann"`)
		})
	}
}

func TestCartFailureMayPass(t *testing.T) {
	t.Parallel()
	_, err := cartOf(t, nil, status.Error(codes.FailedPrecondition, "no storage")).Lines(t.Context(), "ann")
	wantPassing(t, err, "cart: ", `"ann"`, "no storage")
}

func TestCartIsEmptiedForTheUser(t *testing.T) {
	t.Parallel()
	emptied := make(chan string, 1)
	cart := NewCart(dial(t, nettest.ServeGRPC(t, cartService{
		empty: func(_ context.Context, r *oteldemo.EmptyCartRequest) (*oteldemo.Empty, error) {
			emptied <- r.GetUserId()
			return &oteldemo.Empty{}, nil
		},
	}.register)), patient)
	if err := cart.Empty(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if got := <-emptied; got != "ann" {
		t.Errorf("emptied the cart of %q, want ann's", got)
	}
}
