package store

import (
	"context"
	"strings"
	"testing"

	"checkout/internal/order"
)

// TestNoSearchReadsAllOrders asks SQLite how it would carry the statements out: whatever is on record, it
// goes along an index, in its order.
func TestNoSearchReadsAllOrders(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	list := func(states ...order.State) string { return listOrders(bits(states...)) }
	for name, test := range map[string]struct {
		statement  string
		parameters int
		sorts      bool // the few that it has found
	}{
		"all":                 {list(order.States()...), 6, false},
		"completed":           {list(order.Completed), 6, false},
		"declined":            {list(order.Declined), 6, false},
		"refunded":            {list(order.Refunded), 6, false},
		"not placed":          {list(order.Declined, order.Refunded, order.Cancelled), 6, true},
		"attention":           {list(order.InDoubt, order.Refunding, order.Parked, order.Undelivered), 6, true},
		"declined, in doubt":  {list(order.Declined, order.InDoubt), 6, true},
		"user":                {searchOrders(byUser), 4, false},
		"e-mail":              {searchOrders(byEmail), 4, false},
		"transaction":         {searchOrders(byTransaction), 4, false},
		"tracking":            {searchOrders(byTracking), 4, false},
		"young":               {selectYoung, 3, false},
		"order":               {selectOrder, 1, false},
		"key":                 {selectKey, 2, false},
		"audit":               {selectAudit, 3, false},
		"audit of one order":  {selectOrderAudit, 4, false},
		"backlog":             {countOrders, 1, true},
		"to be given hashes":  {selectUnindexed, 3, false},
		"final, to be purged": {deleteOrders, 1, false},
	} {
		args := make([]any, test.parameters)
		for i := range args {
			args[i] = 1
		}
		var plan []string
		if err := s.do(t.Context(), other, func(ctx context.Context, t session) (err error) {
			rows, err := t.rows(ctx, "EXPLAIN QUERY PLAN "+test.statement, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, parent, unused int
				var step string
				if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
					return err
				}
				plan = append(plan, step)
			}
			return rows.Err()
		}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
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
