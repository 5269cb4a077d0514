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

// BenchmarkList looks for orders among 1,000,000: a minute to make, so it is no test.
func BenchmarkList(b *testing.B) {
	s := openAt(b, filepath.Join(b.TempDir(), "orders.db"))
	body, err := proto.Marshal(&recordv1.Order{Reason: strings.Repeat("x", 400), TransactionId: "tx", TrackingId: "parcel", Email: "ada@example.com"})
	if err != nil {
		b.Fatal(err)
	}
	for first := 0; first < 1_000_000; first += 100_000 {
		if err := s.do(b.Context(), other, func(ctx context.Context, t session) error {
			_, err := t.exec(ctx, `
				WITH RECURSIVE numbers (n) AS (SELECT $2 + 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2 + 100000)
				INSERT INTO orders (id, state, epoch, due, user_id, delivered, attempts, created, changed, body, key, latest_of, settled,
					user_hash, email_hash, transaction_hash, tracking_hash)
				SELECT printf('%08x-%04x-774b-bcce-b302099a8057', n * 1000 >> 16, n * 1000 & 65535),
					CASE WHEN n % 1000 = 0 THEN 10 WHEN n % 20 = 1 THEN 5 ELSE 4 END, 1, 0, 'user ' || n % 1000, 7, 0, n * 1000, n * 1000, $1, n, n, n,
					n % 1000, n, n * 7919, n * 104729
				FROM numbers`, body, first)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	user := s.hash(term{byUser, "user 7"})
	email, transaction, tracking := s.hash(term{byEmail, "ada@example.com"}), s.hash(term{byTransaction, "tx"}), s.hash(term{byTracking, "parcel"})
	if err := s.do(b.Context(), other, func(ctx context.Context, t session) error {
		_, err := t.exec(ctx, "UPDATE orders SET user_hash = $1 WHERE user_hash = 7", user)
		if err == nil {
			_, err = t.exec(ctx, "UPDATE orders SET email_hash = $1, transaction_hash = $2, tracking_hash = $3 WHERE email_hash = 500007", email, transaction, tracking)
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	for name, q := range map[string]lookup.Query{
		"user":              {UserID: "user 7"},
		"user and e-mail":   {UserID: "user 7", Email: "Ada@example.com"},
		"user and state":    {UserID: "user 7", States: []order.State{order.Refunded}},
		"transaction":       {TransactionID: "tx"},
		"tracking":          {TrackingID: "parcel"},
		"id":                {Prefix: "00001d"},
		"nobody":            {UserID: "nobody"},
		"attention":         {States: []order.State{order.InDoubt, order.Parked, order.Undelivered}},
		"declined":          {States: []order.State{order.Declined}},
		"refunded":          {States: []order.State{order.Refunded}},
		"not placed":        {States: []order.State{order.Declined, order.Refunded, order.Cancelled}},
		"declined, parked":  {States: []order.State{order.Declined, order.Parked}},
		"an hour":           {From: at(500_000), Until: at(503_600)},
		"a page in between": {Before: "00001d"},
		"the newest page":   {},
	} {
		b.Run(name, func(b *testing.B) {
			q.Limit = 50
			for b.Loop() {
				if _, _, err := s.List(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
