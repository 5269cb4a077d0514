package order

import (
	"errors"
	"strings"
	"testing"
	"time"
)

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
