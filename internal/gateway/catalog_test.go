package gateway

import (
	"context"
	"math"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/pricing"
	"checkout/internal/test/nettest"
)

func catalogOf(t *testing.T, reply *oteldemo.Product, err error) *Catalog {
	t.Helper()
	return NewCatalog(dial(t, nettest.ServeGRPC(t, catalogService{
		get: func(context.Context, *oteldemo.GetProductRequest) (*oteldemo.Product, error) { return reply, err },
	}.register)), patient)
}

func TestProductHasItsPrice(t *testing.T) {
	t.Parallel()
	catalog := catalogOf(t, &oteldemo.Product{
		Id: "OLJCESPC7Z", Name: "Explorascope", PriceUsd: &oteldemo.Money{CurrencyCode: "USD", Units: 101, Nanos: 960_000_000},
	}, nil)
	got, err := catalog.Product(t.Context(), "OLJCESPC7Z")
	if want := (pricing.Product{ID: "OLJCESPC7Z", Price: amount(t, "USD", 101, 960_000_000)}); got != want || err != nil {
		t.Errorf("product is %v, %v; want %v", got, err, want)
	}
}

func TestProductMayBeFree(t *testing.T) {
	t.Parallel()
	catalog := catalogOf(t, &oteldemo.Product{Id: "A", PriceUsd: &oteldemo.Money{CurrencyCode: "USD"}}, nil)
	if got, err := catalog.Product(t.Context(), "A"); err != nil || got.Price.Sign() != 0 {
		t.Errorf("product is %v, %v; want a free one", got, err)
	}
}

func TestProductThatCannotBeIsImplausible(t *testing.T) {
	t.Parallel()
	priced := func(currency string, units int64, nanos int32) *oteldemo.Product {
		return &oteldemo.Product{Id: "A", PriceUsd: &oteldemo.Money{CurrencyCode: currency, Units: units, Nanos: nanos}}
	}
	for name, reply := range map[string]*oteldemo.Product{
		"another product":   {Id: "B", PriceUsd: &oteldemo.Money{CurrencyCode: "USD", Units: 1}},
		"nothing":           {},
		"no price":          {Id: "A"},
		"another currency":  priced("EUR", 1, 0),
		"no currency":       priced("", 1, 0),
		"negative":          priced("USD", -1, 0),
		"negative nanos":    priced("USD", 0, -1),
		"mixed signs":       priced("USD", 1, -1),
		"nanos of 2·10⁹":    priced("USD", 1, 2_000_000_000),
		"the least integer": priced("USD", math.MinInt64, math.MinInt32),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := catalogOf(t, reply, nil).Product(t.Context(), "A")
			wantError(t, err, order.ErrImplausible, `catalog: get product "A"`)
		})
	}
}

func TestProductThatTheCatalogueDoesNotKnowIsUnknown(t *testing.T) {
	t.Parallel()
	_, err := catalogOf(t, nil, status.Error(codes.NotFound, "no such thing")).Product(t.Context(), "A")
	wantError(t, err, order.ErrUnknownProduct, `catalog: get product "A"`)
}

func TestCatalogueFailureMayPass(t *testing.T) {
	t.Parallel()
	_, err := catalogOf(t, nil, status.Error(codes.Internal, "flagged")).Product(t.Context(), "A")
	wantPassing(t, err, `catalog: get product "A"`, "flagged")
}
