//go:build real

package real

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/process"
)

// shop is our own shop around the service, of which there are some replicas with one record.
type shop struct {
	*demo.Shop
	environ  map[string]string
	replicas []*process.Service

	mu      sync.Mutex
	placed  map[string]time.Duration // by order id: until the answer
	last    time.Time                // when an order was placed
	outage  time.Duration            // the longest time in which none was, though there were customers
	refused map[codes.Code]int
}

// openShop starts it. Events go to k, unless that is nil; db is the record, a file if empty.
// The environment has precedence.
func openShop(t testing.TB, k *kafka, db string, replicas int, environ ...map[string]string) *shop {
	t.Helper()
	s := &shop{Shop: demotest.Start(t), placed: make(map[string]time.Duration), refused: make(map[codes.Code]int)}
	s.Shipping.HonourKeys(true) // or a kill may send a second parcel
	s.environ = s.Environ()
	maps.Copy(s.environ, map[string]string{
		"GOMEMLIMIT": "64MiB", "CHECKOUT_DB": db, "CHECKOUT_PUBLIC_ORDERS": "true", "SHIPPING_MODE": "keyed",
		"CHECKOUT_CORE_DUMPS": "true", // or /proc/PID/io would be root's alone
	})
	if db == "" {
		s.environ["CHECKOUT_DB"] = filepath.Join(t.TempDir(), "orders.db")
	}
	if k != nil {
		s.environ["KAFKA_ADDR"] = k.brokers[0].address
	}
	for _, e := range environ {
		maps.Copy(s.environ, e)
	}
	for range replicas {
		s.replicas = append(s.replicas, nil)
		s.start(t, len(s.replicas)-1)
	}
	t.Cleanup(func() {
		for _, r := range s.replicas {
			if t.Failed() {
				t.Logf("%s", tail(r.Output()))
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func (s *shop) start(t testing.TB, i int) {
	t.Helper()
	r, err := process.Serve(t.Context(), executable(t), s.environ, "")
	if err != nil {
		t.Fatal(err)
	}
	s.replicas[i] = r
}

func executable(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CHECKOUT_BINARY")
	if path == "" {
		t.Fatal("CHECKOUT_BINARY names no executable of the service")
	}
	return path
}

// kill ends a replica in the middle of what it does, and starts another one in its place.
func (s *shop) kill(t testing.TB, i int) {
	t.Helper()
	s.replicas[i].Kill()
	s.start(t, i)
}

func tail(output []byte) []byte { return output[max(0, len(output)-4000):] }

// customers places orders, rate of them a second, until the returned function is called, which waits for the last answer.
func (s *shop) customers(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s.mu.Lock()
	s.last = time.Now()
	s.mu.Unlock()
	var all sync.WaitGroup
	all.Go(func() {
		next := time.NewTicker(time.Second / rate)
		defer next.Stop()
		for n := 0; ; n++ {
			select {
			case <-next.C:
				conn := s.replicas[n%len(s.replicas)].Conn
				all.Go(func() { s.buy(t, conn, fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano())) })
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); all.Wait() }
}

// more waits until so many more orders are placed.
func (s *shop) more(t testing.TB, orders int) {
	t.Helper()
	s.mu.Lock()
	want := len(s.placed) + orders
	s.mu.Unlock()
	eventually(t, "more orders are placed", func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.placed) < want {
			return fmt.Errorf("%d, want %d; refused: %v", len(s.placed), want, s.refused)
		}
		return nil
	})
}

// orders has customers place so many orders or a few more.
func (s *shop) orders(t testing.TB, orders int) {
	t.Helper()
	stop := s.customers(t)
	s.more(t, orders)
	stop()
}

// buy buys something, once, and returns the order's id.
func (s *shop) buy(t testing.TB, conn *grpc.ClientConn, user string) (id string, answer codes.Code) {
	s.Cart.Put(user, "OLJCESPC7Z", 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	began := time.Now()
	resp, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, demo.Order(user, "USD"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.refused[status.Code(err)]++
		return "", status.Code(err)
	}
	now := time.Now()
	id = resp.GetOrder().GetOrderId()
	s.placed[id] = now.Sub(began)
	if !s.last.IsZero() {
		s.outage = max(s.outage, now.Sub(s.last))
	}
	s.last = now
	return id, codes.OK
}

// audit waits until all orders on record are finished, and compares the record, the ledgers and the events. Every order that
// was answered must be there, and every charge must have its parcel, its e-mail and at least one event.
func (s *shop) audit(t testing.TB, events func(testing.TB) (map[string]int, error)) {
	t.Helper()
	began := time.Now()
	var completed, doubtful []string
	eventually(t, "all orders are finished", func(ctx context.Context) error {
		completed, doubtful = nil, nil
		orders, err := s.record(ctx)
		if err != nil {
			return err
		}
		for _, o := range orders {
			switch o.GetState() {
			case checkoutv1.OrderState_COMPLETED:
				completed = append(completed, o.GetOrderId())
			case checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_CANCELLED:
			case checkoutv1.OrderState_IN_DOUBT:
				doubtful = append(doubtful, o.GetOrderId())
			default:
				return fmt.Errorf("order %s is in state %s: %s", o.GetOrderId(), o.GetState(), o.GetReason())
			}
		}
		return nil
	})
	drained := time.Since(began)
	ledgers := s.Ledgers().Orders
	published, err := events(t)
	if err != nil {
		t.Fatal(err)
	}
	twice := 0
	for _, id := range completed {
		l := ledgers[id]
		if l.Net() != 1 || l.Parcels != 1 || l.Emails == 0 || published[id] == 0 {
			t.Errorf("order %s: %d charges, %d parcels, %d e-mails, %d events", id, l.Net(), l.Parcels, l.Emails, published[id])
		}
		twice += published[id] - 1
	}
	for id, l := range ledgers {
		if l.Net() > 0 && !slices.Contains(completed, id) && !slices.Contains(doubtful, id) {
			t.Errorf("order %s was charged, and is not on record as completed", id)
		}
	}
	for id := range s.placed {
		if !slices.Contains(completed, id) {
			t.Errorf("order %s was answered, and is not on record as completed", id)
		}
	}
	if len(s.placed) == 0 {
		t.Error("no order was placed: nothing was tested")
	}
	times := slices.Sorted(maps.Values(s.placed))
	t.Logf("%d orders placed (p99 %v), %v refused, none placed for at most %v, %d completed, %d in doubt, %d events twice; finished %v after the last answer",
		len(times), times[len(times)*99/100].Round(time.Millisecond), s.refused, s.outage.Round(100*time.Millisecond),
		len(completed), len(doubtful), twice, drained.Round(100*time.Millisecond))
}

// awaitPending waits until so many orders, or more, have only their event pending, one of them for the reason, and the others
// are completed.
func (s *shop) awaitPending(t testing.TB, orders int, reason string) {
	t.Helper()
	eventually(t, "orders wait for their events, because of "+reason, func(ctx context.Context) error {
		all, err := s.record(ctx)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(o *checkoutv1.Order) bool { return o.GetState() == checkoutv1.OrderState_COMPLETED })
		if len(all) < orders {
			return fmt.Errorf("only %d do", len(all))
		}
		for _, o := range all {
			if !slices.Equal(o.GetPending(), []string{"event"}) {
				return fmt.Errorf("order %s is in state %s, and has pending: %v", o.GetOrderId(), o.GetState(), o.GetPending())
			}
		}
		for _, o := range all {
			whole, err := checkoutv1.NewOrderServiceClient(s.replicas[0].Conn).GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: o.GetOrderId()})
			if err != nil {
				return err
			}
			if slices.ContainsFunc(whole.GetHistory(), func(e *checkoutv1.Event) bool { return strings.Contains(e.GetProblem(), reason) }) {
				return nil
			}
		}
		return errors.New("but none of them for the reason")
	})
}

// record are all orders on record.
func (s *shop) record(ctx context.Context) (orders []*checkoutv1.Order, err error) {
	client := checkoutv1.NewOrderServiceClient(s.replicas[0].Conn)
	for req := (&checkoutv1.ListOrdersRequest{PageSize: 500}); ; {
		page, err := client.ListOrders(ctx, req, grpc.MaxCallRecvMsgSize(16<<20))
		if err != nil {
			return nil, err
		}
		orders = append(orders, page.GetOrders()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return orders, nil
		}
	}
}

// retry has all orders tried again that wait for an operator.
func (s *shop) retry(t testing.TB) {
	t.Helper()
	conn, err := process.Connect(s.replicas[0].Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	orders, err := s.record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orders {
		req := &checkoutv1.RetryOrderRequest{OrderId: o.GetOrderId(), By: "the test", Why: "events of that size are accepted now"}
		if _, err := checkoutv1.NewOrderAdminClient(conn).RetryOrder(t.Context(), req); err != nil {
			t.Error(err)
		}
	}
}
