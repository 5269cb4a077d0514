//go:build unix

package store

import (
	"strings"
	"testing"

	"checkout/internal/test/pgtest"
)

func TestTheBacklogIsWhatIsNotFinishedInPostgreSQL(t *testing.T) {
	t.Parallel()
	s, err := OpenPostgres(t.Context(), pgtest.Start(t).Fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	countsTheUnfinished(t, s)
}

func TestTheBacklogIsCountedInIndexesOfPostgreSQLAlone(t *testing.T) {
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
	if _, err := c.ExecContext(t.Context(), `
		INSERT INTO orders (id, state, epoch, due, user_id, key, latest_of, settled, delivered, attempts, created, changed, body)
		SELECT lpad(n::text, 8, '0'), CASE n % 1000 WHEN 0 THEN 1 WHEN 1 THEN 3 WHEN 2 THEN 10 ELSE 4 END,
			1, n, n::text, n::text, n::text, n, 7, 0, n, n, '\x' FROM generate_series(1, 20000) AS n;
		ANALYZE orders`); err != nil {
		t.Fatal(err)
	}
	plan := explainedByPostgres(t, c, countOrders, "10000")
	for _, index := range []string{"orders_unshipped", "orders_undelivered", "orders_attention"} {
		if !strings.Contains(plan, index) {
			t.Errorf("the plan is\n%s\nwant it to use %s", plan, index)
		}
	}
	if strings.Contains(plan, "Seq Scan on orders") {
		t.Errorf("the plan is\n%s\nand goes through all orders", plan)
	}
}
