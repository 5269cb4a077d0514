package decision

import (
	"strings"
	"testing"

	"checkout/gen/checkout/checkoutv1"
)

func TestAnOrderThatRequiresAnOperatorSaysWhatToFindOut(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]*checkoutv1.Order{
		"":                                  {State: checkoutv1.OrderState_CHARGED},
		"not everything could be delivered": {State: checkoutv1.OrderState_UNDELIVERED, RequiresOperator: true},
		"provider. The payment service cannot be asked: it is a basic one.": {State: checkoutv1.OrderState_IN_DOUBT, RequiresOperator: true, Decisions: []string{"paid", "not_paid"}},
		"Look for a charge of this total at the payment provider.":          {State: checkoutv1.OrderState_IN_DOUBT, RequiresOperator: true, Decisions: []string{"paid", "retry"}},
		"no parcel is on record":       {State: checkoutv1.OrderState_PARKED, RequiresOperator: true, Decisions: []string{"shipped", "retry"}, TransactionId: "tx"},
		"whether it has sent a parcel": {State: checkoutv1.OrderState_PARKED, RequiresOperator: true, Decisions: []string{"shipped", "retry"}, TransactionId: "tx", ShipAttempts: 1},
		"the money is to be refunded":  {State: checkoutv1.OrderState_REFUNDING, RequiresOperator: true, Decisions: []string{"refunded", "retry"}},
	} {
		if got := Hint(o); !strings.Contains(got, want) || (got == "") != (want == "") || strings.Contains(want, "Look") && !strings.HasSuffix(got, want) {
			t.Errorf("%v: %q, want %q", o, got, want)
		}
	}
}
