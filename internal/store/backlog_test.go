package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/order"
)

func TestCountingTheBacklogEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backlog(ctx, func(order.State, order.Delivery, int, time.Duration) {}); err == nil {
		t.Error("counted for nobody")
	}
}

// populate puts n orders into a record, of which each one in so many is placed; the others are over.
func populate(b *testing.B, s *SQLite, n, each int) {
	b.Helper()
	body, err := proto.Marshal(&recordv1.Order{Reason: strings.Repeat("x", 600)})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.do(b.Context(), other, func(ctx context.Context, t session) error {
		_, err := t.exec(ctx, `
			WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)
			INSERT INTO orders (id, state, epoch, due, user_id, delivered, attempts, created, changed, body, key, latest_of, settled) SELECT
				printf('%08x-%04x-774b-bcce-b302099a8057', n * 1000 >> 16, n * 1000 & 65535),
				CASE n % $3 WHEN 0 THEN 3 ELSE 4 END, 1, 0, n, 1, 0, n * 1000, n * 1000, $1, n, n, n
			FROM numbers`, body, n, each)
		return err
	}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBacklog counts a record of 100,000 orders: when all is well, and when no e-mail has been taken for hours.
func BenchmarkBacklog(b *testing.B) {
	for name, each := range map[string]int{"100 unfinished": 1000, "20,000 unfinished": 5} {
		b.Run(name, func(b *testing.B) {
			s := openAt(b, filepath.Join(b.TempDir(), "orders.db"))
			populate(b, s, 100_000, each)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Backlog(b.Context(), func(order.State, order.Delivery, int, time.Duration) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
