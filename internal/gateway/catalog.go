package gateway

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/pricing"
	"checkout/internal/wire"
)

// usd is the currency of the catalogue and of the shipping service.
const usd = "USD"

// Catalog is pricing.Catalog over the shop's product catalogue.
type Catalog struct {
	client  oteldemo.ProductCatalogServiceClient
	timeout time.Duration
}

var _ pricing.Catalog = (*Catalog)(nil)

// NewCatalog makes a Catalog of a connection to the product catalogue; t.Read bounds a call.
func NewCatalog(conn grpc.ClientConnInterface, t Timeouts) *Catalog {
	return &Catalog{oteldemo.NewProductCatalogServiceClient(conn), t.Read}
}

// Product is the product of that id, with its price in US dollars. It returns order.ErrUnknownProduct, and
// order.ErrImplausible for another product and for a price that is none.
func (c *Catalog) Product(ctx context.Context, id string) (pricing.Product, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	reply, err := c.client.GetProduct(ctx, &oteldemo.GetProductRequest{Id: id})
	if status.Code(err) == codes.NotFound {
		return pricing.Product{}, fmt.Errorf("catalog: get product %q: %w: %w", id, order.ErrUnknownProduct, err)
	}
	if err != nil {
		return pricing.Product{}, fmt.Errorf("catalog: get product %q: %w", id, err)
	}
	product, err := product(id, reply)
	if err != nil {
		return pricing.Product{}, fmt.Errorf("catalog: get product %q: %w", id, err)
	}
	return product, nil
}

// product checks the catalogue's answer to the question for id.
func product(id string, reply *oteldemo.Product) (pricing.Product, error) {
	if reply.GetId() != id {
		return pricing.Product{}, fmt.Errorf("%w: product %q", order.ErrImplausible, reply.GetId())
	}
	price, err := wire.Amount(reply.GetPriceUsd())
	switch {
	case err != nil:
		return pricing.Product{}, fmt.Errorf("%w: price: %w", order.ErrImplausible, err)
	case price.Currency() != usd:
		return pricing.Product{}, fmt.Errorf("%w: a price in %q", order.ErrImplausible, price.Currency())
	case price.Sign() < 0: // a free product is the order's to judge
		return pricing.Product{}, fmt.Errorf("%w: a price of %s", order.ErrImplausible, price)
	}
	return pricing.Product{ID: id, Price: price}, nil
}
