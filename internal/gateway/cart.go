package gateway

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
)

// Cart is order.Cart over the shop's cart service.
type Cart struct {
	client  oteldemo.CartServiceClient
	timeout time.Duration
}

var _ order.Cart = (*Cart)(nil)

// NewCart makes a Cart of a connection to the cart service; t.Read bounds a call.
func NewCart(conn grpc.ClientConnInterface, t Timeouts) *Cart {
	return &Cart{oteldemo.NewCartServiceClient(conn), t.Read}
}

// Lines are the lines of the user's cart as they lie there, quantities unchecked. It returns order.ErrImplausible for
// another user's cart and for a line without a product.
func (c *Cart) Lines(ctx context.Context, userID string) ([]order.Line, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	cart, err := c.client.GetCart(ctx, &oteldemo.GetCartRequest{UserId: userID})
	if err != nil {
		return nil, fmt.Errorf("cart: get the cart of user %q: %w", userID, err)
	}
	if other := cart.GetUserId(); other != "" && other != userID { // the demo's service names no user in the cart of an unknown user
		return nil, fmt.Errorf("cart: get the cart of user %q: %w: the cart of user %q", userID, order.ErrImplausible, other)
	}
	lines := make([]order.Line, len(cart.GetItems()))
	for i, item := range cart.GetItems() {
		if err := checkID("product id", item.GetProductId()); err != nil {
			return nil, fmt.Errorf("cart: get the cart of user %q: line %d: %w", userID, i+1, err)
		}
		lines[i] = order.Line{ProductID: item.GetProductId(), Quantity: item.GetQuantity()}
	}
	return lines, nil
}

// Empty empties the user's cart.
func (c *Cart) Empty(ctx context.Context, userID string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if _, err := c.client.EmptyCart(ctx, &oteldemo.EmptyCartRequest{UserId: userID}); err != nil {
		return fmt.Errorf("cart: empty the cart of user %q: %w", userID, err)
	}
	return nil
}
