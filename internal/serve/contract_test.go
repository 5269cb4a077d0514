package serve_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

// What goes wrong in the stock service, and what must happen here. The admission of five times more orders than payment
// can take is tested in package admission, what recovery does in package order.

func TestAnOrderReachesEveryServiceOnce(t *testing.T) {
	s := open(t, nil)
	got, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 2, "STICKER020": 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetOrderId() == "" || got.GetShippingTrackingId() == "" || got.GetShippingCost().GetCurrencyCode() != "USD" || got.GetShippingAddress().GetCity() != "SF" {
		t.Errorf("the answer is %v, want order id, tracking id, cost in USD and the address", got)
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
	if items := s.shop.Cart.Items("ada"); len(items) > 0 {
		t.Errorf("the cart still holds %v", items)
	}
}

func (s *service) awaitLedgers(t *testing.T, want demo.Tally) {
	t.Helper()
	s.await(t, fmt.Sprintf("books of %+v", want), func() bool { return s.shop.Ledgers().Total() == want })
}

// charged is the only charge in the payment service's ledger, as decimal text.
func (s *service) charged(t *testing.T) string {
	t.Helper()
	charges := s.shop.Payment.Charges()
	if len(charges) != 1 {
		t.Fatalf("%d charges, want one", len(charges))
	}
	a := charges[0].Amount
	return fmt.Sprintf("%s %d.%09d", a.GetCurrencyCode(), a.GetUnits(), a.GetNanos())
}

func TestMoneyIsExact(t *testing.T) {
	for name, test := range map[string]struct {
		currency string
		items    map[string]int32
		quote    string
		want     string
	}{
		"sums below one":                  {"USD", map[string]int32{"STICKER020": 2}, `{"currency_code":"USD","units":0,"nanos":500000000}`, "USD 0.900000000"},
		"57.08 paid in USD":               {"USD", map[string]int32{"LS4PSXUNUM": 1}, `{"currency_code":"USD","units":0,"nanos":0}`, "USD 57.080000000"},
		"no exact double, many of them":   {"USD", map[string]int32{"OLJCESPC7Z": 9}, `{"currency_code":"USD","units":8,"nanos":990000000}`, "USD 926.630000000"},
		"a price that dollars cannot pay": {"USD", map[string]int32{"PENCIL0015": 3}, `{"currency_code":"USD","units":0,"nanos":0}`, "USD 0.060000000"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse, Status: http.StatusOK, Text: `{"cost_usd":` + test.quote + `}`}, "get-quote")
			if _, err := s.buy(t.Context(), "ada", test.currency, test.items); err != nil {
				t.Fatal(err)
			}
			if got := s.charged(t); got != test.want {
				t.Errorf("charged %s, want %s", got, test.want)
			}
		})
	}
}

// Older and related shops have no GetSupportedCurrencies.
func TestAShopWhoseCurrencyServiceHasNoListIsServed(t *testing.T) {
	s := open(t, nil)
	s.shop.Currency.Inject(demo.Fault{Kind: demo.Refuse, Code: codes.Unimplemented}, "GetSupportedCurrencies")
	for _, currency := range []string{"USD", "EUR"} {
		got, err := s.buy(t.Context(), "ada", currency, map[string]int32{"OLJCESPC7Z": 1})
		if err != nil || got.GetShippingCost().GetCurrencyCode() != currency {
			t.Errorf("an order in %s: %v, %v", currency, got, err)
		}
	}
}

// hostile is a catalogue and an exchange that answer what they are told to.
type hostile struct {
	oteldemo.UnimplementedProductCatalogServiceServer
	oteldemo.UnimplementedCurrencyServiceServer

	price, converted *oteldemo.Money
}

func (h hostile) GetProduct(_ context.Context, req *oteldemo.GetProductRequest) (*oteldemo.Product, error) {
	return &oteldemo.Product{Id: req.GetId(), PriceUsd: h.price}, nil
}

func (h hostile) Convert(context.Context, *oteldemo.CurrencyConversionRequest) (*oteldemo.Money, error) {
	return h.converted, nil
}

func (h hostile) GetSupportedCurrencies(context.Context, *oteldemo.Empty) (*oteldemo.GetSupportedCurrenciesResponse, error) {
	return &oteldemo.GetSupportedCurrenciesResponse{CurrencyCodes: []string{"USD", "EUR"}}, nil
}

// serve runs h on loopback and returns its address.
func (h hostile) serve(t *testing.T) string {
	t.Helper()
	return nettest.ServeGRPC(t, func(s *grpc.Server) {
		oteldemo.RegisterProductCatalogServiceServer(s, h)
		oteldemo.RegisterCurrencyServiceServer(s, h)
	})
}

func TestWhatCannotBeIsRefusedBeforeTheCharge(t *testing.T) {
	usd := func(units int64, nanos int32) *oteldemo.Money {
		return &oteldemo.Money{CurrencyCode: "USD", Units: units, Nanos: nanos}
	}
	fair := usd(10, 0)
	for name, test := range map[string]struct {
		shop             func(*demo.Shop)
		price, converted *oteldemo.Money
		elsewhere        bool // PAYMENT_ADDR is that of another service
		request          func(*oteldemo.PlaceOrderRequest)
		quantity         int32
		code             codes.Code
		reason           string
	}{
		"empty cart":                 {code: codes.FailedPrecondition, reason: "CART_EMPTY"},
		"quantity 20 million":        {quantity: 20_000_000, code: codes.FailedPrecondition, reason: "CART_NOT_ORDERABLE"},
		"quantity -1":                {quantity: -1, code: codes.FailedPrecondition, reason: "CART_NOT_ORDERABLE"},
		"unknown currency":           {quantity: 1, request: func(r *oteldemo.PlaceOrderRequest) { r.UserCurrency = "ZZZ" }, code: codes.InvalidArgument, reason: "INVALID_REQUEST"},
		"no card":                    {quantity: 1, request: func(r *oteldemo.PlaceOrderRequest) { r.CreditCard = nil }, code: codes.InvalidArgument, reason: "INVALID_REQUEST"},
		"the largest price there is": {price: usd(math.MaxInt64, 0), quantity: 2, code: codes.FailedPrecondition, reason: "IMPLAUSIBLE_ANSWER"},
		"negative price":             {price: usd(-1999, -990_000_000), quantity: 1, code: codes.FailedPrecondition, reason: "IMPLAUSIBLE_ANSWER"},
		"price of mixed signs":       {price: usd(1, -5), quantity: 1, code: codes.FailedPrecondition, reason: "IMPLAUSIBLE_ANSWER"},
		"no price":                   {price: &oteldemo.Money{}, quantity: 1, code: codes.FailedPrecondition, reason: "IMPLAUSIBLE_ANSWER"},
		"converted into other money": {price: fair, converted: usd(9, 0), quantity: 1, request: inEuro, code: codes.FailedPrecondition, reason: "IMPLAUSIBLE_ANSWER"},
		"converted into nothing":     {price: fair, converted: &oteldemo.Money{CurrencyCode: "EUR"}, quantity: 1, request: inEuro, code: codes.FailedPrecondition, reason: "IMPLAUSIBLE_ANSWER"},
		"card expired":               {quantity: 1, request: func(r *oteldemo.PlaceOrderRequest) { r.CreditCard.CreditCardExpirationYear = 2021 }, code: codes.InvalidArgument, reason: "INVALID_REQUEST"},
		"cart away":                  {quantity: 1, shop: func(s *demo.Shop) { s.Cart.TakeOffline() }, code: codes.Unavailable, reason: "UNAVAILABLE"},
		"catalog away":               {quantity: 1, shop: func(s *demo.Shop) { s.Catalog.TakeOffline() }, code: codes.Unavailable, reason: "UNAVAILABLE"},
		"shipping away":              {quantity: 1, shop: func(s *demo.Shop) { s.Shipping.TakeOffline() }, code: codes.Unavailable, reason: "UNAVAILABLE"},
		"payment away":               {quantity: 1, shop: func(s *demo.Shop) { s.Payment.TakeOffline() }, code: codes.Unavailable, reason: "PAYMENT_UNREACHABLE"},
		"shipping sends us elsewhere": {quantity: 1, shop: func(s *demo.Shop) {
			s.Shipping.Inject(demo.Fault{Kind: demo.Refuse, Status: http.StatusTemporaryRedirect, Location: "http://" + s.Email.Address() + "/send_order_confirmation"})
		}, code: codes.Unavailable, reason: "UNAVAILABLE"},
		"payment refuses this service": {quantity: 1, shop: func(s *demo.Shop) {
			s.Payment.Inject(demo.Fault{Kind: demo.Refuse, Code: codes.PermissionDenied, Text: "RBAC: access denied"})
		}, code: codes.Unavailable, reason: "PAYMENT_UNREACHABLE"},
		"another service at the payment address": {quantity: 1, elsewhere: true, code: codes.Unavailable, reason: "PAYMENT_UNREACHABLE"},
		"the payment refuses the card": {quantity: 1, shop: func(s *demo.Shop) {
			s.Payment.Inject(demo.Fault{Kind: demo.Refuse, Code: codes.Unknown, Text: "Credit card info is invalid."})
		}, code: codes.FailedPrecondition, reason: "CARD_DECLINED"},
	} {
		t.Run(name, func(t *testing.T) {
			set := map[string]string{}
			if test.price != nil {
				addr := hostile{price: test.price, converted: test.converted}.serve(t)
				set["PRODUCT_CATALOG_ADDR"], set["CURRENCY_ADDR"] = addr, addr
			}
			if test.elsewhere {
				set["PAYMENT_ADDR"] = hostile{}.serve(t)
			}
			s := open(t, set)
			if test.quantity != 0 {
				s.shop.Cart.Put("ada", "OLJCESPC7Z", test.quantity)
			}
			if test.shop != nil {
				test.shop(s.shop)
			}
			req := request("ada", "USD")
			if test.request != nil {
				test.request(req)
			}
			_, err := s.PlaceOrder(t.Context(), req)
			code, reason, moved := refusal(t, err)
			if code != test.code || reason != test.reason || moved != "no" {
				t.Errorf("answered %v, %s, money moved: %s; want %v, %s, no", code, reason, moved, test.code, test.reason)
			}
			if total := s.shop.Ledgers().Total(); total != (demo.Tally{}) {
				t.Errorf("moved: %+v, want nothing", total)
			}
		})
	}
}

func inEuro(r *oteldemo.PlaceOrderRequest) { r.UserCurrency = "EUR" }

// refusal is a failed order as a caller sees it.
func refusal(t *testing.T, err error) (code codes.Code, reason, moved string) {
	t.Helper()
	told, _ := status.FromError(err)
	for _, detail := range told.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return told.Code(), info.GetReason(), info.GetMetadata()["money_moved"]
		}
	}
	t.Fatalf("the answer is %v, without an ErrorInfo", err)
	return 0, "", ""
}

func TestAnAddressWithoutStateIsAccepted(t *testing.T) {
	s := open(t, nil)
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	req := request("ada", "USD")
	req.Address.State = ""
	if _, err := s.PlaceOrder(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

func TestThePaymentHangsAndTheAnswerIsHonest(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_CHARGE_TIMEOUT": "15s"})
	s.shop.Payment.Inject(demo.Fault{Kind: demo.HangAfter})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // enough to get as far as the charge
	defer cancel()
	_, err := s.buy(ctx, "ada", "USD", map[string]int32{"OLJCESPC7Z": 1})
	code, reason, moved := refusal(t, err)
	if code != codes.Aborted || reason != "PAYMENT_UNKNOWN" || moved != "unknown" {
		t.Errorf("answered %v, %s, money moved: %s; want ABORTED, PAYMENT_UNKNOWN, unknown", code, reason, moved)
	}
	const want = "failed to charge card: could not charge the card: rpc error: code = DeadlineExceeded desc = context deadline exceeded"
	if got := status.Convert(err).Message(); got != want {
		t.Errorf("text %q, want stock's %q", got, want)
	}
}

func TestTheTextOfARefusedChargeIsStocks(t *testing.T) {
	s := open(t, nil)
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	req := request("ada", "USD")
	req.CreditCard.CreditCardNumber = "378282246310005"
	_, err := s.PlaceOrder(t.Context(), req)
	const want = "failed to charge card: could not charge the card: rpc error: code = Unknown desc = Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted."
	if got := status.Convert(err).Message(); got != want {
		t.Errorf("text %q, want %q", got, want)
	}
}

func TestTheBrokerIsAwayAtTheStart(t *testing.T) {
	shop := demotest.Start(t)
	shop.Broker.TakeOffline()
	s := openIn(t, shop, map[string]string{"CHECKOUT_PUBLISH_TIMEOUT": "1s"})
	if _, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1})
	if err := shop.Broker.BringOnline(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the event", func() bool { // one that the broker takes too late is sent again
		total := s.shop.Ledgers().Total()
		return total.Events >= 1 && total == demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: total.Events}
	})
}

func TestTheBrokerDiesAndComesBack(t *testing.T) {
	const orders = 20
	s := open(t, map[string]string{"CHECKOUT_PUBLISH_TIMEOUT": "1s"})
	if _, err := s.buy(t.Context(), "first", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
	s.shop.Broker.TakeOffline()
	for i := range orders {
		if _, err := s.buy(t.Context(), fmt.Sprint("user-", i), "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
			t.Fatalf("order %d: %v", i, err)
		}
	}
	if err := s.shop.Broker.BringOnline(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "an event for every order", func() bool {
		told := 0 // orders, not events: one may have two before another has any
		for _, tally := range s.shop.Ledgers().Orders {
			if tally.Events > 0 {
				told++
			}
		}
		return told == orders+1
	})
	for id, tally := range s.shop.Ledgers().Orders {
		if tally.Charges != 1 || tally.Parcels != 1 || tally.Events < 1 {
			t.Errorf("order %s: %+v, want it charged and shipped once, and told", id, tally)
		}
	}
}

func TestShippingFailsAfterTheChargeAndRecoveryShips(t *testing.T) {
	s := open(t, nil)
	s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse, Status: http.StatusServiceUnavailable}, "ship-order")
	got, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1})
	if err != nil || got.GetShippingTrackingId() != "" {
		t.Fatalf("answered %v, %v; want the order, paid and not shipped yet", got, err)
	}
	s.shop.Shipping.Inject(demo.Fault{}, "ship-order")
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
}

func TestNoOrderFailsWhenTheServiceIsStopped(t *testing.T) {
	const orders = 50
	s := open(t, map[string]string{"CHECKOUT_TARGET_LATENCY": "30s"}) // a busy machine is no reason to refuse orders here
	s.shop.Payment.Inject(demo.Fault{Latency: 300 * time.Millisecond})
	var wg sync.WaitGroup
	for i := range orders {
		wg.Go(func() {
			if _, err := s.buy(t.Context(), fmt.Sprint("user-", i), "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
				t.Errorf("order %d: %v", i, err)
			}
		})
	}
	s.await(t, "every charge under way", func() bool { return s.shop.Payment.Count("Charge") == orders })
	if err := s.stop(); err != nil {
		t.Errorf("the service ended with %v", err)
	}
	wg.Wait()
	s.await(t, "every order charged, shipped, confirmed and told once", func() bool {
		return s.shop.Ledgers().Match() && s.shop.Ledgers().Total().Parcels == orders
	})
}

func TestAHugeAnswerCostsNoMemory(t *testing.T) {
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for range 256 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer huge.Close()
	s := open(t, map[string]string{"SHIPPING_ADDR": huge.URL})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1})
	runtime.ReadMemStats(&after)
	if code, _, moved := refusal(t, err); code != codes.FailedPrecondition || moved != "no" {
		t.Errorf("answered %v, money moved: %s; want FAILED_PRECONDITION, no", code, moved)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("an answer of 256 MiB had %d MiB allocated", grown>>20)
	}
}

func TestTheCardAndTheAddressAreNowhere(t *testing.T) {
	s := open(t, nil)
	secrets := []string{"4432-8015-6152-0454", "4432801561520454", "ada@example.com"}
	if _, err := s.buy(t.Context(), "ada", "EUR", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	s.shop.Payment.Inject(demo.Fault{Kind: demo.Refuse, Code: codes.Unknown, Text: "cannot charge 4432-8015-6152-0454"})
	_, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1})
	for _, secret := range secrets[:2] {
		if strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("the answer holds the card: %v", err)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	emitted := s.log.String() + fmt.Sprint(s.shop.Collector.Spans(), s.shop.Collector.Logs(), s.shop.Collector.Metrics())
	if !strings.Contains(emitted, "order placed") {
		t.Fatal("no telemetry to look through")
	}
	for _, secret := range secrets {
		if strings.Contains(emitted, secret) {
			t.Errorf("%s is in the telemetry", secret)
		}
	}
}
