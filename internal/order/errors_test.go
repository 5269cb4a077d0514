package order

import (
	"errors"
	"testing"
)

func TestALimitOfACustomerIsNoOverload(t *testing.T) {
	t.Parallel()
	err := &Error{Kind: ErrOverloaded, Err: Limit("too many declined charges of one user")}
	if got := err.Error(); got != "too many declined charges of one user" || !errors.Is(err, ErrOverloaded) {
		t.Errorf("the error is %q, want that of the limit alone", got)
	}
}
