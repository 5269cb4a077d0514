package storefront

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"checkout/gen/oteldemo"
)

// goodCard is a number that is made for tests, which the form proposes.
const goodCard = "4432-8015-6152-0454"

// field is a field of the checkout form.
type field struct {
	Name, Label, Value string
	Mode               string // which keyboard a phone shows; empty for the usual one
	Problem            string // what the customer is to do about it; empty if nothing is wrong
	Focus              bool   // it is the first that is wrong
	Card               bool   // it is never sent back to the browser

	path string // of the request's field
	hint string // the Problem, if there is one
}

// form is what a customer fills in.
type form struct {
	Key      string // of the order: a form that is sent twice is one order
	Currency string
	fields   []*field
}

func newForm(key string) *form {
	return &form{Key: key, Currency: "USD", fields: []*field{
		{Name: "email", Label: "E-mail", Value: "ada@example.com", Mode: "email", path: "email", hint: "Enter an e-mail address, such as name@example.com."},
		{Name: "street", Label: "Street", Value: "1600 Amphitheatre Parkway", path: "address.street_address", hint: "Enter the street and the number of the house."},
		{Name: "city", Label: "City", Value: "Mountain View", path: "address.city", hint: "Enter the city."},
		{Name: "zip", Label: "ZIP or postal code", Value: "94043", path: "address.zip_code", hint: "Enter the postal code; in the United States it has five digits, such as 94043."},
		{Name: "state", Label: "State (optional)", Value: "CA", path: "address.state", hint: "Check the state."},
		{Name: "country", Label: "Country", Value: "United States", path: "address.country", hint: "Enter the country."},
		{Name: "card", Label: "Card number", Value: goodCard, Mode: "numeric", Card: true, path: "credit_card.credit_card_number", hint: "Check the card number: a digit is wrong or missing."},
		{Name: "month", Label: "Month", Value: "1", Mode: "numeric", Card: true, path: "credit_card.credit_card_expiration_month", hint: "Enter the month as on the card, from 1 to 12."},
		{Name: "year", Label: "Year", Value: "2099", Mode: "numeric", Card: true, path: "credit_card.credit_card_expiration_year", hint: "Check the year: the card has expired, or this is not a year such as 2030."},
		{Name: "cvv", Label: "CVV", Value: "672", Mode: "numeric", Card: true, path: "credit_card.credit_card_cvv", hint: "Enter the three or four digits on the back of the card."},
	}}
}

// Field is the field of that name.
func (f *form) Field(name string) *field {
	return f.fields[slices.IndexFunc(f.fields, func(one *field) bool { return one.Name == name })]
}

func (f *form) number(name string) int32 {
	n, err := strconv.ParseInt(f.Field(name).Value, 10, 32)
	if err != nil {
		return -1 // checkout refuses it
	}
	return int32(n)
}

// read reads a form that was sent, and the request that it makes.
func read(r *http.Request) (*form, *oteldemo.PlaceOrderRequest) {
	f := newForm(r.PostFormValue("key"))
	f.Currency = r.PostFormValue("currency")
	for _, one := range f.fields {
		one.Value = strings.TrimSpace(r.PostFormValue(one.Name))
	}
	request := &oteldemo.PlaceOrderRequest{
		UserId: customer(r), UserCurrency: f.Currency, Email: f.Field("email").Value, Address: f.address(),
		CreditCard: &oteldemo.CreditCardInfo{
			CreditCardNumber: f.Field("card").Value, CreditCardCvv: f.number("cvv"),
			CreditCardExpirationYear: f.number("year"), CreditCardExpirationMonth: f.number("month"),
		},
	}
	for _, one := range f.fields {
		if one.Card {
			one.Value = ""
		}
	}
	return f, request
}

func (f *form) address() *oteldemo.Address {
	get := func(name string) string { return f.Field(name).Value }
	return &oteldemo.Address{StreetAddress: get("street"), City: get("city"), State: get("state"), Country: get("country"), ZipCode: get("zip")}
}

// incomplete marks what a parcel cannot do without, and checkout accepts. Everything else is checked by checkout.
func (f *form) incomplete() bool {
	usual := regexp.MustCompile(`^[0-9]{5}(-[0-9]{4})?$`) // of the United States
	local := slices.Contains([]string{"united states", "usa", "us"}, strings.ToLower(f.Field("country").Value))
	for _, one := range f.fields {
		if !one.Card && one.Value == "" && one.Name != "state" || one.Name == "zip" && local && !usual.MatchString(one.Value) {
			f.markField(one.path)
		}
	}
	return f.wrong()
}

// wrong reports whether a field is marked.
func (f *form) wrong() bool {
	return slices.ContainsFunc(f.fields, func(one *field) bool { return one.Problem != "" })
}

// markField marks the field of the request's field, if the form has it.
func (f *form) markField(path string) {
	if path == "address" {
		path = "address.street_address"
	}
	first := true
	for _, one := range f.fields {
		if one.path == path {
			one.Problem = one.hint
		}
		one.Focus = one.Problem != "" && first
		first = first && !one.Focus
	}
}
