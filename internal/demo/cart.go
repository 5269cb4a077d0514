package demo

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
)

// Cart keeps what users want to buy. Lines of one product are merged, quantities are not checked, and a user whom it
// does not know has an empty cart: all as in the stock shop.
type Cart struct {
	*Server
	oteldemo.UnimplementedCartServiceServer

	mu     sync.Mutex
	carts  map[string][]*oteldemo.CartItem
	supply func(userID string) (items []*oteldemo.CartItem, endless bool)
}

func newCart(n *Server) (*Cart, func() error) {
	c := &Cart{Server: n, carts: make(map[string][]*oteldemo.CartItem)}
	return c, n.serveGRPC(func(r grpc.ServiceRegistrar) { oteldemo.RegisterCartServiceServer(r, c) })
}

// Put adds a product to a user's cart without a call over the wire.
func (c *Cart) Put(userID, productID string, quantity int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, item := range c.carts[userID] {
		if item.GetProductId() == productID {
			item.Quantity += quantity
			return
		}
	}
	c.carts[userID] = append(c.carts[userID], &oteldemo.CartItem{ProductId: productID, Quantity: quantity})
}

// Supply makes carts of their own accord: for a user of whom it knows nothing yet the cart holds what fill returns, until
// it is emptied; for good, if it is endless. A load of any number of users then needs no carts that are filled beforehand.
func (c *Cart) Supply(fill func(userID string) (items []*oteldemo.CartItem, endless bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.supply = fill
}

// Items is what a user's cart holds.
func (c *Cart) Items(userID string) []*oteldemo.CartItem {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.carts[userID]
	if !ok && c.supply != nil {
		known, _ = c.supply(userID)
	}
	var items []*oteldemo.CartItem
	for _, item := range known {
		items = append(items, proto.CloneOf(item))
	}
	return items
}

// AddItem implements oteldemo.CartServiceServer.
func (c *Cart) AddItem(_ context.Context, req *oteldemo.AddItemRequest) (*oteldemo.Empty, error) {
	c.Put(req.GetUserId(), req.GetItem().GetProductId(), req.GetItem().GetQuantity())
	return &oteldemo.Empty{}, nil
}

// GetCart implements oteldemo.CartServiceServer.
func (c *Cart) GetCart(_ context.Context, req *oteldemo.GetCartRequest) (*oteldemo.Cart, error) {
	return &oteldemo.Cart{UserId: req.GetUserId(), Items: c.Items(req.GetUserId())}, nil
}

// EmptyCart implements oteldemo.CartServiceServer.
func (c *Cart) EmptyCart(_ context.Context, req *oteldemo.EmptyCartRequest) (*oteldemo.Empty, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.carts, req.GetUserId())
	if c.supply != nil {
		if _, endless := c.supply(req.GetUserId()); !endless {
			c.carts[req.GetUserId()] = nil // known, and empty
		}
	}
	return &oteldemo.Empty{}, nil
}
