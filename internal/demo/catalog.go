package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
)

// Catalog knows the products and their prices in US dollars.
type Catalog struct {
	*Server
	oteldemo.UnimplementedProductCatalogServiceServer

	products []*oteldemo.Product // never changed
}

func newCatalog(n *Server, size int) (*Catalog, func() error) {
	c := &Catalog{Server: n, products: padded(products(), size)}
	return c, n.serveGRPC(func(r grpc.ServiceRegistrar) { oteldemo.RegisterProductCatalogServiceServer(r, c) })
}

// Products is the whole range. It must not be changed.
func (c *Catalog) Products() []*oteldemo.Product { return slices.Clone(c.products) }

// Name is the name of a product, or its id if there is none.
func (c *Catalog) Name(id string) string {
	for _, p := range c.products {
		if p.GetId() == id {
			return p.GetName()
		}
	}
	return id
}

// ListProducts implements oteldemo.ProductCatalogServiceServer.
func (c *Catalog) ListProducts(context.Context, *oteldemo.Empty) (*oteldemo.ListProductsResponse, error) {
	return &oteldemo.ListProductsResponse{Products: c.products}, nil
}

// GetProduct implements oteldemo.ProductCatalogServiceServer.
func (c *Catalog) GetProduct(_ context.Context, req *oteldemo.GetProductRequest) (*oteldemo.Product, error) {
	for _, p := range c.products {
		if p.GetId() == req.GetId() {
			return p, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "there is no product %q", req.GetId())
}

// products are the stock shop's products with its ids and prices, and a few whose prices hurt naive code: 0.20 twice is
// still below one, 57.08 has a leading zero in its nanos, 101.96 has no exact double, 0.015 is between two cents.
func products() []*oteldemo.Product {
	return []*oteldemo.Product{
		product("OLJCESPC7Z", "National Park Foundation Explorascope", 101_960_000_000, "A light 60 mm refractor to carry along.", "telescopes"),
		product("66VCHSJNUP", "Starsense Explorer Refractor Telescope", 349_950_000_000, "A telescope that finds its way with a phone.", "telescopes"),
		product("1YMWWN1N4O", "Eclipsmart Travel Refractor Telescope", 129_950_000_000, "For looking at the sun, and at nothing else.", "telescopes", "travel"),
		product("L9ECAV7KIM", "Lens Cleaning Kit", 21_950_000_000, "A brush, a fluid and a soft cloth.", "accessories"),
		product("2ZYFJ3GM2N", "Roof Binoculars", 209_950_000_000, "Bright, close-focusing glass for birds and stadiums.", "binoculars"),
		product("0PUK6V6EV0", "Solar System Color Imager", 175_000_000_000, "A camera in place of the eyepiece.", "accessories", "telescopes"),
		product("LS4PSXUNUM", "Red Flashlight", 57_080_000_000, "Red light, so that eyes stay used to the dark.", "accessories", "flashlights"),
		product("9SIQT8TOJO", "Optical Tube Assembly", 3_599_000_000_000, "A fast astrograph for faint things.", "accessories", "telescopes", "assembly"),
		product("6E92ZMYYFZ", "Solar Filter", 69_950_000_000, "Goes over the front of an eight-inch telescope.", "accessories", "telescopes"),
		product("HQTGWGPNH4", "The Comet Book", 990_000_000, "What people made of comets five centuries ago.", "books"),
		product("STICKER020", "Moon Sticker", 200_000_000, "A small moon for the lid of a laptop.", "gifts"),
		product("PENCIL0015", "Star Chart Pencil, by the Gross", 15_000_000, "One and a half cents apiece.", "gifts"),
		product("DOMEROOF01", "Observatory Dome", 249_999_990_000_000, "Five metres across, motor included.", "assembly"),
	}
}

// padded are the products, and as many plain ones as it takes to make size of them.
func padded(all []*oteldemo.Product, size int) []*oteldemo.Product {
	for i := len(all); i < size; i++ {
		name := fmt.Sprintf("Eyepiece No. %d", i)
		all = append(all, product(fmt.Sprintf("EYEPIECE%03d", i), name, int64(i)*1_250_000_000, "One of many.", "accessories"))
	}
	return all
}

// product makes a product whose price is so many billionths of a dollar.
func product(id, name string, nanos int64, description string, categories ...string) *oteldemo.Product {
	return &oteldemo.Product{
		Id:          id,
		Name:        name,
		Description: description,
		Picture:     strings.ReplaceAll(name, " ", "") + ".jpg",
		PriceUsd:    &oteldemo.Money{CurrencyCode: "USD", Units: nanos / nanosPerUnit, Nanos: int32(nanos % nanosPerUnit)},
		Categories:  categories,
	}
}

const nanosPerUnit = 1_000_000_000
