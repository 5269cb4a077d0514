package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"checkout/gen/checkout/checkoutv1"
)

func TestOrdersAreUnfinishedOrRequireAnOperatorInTheStatesThatSaySo(t *testing.T) {
	t.Parallel()
	unfinished := []checkoutv1.OrderState{
		checkoutv1.OrderState_CHARGING, checkoutv1.OrderState_CHARGED, checkoutv1.OrderState_PLACED,
		checkoutv1.OrderState_IN_DOUBT, checkoutv1.OrderState_REFUNDING, checkoutv1.OrderState_PARKED, checkoutv1.OrderState_UNDELIVERED,
	}
	if diff := cmp.Diff(unfinished, UnfinishedStates()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(unfinished[3:], OperatorStates()); diff != "" {
		t.Error(diff)
	}
}
