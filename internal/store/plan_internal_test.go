package store

import (
	"strings"
	"testing"

	"checkout/internal/order"
)

// TestNoSearchReadsAllOrders asks SQLite how it would carry the statements out: whatever is on record, it
// goes along an index, in its order.
func TestNoSearchReadsAllOrders(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	list := func(states ...order.State) string { return listOrders(bits(states...)) }
	for name, test := range map[string]struct {
		statement string
		sorts     bool // the few that it has found
	}{
		"all":                 {list(order.States()...), false},
		"completed":           {list(order.Completed), false},
		"declined":            {list(order.Declined), false},
		"refunded":            {list(order.Refunded), false},
		"not placed":          {list(order.Declined, order.Refunded, order.Cancelled), true},
		"attention":           {list(order.InDoubt, order.Refunding, order.Parked, order.Undelivered), true},
		"declined, in doubt":  {list(order.Declined, order.InDoubt), true},
		"user":                {searchOrders(byUser), false},
		"e-mail":              {searchOrders(byEmail), false},
		"transaction":         {searchOrders(byTransaction), false},
		"tracking":            {searchOrders(byTracking), false},
		"young":               {selectYoung, false},
		"order":               {selectOrder, false},
		"key":                 {selectKey, false},
		"audit":               {selectAudit, false},
		"audit of one order":  {selectOrderAudit, false},
		"backlog":             {countOrders, true},
		"to be given hashes":  {selectUnindexed, false},
		"final, to be purged": {deleteOrders, false},
	} {
		plan := strings.Split(strings.TrimSpace(explained(t, s, test.statement)), "\n")
		for _, step := range plan {
			unfinished := strings.HasSuffix(step, "orders_shipping") || strings.HasSuffix(step, "orders_delivery") || strings.HasSuffix(step, "orders_attention")
			if strings.HasPrefix(step, "SCAN orders") && !unfinished || strings.Contains(step, "TEMP B-TREE") && !test.sorts {
				t.Errorf("%s is looked for so:\n\t%s", name, strings.Join(plan, "\n\t"))
				break
			}
		}
		t.Logf("%s: %s", name, strings.Join(plan, "; "))
	}
}
