package serve_test

import (
	"context"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
	"checkout/internal/test/servetest"
)

// TestMain ignores lookups of unknown host names, such as that of the unreachable payment service: package net continues them
// until the DNS server answers.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func1"),
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"), goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder.func3.1"))
}

// patience is how long a test waits for what must happen. Nothing is measured by it.
const patience = 30 * time.Second

// service is the whole service, running in a shop of its own.
type service struct {
	oteldemo.CheckoutServiceClient

	shop *demo.Shop
	addr string
	log  *output.Buffer
	stop func() error // ends it and waits; may be called twice
}

// open runs the service in a new shop, with stock's environment and what is set over it.
func open(t *testing.T, set map[string]string) *service {
	t.Helper()
	return openIn(t, demotest.Start(t), set)
}

// openIn runs the service in the shop. The SDK of OpenTelemetry reads the process's environment, so these tests set it,
// and cannot run side by side.
func openIn(t *testing.T, shop *demo.Shop, set map[string]string) *service {
	t.Helper()
	environ := shop.Environ()
	environ["CHECKOUT_PORT"], environ["CHECKOUT_PUBLIC_ORDERS"] = "0", "true"
	environ["CHECKOUT_DB"] = filepath.Join(t.TempDir(), "orders.db")
	environ["OTEL_BSP_SCHEDULE_DELAY"] = "50"
	maps.Copy(environ, map[string]string{ // on a busy machine those who answer may take a while
		"CHECKOUT_DEADLINE": "30s", "CHECKOUT_READ_TIMEOUT": "15s", "CHECKOUT_EMAIL_TIMEOUT": "15s", "CHECKOUT_DRAIN": "1m",
	})
	maps.Copy(environ, set)
	for name, value := range environ {
		t.Setenv(name, value)
	}
	s := servetest.Run(t, environ)
	return &service{oteldemo.NewCheckoutServiceClient(nettest.DialGRPC(t, s.Addr)), shop, s.Addr, s.Log, s.Stop}
}

// buy puts the items into a user's cart and places the order.
func (s *service) buy(ctx context.Context, user string, currency string, items map[string]int32) (*oteldemo.OrderResult, error) {
	for product, quantity := range items {
		s.shop.Cart.Put(user, product, quantity)
	}
	resp, err := s.PlaceOrder(ctx, request(user, currency))
	return resp.GetOrder(), err
}

func request(user, currency string) *oteldemo.PlaceOrderRequest {
	return &oteldemo.PlaceOrderRequest{
		UserId: user, UserCurrency: currency, Email: user + "@example.com",
		Address:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: "4432-8015-6152-0454", CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1},
	}
}

// await waits until done, and fails the test with what was waited for.
func (s *service) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.shop.Await(ctx, done); err != nil {
		t.Fatalf("%s: %v; the books: %v", what, err, s.shop.Ledgers().Differences())
	}
}
