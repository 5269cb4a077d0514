package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/order"
)

// backlogOf is the backlog, by state and deliveries; ages are in whole hours.
func backlogOf(t *testing.T, s interface {
	Backlog(ctx context.Context, tell func(order.State, order.Delivery, int, time.Duration)) error
},
) map[string]int {
	t.Helper()
	got := map[string]int{}
	if err := s.Backlog(t.Context(), func(state order.State, done order.Delivery, orders int, oldest time.Duration) {
		got[fmt.Sprintf("%v %d, oldest %dh", state, done, oldest/time.Hour)] += orders
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// countsTheUnfinished has orders of every state, some with deliveries done, each an hour older than the one before.
func countsTheUnfinished(t *testing.T, s interface {
	order.Store
	Backlog(ctx context.Context, tell func(order.State, order.Delivery, int, time.Duration)) error
},
) {
	t.Helper()
	if got := backlogOf(t, s); len(got) != 0 {
		t.Errorf("of no orders: %v", got)
	}
	for i, o := range []struct {
		state order.State
		done  order.Delivery
		hold  time.Duration
	}{
		{order.Charging, 0, time.Minute},
		{order.Charging, 0, -time.Minute},
		{order.InDoubt, 0, order.UntilResolved},
		{order.Refunding, 0, time.Minute},
		{order.Charged, 0, time.Minute},
		{order.Placed, order.CartSettled, time.Minute},
		{order.Placed, order.CartSettled | order.EmailSent, time.Minute},
		{order.Placed, order.CartSettled, -time.Minute},
		{order.Parked, 0, order.UntilResolved},
		{order.Completed, 7, time.Minute},
		{order.Declined, 0, time.Minute},
		{order.Refunded, 0, time.Minute},
		{order.Cancelled, 0, time.Minute},
	} {
		opened := &order.Order{
			ID: order.ID(fmt.Sprint("id-", i)), UserID: fmt.Sprint("user-", i), Epoch: 1, State: o.state, Delivered: o.done,
			Currency: "USD", Created: time.Now().Add(-time.Duration(i+1) * time.Hour),
		}
		if _, err := s.Open(t.Context(), order.Opening{Order: opened, Hold: o.hold, CartRead: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	givenUp := &order.Order{
		ID: "given-up", UserID: "given-up", Epoch: 1, State: order.Placed, Currency: "USD", Created: time.Now().Add(-20 * time.Hour),
		Delivered: order.CartSettled, Undeliverable: order.EmailSent,
	}
	if _, err := s.Open(t.Context(), order.Opening{Order: givenUp, Hold: time.Minute, CartRead: time.Now()}); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"charging 0, oldest 2h":  2,
		"in_doubt 0, oldest 3h":  1,
		"refunding 0, oldest 4h": 1,
		"charged 0, oldest 5h":   1,
		"placed 1, oldest 8h":    2,
		"placed 3, oldest 20h":   2, // the e-mail of one is sent, that of the other cannot be
		"parked 0, oldest 9h":    1,
	}
	if diff := cmp.Diff(want, backlogOf(t, s)); diff != "" {
		t.Errorf("backlog (-want +got):\n%s", diff)
	}
}

func TestTheBacklogIsWhatIsNotFinished(t *testing.T) {
	t.Parallel()
	s, err := Open(filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	countsTheUnfinished(t, s)
}

func TestTheBacklogIsCountedInIndexesAlone(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	plan := explained(t, s, countOrders)
	for _, index := range []string{"orders_shipping", "orders_delivery", "orders_attention"} {
		if !strings.Contains(plan, "SCAN orders USING INDEX "+index) {
			t.Errorf("the plan is\n%s\nwant it to use %s", plan, index)
		}
	}
	if strings.Contains(plan, "SCAN orders\n") {
		t.Errorf("the plan is\n%s\nand goes through all orders", plan)
	}
}

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
			s, err := Open(filepath.Join(b.TempDir(), "orders.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
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
