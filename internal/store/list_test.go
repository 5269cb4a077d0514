package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
)

// BenchmarkList looks at a record of 100,000 orders of which all but 200 are over.
func BenchmarkList(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "orders.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	body, err := proto.Marshal(&recordv1.Order{Reason: strings.Repeat("x", 600)})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.do(b.Context(), other, func(ctx context.Context, t session) error {
		_, err := t.exec(ctx, `
			WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
			INSERT INTO orders (id, state, epoch, due, user_id, delivered, attempts, created, changed, body, key, latest_of, settled) SELECT
				printf('%08x-%04x-774b-bcce-b302099a8057', n * 1000 >> 16, n * 1000 & 65535),
				CASE n % 1000 WHEN 0 THEN 1 WHEN 1 THEN 10 ELSE 4 END, 1, 0, n, 7, 0, n * 1000, n * 1000, $1, n, n, n
			FROM numbers`, body)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	for name, q := range map[string]lookup.Query{
		"unfinished":      {States: []order.State{order.Charging, order.InDoubt, order.Parked}, Limit: 50},
		"the last page":   {Before: "00000000-c350", Limit: 50},
		"an hour":         {From: at(50_000), Until: at(53_600), Limit: 50},
		"hardly any":      {States: []order.State{order.Refunded}, Limit: 50},
		"the newest page": {Limit: 50},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.List(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
