package demo

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/test/nettest"
)

func TestCartMergesLinesOfOneProduct(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	client := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, cart.Address()))
	for _, quantity := range []int32{2, 3, -1} {
		item := &oteldemo.CartItem{ProductId: "L9ECAV7KIM", Quantity: quantity}
		if _, err := client.AddItem(soon(t), &oteldemo.AddItemRequest{UserId: "ann", Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	cart.Put("ann", "HQTGWGPNH4", 1)

	got, err := client.GetCart(soon(t), &oteldemo.GetCartRequest{UserId: "ann"})
	want := &oteldemo.Cart{UserId: "ann", Items: []*oteldemo.CartItem{
		{ProductId: "L9ECAV7KIM", Quantity: 4},
		{ProductId: "HQTGWGPNH4", Quantity: 1},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestCartOfAStrangerIsEmptyAndCanBeEmptiedTwice(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	client := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, cart.Address()))
	cart.Put("ann", "L9ECAV7KIM", 1)
	for range 2 {
		if _, err := client.EmptyCart(soon(t), &oteldemo.EmptyCartRequest{UserId: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.GetCart(soon(t), &oteldemo.GetCartRequest{UserId: "ann"})
	if err != nil || len(got.GetItems()) != 0 {
		t.Errorf("cart %v, error %v", got, err)
	}
}

// theCatalog is the catalogue with its own products alone.
func theCatalog(n *Server) (*Catalog, func() error) { return newCatalog(n, 0) }

func TestCatalogIsPaddedToItsSize(t *testing.T) {
	t.Parallel()
	catalog := open(t, func(n *Server) (*Catalog, func() error) { return newCatalog(n, 100) })
	ids := map[string]bool{}
	for _, p := range catalog.Products() {
		ids[p.GetId()] = true
		if p.GetPriceUsd().GetUnits() == 0 && p.GetPriceUsd().GetNanos() == 0 {
			t.Errorf("%s is for free", p.GetId())
		}
	}
	if len(ids) != 100 {
		t.Errorf("%d different products, want 100", len(ids))
	}
}

func TestCatalogListsFindsAndSearches(t *testing.T) {
	t.Parallel()
	catalog := open(t, theCatalog)
	client := oteldemo.NewProductCatalogServiceClient(nettest.DialGRPC(t, catalog.Address()))

	list, err := client.ListProducts(soon(t), &oteldemo.Empty{})
	if err != nil || len(list.GetProducts()) != len(catalog.Products()) || len(list.GetProducts()) < 12 {
		t.Fatalf("%d products, error %v", len(list.GetProducts()), err)
	}
	for _, want := range list.GetProducts() {
		got, err := client.GetProduct(soon(t), &oteldemo.GetProductRequest{Id: want.GetId()})
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
	if _, err := client.GetProduct(soon(t), &oteldemo.GetProductRequest{Id: "NOSUCHTHING"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown product: %v", err)
	}
}

func TestCatalogHasThePricesThatHurt(t *testing.T) {
	t.Parallel()
	prices := make(map[string]string)
	for _, p := range open(t, theCatalog).Products() {
		amount, err := money.New(money.Currency(p.GetPriceUsd().GetCurrencyCode()), p.GetPriceUsd().GetUnits(), p.GetPriceUsd().GetNanos())
		if err != nil {
			t.Errorf("%s: %v", p.GetId(), err)
		}
		prices[p.GetId()] = amount.String()
	}
	for id, want := range map[string]string{
		"OLJCESPC7Z": "USD 101.96", "LS4PSXUNUM": "USD 57.08", "STICKER020": "USD 0.20", "PENCIL0015": "USD 0.015", "66VCHSJNUP": "USD 349.95",
	} {
		if prices[id] != want {
			t.Errorf("%s costs %s, want %s", id, prices[id], want)
		}
	}
}

func TestCurrencyConvertsToTheNearestBillionth(t *testing.T) {
	t.Parallel()
	client := oteldemo.NewCurrencyServiceClient(nettest.DialGRPC(t, open(t, newCurrency).Address()))
	for name, test := range map[string]struct {
		from *oteldemo.Money
		want *oteldemo.Money
	}{
		"same currency, exactly": {usd(57, 80_000_000), usd(57, 80_000_000)},
		// 101.96 / 1.0847 · 0.8423 = 79.1748022495…
		"two decimals": {usd(101, 960_000_000), &oteldemo.Money{CurrencyCode: "GBP", Units: 79, Nanos: 174_802_249}},
		"no decimals":  {usd(1, 0), &oteldemo.Money{CurrencyCode: "JPY", Units: 150, Nanos: 659_168_434}},
		"three":        {usd(1, 0), &oteldemo.Money{CurrencyCode: "KWD", Units: 0, Nanos: 307_107_956}},
		"negative":     {usd(-1, 0), &oteldemo.Money{CurrencyCode: "EUR", Units: 0, Nanos: -921_913_893}},
		"nothing":      {usd(0, 0), &oteldemo.Money{CurrencyCode: "EUR"}},
	} {
		got, err := client.Convert(soon(t), &oteldemo.CurrencyConversionRequest{From: test.from, ToCode: test.want.GetCurrencyCode()})
		if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

func TestCurrencyRefusesWhatItCannotConvert(t *testing.T) {
	t.Parallel()
	client := oteldemo.NewCurrencyServiceClient(nettest.DialGRPC(t, open(t, newCurrency).Address()))
	for want, req := range map[codes.Code]*oteldemo.CurrencyConversionRequest{
		codes.InvalidArgument: {From: usd(1, 0), ToCode: "XXX"},
		codes.OutOfRange:      {From: usd(math.MaxInt64, 0), ToCode: "JPY"},
	} {
		if _, err := client.Convert(soon(t), req); status.Code(err) != want {
			t.Errorf("error %v, want %v", err, want)
		}
	}
}

func TestCurrencyKnowsIsoCurrenciesOfEveryKindAndNoOthers(t *testing.T) {
	t.Parallel()
	client := oteldemo.NewCurrencyServiceClient(nettest.DialGRPC(t, open(t, newCurrency).Address()))
	supported, err := client.GetSupportedCurrencies(soon(t), &oteldemo.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[int]int)
	for _, code := range supported.GetCurrencyCodes() {
		digits, ok := money.Currency(code).MinorUnits()
		if !ok {
			t.Errorf("%s is not in ISO 4217", code)
		}
		kinds[digits]++
		if _, err := client.Convert(soon(t), &oteldemo.CurrencyConversionRequest{From: usd(1, 0), ToCode: code}); err != nil {
			t.Errorf("to %s: %v", code, err)
		}
	}
	if kinds[0] == 0 || kinds[2] == 0 || kinds[3] == 0 {
		t.Errorf("currencies by minor digits: %v", kinds)
	}
}

func usd(units int64, nanos int32) *oteldemo.Money {
	return &oteldemo.Money{CurrencyCode: "USD", Units: units, Nanos: nanos}
}

// visa is a request that is charged.
func visa() *oteldemo.ChargeRequest {
	return &oteldemo.ChargeRequest{Amount: usd(110, 950_000_000), CreditCard: card("4432-8015-6152-0454", 2039, 1)}
}

func card(number string, year, month int32) *oteldemo.CreditCardInfo {
	return &oteldemo.CreditCardInfo{CreditCardNumber: number, CreditCardCvv: 672, CreditCardExpirationYear: year, CreditCardExpirationMonth: month}
}

func TestPaymentRefusesInTheStockShopsWords(t *testing.T) {
	t.Parallel()
	payment := open(t, newPayment)
	client := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address()))
	for text, card := range map[string]*oteldemo.CreditCardInfo{
		"Credit card info is invalid.": card("4432-8015-6152-0455", 2039, 1),
		"Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted.":     card("3782 822463 10005", 2039, 1),
		"Sorry, we cannot process discover credit cards. Only VISA or MasterCard is accepted.": card("6011111111111117", 2039, 1),
		"Sorry, we cannot process jcb credit cards. Only VISA or MasterCard is accepted.":      card("3530111333300000", 2039, 1),
		"Sorry, we cannot process diners credit cards. Only VISA or MasterCard is accepted.":   card("30569309025904", 2039, 1),
		"Sorry, we cannot process unknown credit cards. Only VISA or MasterCard is accepted.":  card("9999999999999995", 2039, 1),
		"The credit card (ending 0454) expired on 1/2021.":                                     card("4432-8015-6152-0454", 2021, 1),
	} {
		_, err := client.Charge(soon(t), &oteldemo.ChargeRequest{Amount: usd(1, 0), CreditCard: card})
		if status.Code(err) != codes.Unknown || status.Convert(err).Message() != text {
			t.Errorf("error %v, want UNKNOWN %q", err, text)
		}
	}
	for _, odd := range []*oteldemo.CreditCardInfo{nil, card("", 2039, 1), card("0", 2039, 1), card("4432x8015x6152x0454", 2039, 1)} {
		if _, err := client.Charge(soon(t), &oteldemo.ChargeRequest{CreditCard: odd}); status.Code(err) != codes.Unknown {
			t.Errorf("error %v, want UNKNOWN", err)
		}
	}
	if n := len(payment.Charges()); n != 0 {
		t.Errorf("%d charges, want none", n)
	}
}

func TestACardIsGoodToTheEndOfItsMonth(t *testing.T) {
	t.Parallel()
	good := card("5555555555554444", 2026, 11)
	if refusal := check("5555555555554444", good, time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)); refusal != "" {
		t.Errorf("in its month: %q", refusal)
	}
	if refusal := check("5555555555554444", good, time.Date(2026, 12, 1, 1, 0, 0, 0, time.UTC)); refusal == "" {
		t.Error("after its month it is taken")
	}
}

func TestPaymentWritesEveryChargeDownAndNoCardNumber(t *testing.T) {
	t.Parallel()
	payment := open(t, newPayment)
	client := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address()))
	ctx := metadata.AppendToOutgoingContext(soon(t), "idempotency-key", "order-1", "baggage", "session.id=s,synthetic_request=true")

	first, err1 := client.Charge(ctx, visa())
	second, err2 := client.Charge(ctx, visa())

	if err1 != nil || err2 != nil || first.GetTransactionId() == second.GetTransactionId() {
		t.Fatalf("%v %v, %v %v: want two transactions", first, err1, second, err2)
	}
	charges := payment.Charges()
	if len(charges) != 2 {
		t.Fatalf("%d charges, want 2", len(charges))
	}
	got := charges[0]
	if got.Key != "order-1" || got.LastFour != "0454" || !got.Synthetic || got.TransactionID != first.GetTransactionId() {
		t.Errorf("booked %+v", got)
	}
	if diff := cmp.Diff(visa().GetAmount(), got.Amount, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	for _, call := range payment.Calls("") {
		if call.Message != nil {
			t.Error("the payment service remembers a request, and with it a card")
		}
	}
}
