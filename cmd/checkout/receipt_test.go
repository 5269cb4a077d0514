package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"checkout/gen/oteldemo"
	"checkout/internal/rpc"
)

func TestAReceiptSaysHowFarTheOrderIs(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		"":        "tracking  T-4711\n",
		"charged": "state     charged: paid, will be shipped\n",
		"parked":  "state     parked: paid; an operator finds out whether it was shipped\n",
	} {
		var trailer metadata.MD
		if state != "" {
			trailer = metadata.Pairs(rpc.StateTrailer, state)
		}
		var page strings.Builder
		process{stdout: &page}.receipt(&oteldemo.OrderResult{OrderId: id(1), ShippingTrackingId: "T-4711"}, trailer)
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q: the receipt is %q, want %q in it", state, page.String(), want)
		}
	}
}
