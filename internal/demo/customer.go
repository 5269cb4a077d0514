package demo

import "checkout/gen/oteldemo"

// Order is the order of an ordinary customer, with an invented card.
func Order(user, currency string) *oteldemo.PlaceOrderRequest {
	return &oteldemo.PlaceOrderRequest{
		UserId: user, UserCurrency: currency, Email: user + "@example.com",
		Address: &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{ //nolint:gosec // an invented card
			CreditCardNumber: "4432-8015-6152-0454", CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1,
		},
	}
}
