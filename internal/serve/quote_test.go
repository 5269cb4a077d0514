package serve_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
	"checkout/internal/rpc"
	"checkout/internal/test/nettest"
)

func TestTheQuotedTotalIsCharged(t *testing.T) {
	s := open(t, nil)
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 2)
	order := request("ada", "EUR")
	quotes := checkoutv1.NewQuoteServiceClient(nettest.DialGRPC(t, s.addr))
	quote, err := quotes.Quote(t.Context(), &checkoutv1.QuoteRequest{UserId: "ada", UserCurrency: "EUR", Address: order.GetAddress()})
	if err != nil {
		t.Fatal(err)
	}
	s.shop.Cart.Put("ada", "STICKER020", 1) // in another tab
	agreed := metadata.AppendToOutgoingContext(t.Context(), rpc.ExpectedTotalHeader, quote.GetExpectedTotal())
	_, err = s.PlaceOrder(agreed, order)
	if code, reason, moved := refusal(t, err); code != codes.FailedPrecondition || reason != "PRICE_CHANGED" || moved != "no" {
		t.Errorf("answered %v, %s, money moved: %s; want that the price has changed", code, reason, moved)
	}
	if n := s.shop.Payment.Count("Charge"); n != 0 {
		t.Errorf("%d charges", n)
	}
	if quote, err = quotes.Quote(t.Context(), &checkoutv1.QuoteRequest{UserId: "ada", UserCurrency: "EUR", Address: order.GetAddress()}); err != nil {
		t.Fatal(err)
	}
	agreed = metadata.AppendToOutgoingContext(t.Context(), rpc.ExpectedTotalHeader, quote.GetExpectedTotal())
	if _, err := s.PlaceOrder(agreed, order); err != nil {
		t.Fatal(err)
	}
	if charged := s.shop.Payment.Charges()[0].Amount; charged.GetUnits() != quote.GetTotal().GetUnits() || charged.GetNanos() != quote.GetTotal().GetNanos() {
		t.Errorf("charged %v, want %v", charged, quote.GetTotal())
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
}
