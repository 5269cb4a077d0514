package console

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"checkout/gen/oteldemo"
	"checkout/internal/wait"
)

const (
	// namesEvery is how often the catalog is read, and maxNames how many products it may have.
	namesEvery = time.Minute
	maxNames   = 10_000
)

// Names are what the products are called, as the catalog said last.
type Names struct {
	catalog grpc.ClientConnInterface
	known   atomic.Pointer[map[string]string]
}

// NewNames returns the names in a catalog, none of which is known before Watch has read them.
func NewNames(catalog grpc.ClientConnInterface) *Names { return &Names{catalog: catalog} }

// Name is the name of a product; empty if it is not known.
func (n *Names) Name(product string) string {
	if known := n.known.Load(); known != nil {
		return (*known)[product]
	}
	return ""
}

// Watch reads the names until ctx ends. A catalog that does not answer is asked again.
func (n *Names) Watch(ctx context.Context) {
	for ok := true; ok; ok = wait.For(ctx, namesEvery) {
		n.read(ctx)
	}
}

func (n *Names) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	resp, err := oteldemo.NewProductCatalogServiceClient(n.catalog).ListProducts(ctx, &oteldemo.Empty{})
	if err != nil || len(resp.GetProducts()) > maxNames {
		return
	}
	known := make(map[string]string, len(resp.GetProducts()))
	for _, product := range resp.GetProducts() {
		known[product.GetId()] = product.GetName()
	}
	n.known.Store(&known)
}
