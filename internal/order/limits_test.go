package order

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A limit is the largest value that is accepted, of money as of everything else, and a refusal names it.
func TestALimitIsTheLargestValueThatIsAccepted(t *testing.T) {
	t.Parallel()
	limits := Limits{Lines: 2, Quantity: 3, Pieces: 4, Price: 100, Total: 200}
	for name, test := range map[string]struct {
		price, shipping string
		cart            []Line
		refusal         string // empty: it is accepted
	}{
		"the price":           {"100.00", "0.00", []Line{{"telescope", 1}}, ""},
		"a cent more":         {"100.01", "0.00", []Line{{"telescope", 1}}, `product "telescope" costs USD 100.01, which is not between 0 and 100`},
		"the total":           {"100.00", "100.00", []Line{{"telescope", 1}}, ""},
		"a total a cent more": {"100.00", "100.01", []Line{{"telescope", 1}}, "adds up to USD 200.01, at most USD 200 is accepted"},
		"the quantity":        {"1.00", "0.00", []Line{{"telescope", 3}}, ""},
		"one more":            {"1.00", "0.00", []Line{{"telescope", 4}}, "not between 1 and 3"},
		"the pieces":          {"1.00", "0.00", []Line{{"telescope", 3}, {"lens", 1}}, ""},
		"one piece more":      {"1.00", "0.00", []Line{{"telescope", 3}, {"lens", 2}}, "more than 4 pieces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
				s.prices["telescope"], s.quote = usd(test.price), usd(test.shipping)
				s.carts["ada"] = test.cart
				_, err := NewPricing(s, s, s, s, limits).Price(t.Context(), request())
				switch {
				case test.refusal == "" && err != nil:
					t.Errorf("refused: %v", err)
				case test.refusal != "" && (err == nil || !strings.Contains(err.Error(), test.refusal)):
					t.Errorf("the error is %v, want %q in it", err, test.refusal)
				}
			})
		})
	}
}

func TestTheLengthOfATextIsCountedInCharacters(t *testing.T) {
	t.Parallel()
	for field, put := range map[string]func(*Request, string){
		"address.street_address": func(r *Request, s string) { r.Address.Street = s },
		"address.city":           func(r *Request, s string) { r.Address.City = s },
		"address.state":          func(r *Request, s string) { r.Address.State = s },
		"address.country":        func(r *Request, s string) { r.Address.Country = s },
		"address.zip_code":       func(r *Request, s string) { r.Address.ZipCode = s },
	} {
		req := request()
		put(&req, strings.Repeat("東", maxAddress))
		if err := req.Validate(time.Now()); err != nil {
			t.Errorf("%d characters of three bytes as %s: %v", maxAddress, field, err)
		}
		put(&req, strings.Repeat("東", maxAddress+1))
		var failure *Error
		if err := req.Validate(time.Now()); !errors.As(err, &failure) || failure.Violations[0] != (Violation{field, "has 257 characters, at most 256 are accepted"}) {
			t.Errorf("%d characters as %s: %v, want the number that is accepted", maxAddress+1, field, err)
		}
	}
}

func TestAProductWithTheNumberOfTheCardIsNotRecorded(t *testing.T) {
	for _, id := range []string{"4432801561520454", "card 4432-8015-6152-0454"} {
		s := newShop()
		s.carts["ada"] = []Line{{id, 1}}
		s.prices[id] = usd("1.00")
		if _, err := s.open(t).Place(t.Context(), request()); !errors.Is(err, ErrBadCart) || strings.Contains(err.Error(), "0454") {
			t.Errorf("product %q: %v, want that the cart cannot be ordered, without the number", id, err)
		}
	}
}
