package main

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
)

func TestACardIsReadAsItIsPrinted(t *testing.T) {
	t.Parallel()
	want := &oteldemo.CreditCardInfo{CreditCardNumber: "4432801561520454", CreditCardCvv: 12, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1}
	for _, text := range []string{
		`{"credit_card_number": "4432-8015-6152-0454", "credit_card_cvv": 12, "credit_card_expiration_year": 2039, "credit_card_expiration_month": 1}`,
		`{"credit_card_number": " 4432 8015 6152 0454 ", "credit_card_cvv": "012", "credit_card_expiration_year": 39, "credit_card_expiration_month": "01"}`,
		`{"creditCardNumber": 4432801561520454, "creditCardCvv": " 012 ", "creditCardExpirationYear": "39", "creditCardExpirationMonth": 1}`,
		"{\"credit_card_number\": \"4432\u00a08015\u20136152\u20130454\", \"credit_card_cvv\": \"0012\", \"credit_card_expiration_year\": \"2039\", \"credit_card_expiration_month\": 1}\r\n",
	} {
		got, err := parseCard([]byte(text))
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s\nis read as %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestWhatIsNoCardIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "4432-8015-6152-0454", "[]", `{"credit_card_cvv": "twelve"}`, `{"credit_card_cvv": 1e3}`, `{"credit_card_cvv": 99999999999}`,
		`{"credit_card_cvv": null}`, `{"number": "4432801561520454"}`, `{"credit_card_expiration_year": 20.39}`, `{} {}`,
	} {
		if got, err := parseCard([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
