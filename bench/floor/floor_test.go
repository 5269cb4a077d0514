package floor_test

import (
	"context"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"checkout/bench/floor"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The floor is only worth comparing with if it really does what an order needs.
func TestAnOrderIsChargedShippedConfirmedAndPublished(t *testing.T) {
	for kind, reads := range map[floor.Kind]map[string]int{
		floor.Sequential: {"Convert": 3},
		floor.Parallel:   {"Convert": 3, "GetSupportedCurrencies": 1},
	} {
		t.Run(string(kind), func(t *testing.T) {
			shop := demotest.Start(t)
			shop.Cart.Put("ada", "OLJCESPC7Z", 2)
			shop.Cart.Put("ada", "HQTGWGPNH4", 1)
			order := place(t, kind, shop)

			if order.GetOrderId() == "" || order.GetShippingTrackingId() == "" || len(order.GetItems()) != 2 {
				t.Errorf("the answer is incomplete: %v", order)
			}
			if n := len(shop.Payment.Charges()); n != 1 {
				t.Errorf("%d charges, want 1", n)
			}
			if n := len(shop.Shipping.Parcels()); n != 1 {
				t.Errorf("%d parcels, want 1", n)
			}
			if n := len(shop.Email.Sent()); n != 1 {
				t.Errorf("%d e-mails, want 1", n)
			}
			if left := shop.Cart.Items("ada"); left != nil {
				t.Errorf("the cart still holds %v", left)
			}
			for method, want := range reads {
				if n := shop.Currency.Count(method); n != want {
					t.Errorf("%s was called %d times, want %d", method, n, want)
				}
			}
			if err := shop.Await(t.Context(), func() bool { return len(shop.Accounting.Events()) == 1 }); err != nil {
				t.Errorf("the event did not come: %v", err)
			}
		})
	}
}

func TestAnUnknownKindIsRefused(t *testing.T) {
	none := func(string) string { return "127.0.0.1:1" }
	if err := floor.Run(t.Context(), "diagonal", none); err == nil {
		t.Error("it ran")
	}
}

// place runs a floor in the shop for one order, and returns when it has ended.
func place(t *testing.T, kind floor.Kind, shop *demo.Shop) *oteldemo.OrderResult {
	t.Helper()
	addr := nettest.Reserve(t)
	_, port, _ := net.SplitHostPort(addr)
	environ := shop.Environ()
	environ["CHECKOUT_PORT"] = port
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- floor.Run(ctx, kind, func(name string) string { return environ[name] }) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	conn := nettest.DialGRPC(t, addr)
	answer, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{
		UserId: "ada", UserCurrency: "EUR", Email: "ada@example.com",
		Address:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: "4432-8015-6152-0454", CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1},
	}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetOrder()
}
