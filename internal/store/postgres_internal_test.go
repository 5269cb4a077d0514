//go:build unix

package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"checkout/internal/order"
	"checkout/internal/test/pgtest"
)

func TestOrdersAreFoundByAnIndexOfPostgreSQL(t *testing.T) {
	t.Parallel()
	s, err := OpenPostgres(t.Context(), pgtest.Start(t).Fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = c.ExecContext(t.Context(), `
		INSERT INTO orders (id, state, epoch, due, user_id, key, latest_of, settled, delivered, attempts, created, changed, body)
		SELECT lpad(n::text, 8, '0'), CASE n % 1000 WHEN 0 THEN 1 WHEN 1 THEN 3 WHEN 2 THEN 10 ELSE 4 END,
			1, n, n::text, n::text, n::text, n, 7, 0, n, n, '\x' FROM generate_series(1, 20000) AS n;
		ANALYZE orders`)
	if err != nil {
		t.Fatal(err)
	}
	placed, _ := updateOrder(&record{state: order.Placed}, terms{transaction: int64(1), tracking: int64(1)})
	everything, unfinished := bits(order.States()...), bits(order.Charging, order.Placed, order.Parked)
	for _, test := range []struct {
		statement string
		arguments string
		indexes   []string
	}{
		{claimShipping, "10, 1000", []string{"orders_unshipped"}},
		{claimDelivery, "10, 1000", []string{"orders_undelivered"}},
		{deleteOrders, "10", []string{"orders_final"}},
		{takeOrder, "'1'", []string{"orders_pkey"}},
		{selectPart, "'', 500, 'ada'", []string{"orders_pkey"}},
		{eraseOrder, "'1'", []string{"orders_pkey"}},
		{placed, "1, 1, 1, 1, 1, '', true, '1', 1, 1, 1, 1", []string{"orders_pkey"}},
		{searchOrders(byEmail), "1, '', 'g', 250", []string{"orders_email"}},
		{searchOrders(byUser), "1, '', 'g', 250", []string{"orders_user"}},
		{searchOrders(byTransaction), "1, '', 'g', 250", []string{"orders_transaction"}},
		{searchOrders(byTracking), "1, '', 'g', 250", []string{"orders_tracking"}},
		{selectOrder, "'1'", []string{"orders_pkey"}},
		{selectLatest, "'1'", []string{"orders_latest"}},
		{selectKey, "'1', '1'", []string{"orders_key"}},
		{selectConflicts, "'1', '1', '1'", []string{"orders_pkey", "orders_latest", "orders_key"}},
		{countOrders, "10000", []string{"orders_unshipped", "orders_undelivered", "orders_attention"}},
		{listOrders(everything), "'', 'g', 2046, 0, 1000000, 50", []string{"orders_pkey"}},
		{listOrders(unfinished), "'', 'g', 1034, 0, 1000000, 50", []string{"orders_unshipped", "orders_undelivered", "orders_attention"}},
	} {
		plan := explainedByPostgres(t, c, test.statement, test.arguments)
		for _, index := range test.indexes {
			if !strings.Contains(plan, index) {
				t.Errorf("the plan of %s\nis\n%s\nwant it to use %s", test.statement, plan, index)
			}
		}
		if strings.Contains(plan, "Seq Scan on orders") {
			t.Errorf("the plan of %s\nis\n%s\nand goes through all orders", test.statement, plan)
		}
	}
}

func explainedByPostgres(t *testing.T, c *sql.Conn, statement, arguments string) string {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), "PREPARE s AS "+postgresText(statement)); err != nil {
		t.Fatal(err)
	}
	rows, err := c.QueryContext(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE s(%s)", arguments))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(t.Context(), "DEALLOCATE s"); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
