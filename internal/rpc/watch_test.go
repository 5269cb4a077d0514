package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/test/bufconn"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
)

// watching serves the record in virtual time, over a connection in memory.
func watching(t *testing.T, record Record, opts Options) checkoutv1.OrderServiceClient {
	t.Helper()
	opts.Orders = record
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	listener := bufconn.Listen(64 << 10)
	conn := dial(t, NewServer(nil, health.NewServer(), opts), listener,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	return checkoutv1.NewOrderServiceClient(conn)
}

// account is what a watch has told so far, and how it ended.
type account struct {
	orders []string // "n state", the last digits of the id first
	end    error
	done   bool
}

// follow watches until the test ends.
func follow(t *testing.T, client checkoutv1.OrderServiceClient, req *checkoutv1.WatchOrdersRequest) *account {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); synctest.Wait() })
	stream, err := client.WatchOrders(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	so := &account{}
	go func() {
		for {
			o, err := stream.Recv()
			if err != nil {
				so.end, so.done = err, true
				return
			}
			so.orders = append(so.orders, strings.TrimLeft(o.GetOrderId()[24:], "0")+" "+order.State(o.GetState()).String())
		}
	}()
	return so
}

// since is what has been told since it was last asked for, after the time for two looks.
func (so *account) since(t *testing.T) []string {
	t.Helper()
	time.Sleep(2 * watchEvery)
	synctest.Wait()
	orders := so.orders
	so.orders = nil
	return orders
}

// want wants to have been told just this.
func (so *account) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, so.since(t)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func fresh(n int, s order.State) order.Order {
	return order.Order{ID: id(n), State: s, Created: time.Now(), Changed: time.Now()}
}

func TestAWatchTellsOfWhatIsNewAndWhatHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		old := fresh(1, order.Parked)
		old.Created = time.Now().Add(-24 * time.Hour)
		record.put(old, fresh(2, order.Completed), fresh(3, order.Charging))
		so := follow(t, watching(t, record, Options{}), &checkoutv1.WatchOrdersRequest{})
		so.want(t, "what there is", "1 parked", "2 completed", "3 charging")
		so.want(t, "nothing happens")
		third := fresh(3, order.Placed)
		record.put(third, fresh(4, order.Declined))
		so.want(t, "an order goes on and another one comes", "3 placed", "4 declined")
		third.Attempts = 1
		record.put(third)
		so.want(t, "a try has failed", "3 placed")
		third.Epoch = 1
		record.put(third)
		so.want(t, "it was taken over", "3 placed")
		third.Delivered = order.EmailSent
		record.put(third)
		so.want(t, "something was delivered", "3 placed")
		old.State = order.Refunded
		record.put(old)
		so.want(t, "an old order comes to its end", "1 refunded")
	})
}

func TestAWatchOfStatesTellsOfComingAndGoing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		for n := range 300 { // a backlog that fills every window
			record.put(fresh(1000+n, order.Placed))
		}
		record.put(fresh(1, order.InDoubt), fresh(2, order.Charging), fresh(3, order.Completed))
		so := follow(t, watching(t, record, Options{}), &checkoutv1.WatchOrdersRequest{States: []checkoutv1.OrderState{checkoutv1.OrderState_IN_DOUBT}})
		so.want(t, "what there is", "1 in_doubt")
		record.put(fresh(2, order.InDoubt))
		so.want(t, "an order comes into doubt", "2 in_doubt")
		record.put(fresh(1, order.Cancelled), fresh(2, order.Charged))
		so.want(t, "both are resolved", "1 cancelled", "2 charged")
		record.put(fresh(2, order.Placed))
		so.want(t, "one goes on, in no doubt")
	})
}

func TestAWatchDoesNotTellTwiceOfWhatComesBackIntoItsWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		created := time.Now().Add(-time.Hour)
		for n := range watchWindow {
			record.put(order.Order{ID: id(1 + n), State: order.Placed, Created: created})
		}
		so := follow(t, watching(t, record, Options{}), &checkoutv1.WatchOrdersRequest{})
		if got := len(so.since(t)); got != watchWindow {
			t.Errorf("told of %d orders, want all %d", got, watchWindow)
		}
		record.put(fresh(1000, order.Placed))
		so.want(t, "a new order pushes the oldest out", "1000 placed")
		record.put(fresh(1000, order.Completed))
		so.want(t, "and ends", "1000 completed")
		record.put(order.Order{ID: id(1), State: order.Completed, Created: created})
		so.want(t, "the oldest ends", "1 completed")
	})
}

func TestAWatchOfAQuietRecordReadsLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		for n := range watchWindow {
			record.put(fresh(n, order.Completed), fresh(1000+n, order.Placed))
		}
		so := follow(t, watching(t, record, Options{}), &checkoutv1.WatchOrdersRequest{})
		so.since(t)
		for n := range watchWindow { // the unfinished ones are more than it looks at
			record.put(fresh(2000+n, order.Placed))
		}
		time.Sleep(watchOverlap)
		so.since(t)
		before := record.reads()
		time.Sleep(10 * watchEvery)
		if got := record.reads() - before; got > 11*watchWindow {
			t.Errorf("10 looks have read %d orders, want one window each", got)
		}
	})
}

func TestAWatchRemembersSoManyOrdersAndNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		s := newOrders(Options{Orders: record, Log: slog.New(slog.DiscardHandler)})
		w := &watch{orders: s, told: map[order.ID]sighting{}}
		most := 0
		for n := range 30 * watchWindow {
			record.put(fresh(n, order.Completed))
			if n%watchWindow == 0 {
				if _, _, err := w.look(t.Context()); err != nil {
					t.Fatal(err)
				}
				most = max(most, len(w.told))
			}
		}
		if most > maxTold || most < maxTold-2*watchWindow {
			t.Errorf("a watch remembers up to %d orders, want nearly %d", most, maxTold)
		}
	})
}

func TestAWatchOfOneOrderEndsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		record.put(fresh(1, order.Charged), fresh(2, order.Charged))
		so := follow(t, watching(t, record, Options{}), &checkoutv1.WatchOrdersRequest{OrderId: string(id(1))})
		so.want(t, "at first", "1 charged")
		record.put(fresh(1, order.Placed), fresh(2, order.Placed))
		so.want(t, "on its way", "1 placed")
		record.put(fresh(1, order.Completed))
		so.want(t, "at last", "1 completed")
		if !errors.Is(so.end, io.EOF) {
			t.Errorf("the watch ends with %v, want none", so.end)
		}
	})
}

func TestAWatchOfNoOrderIsNotFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		so := follow(t, watching(t, &shelf{}, Options{}), &checkoutv1.WatchOrdersRequest{OrderId: string(id(1))})
		so.want(t, "of no order")
		wantRefusal(t, so.end, codes.NotFound, "ORDER_NOT_FOUND")
	})
}

func TestAWatchOutlivesAShortOutageOfTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &shelf{}
		record.put(fresh(1, order.Charged))
		client := watching(t, record, Options{})
		all, one := follow(t, client, &checkoutv1.WatchOrdersRequest{}), follow(t, client, &checkoutv1.WatchOrdersRequest{OrderId: string(id(1))})
		all.want(t, "before", "1 charged")
		one.want(t, "before", "1 charged")
		time.Sleep(2 * watchPatience)
		record.fail(errors.New("disk I/O error"))
		time.Sleep(watchPatience / 2)
		record.put(fresh(1, order.Placed))
		record.fail(nil)
		all.want(t, "after", "1 placed")
		one.want(t, "after", "1 placed")
		record.fail(errors.New("disk I/O error"))
		time.Sleep(watchPatience)
		all.want(t, "in a long one")
		wantRefusal(t, all.end, codes.Unavailable, "UNAVAILABLE")
		wantRefusal(t, one.end, codes.Unavailable, "UNAVAILABLE")
	})
}

func TestAWatchDoesNotHoldUpTheEndOfTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		drained, drain := context.WithCancel(t.Context())
		so := follow(t, watching(t, &shelf{}, Options{Drained: drained}), &checkoutv1.WatchOrdersRequest{})
		so.want(t, "before")
		drain()
		synctest.Wait()
		wantRefusal(t, so.end, codes.Unavailable, "UNAVAILABLE")
	})
}

func TestThereAreOnlySoManyWatchesAndTheirPlacesComeFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := watching(t, &shelf{}, Options{})
		ctx, hangUp := context.WithCancel(t.Context())
		for range maxWatchers {
			if _, err := client.WatchOrders(ctx, &checkoutv1.WatchOrdersRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		late := follow(t, client, &checkoutv1.WatchOrdersRequest{})
		late.want(t, "one too many")
		wantRefusal(t, late.end, codes.ResourceExhausted, "OVERLOADED")
		hangUp()
		synctest.Wait()
		next := follow(t, client, &checkoutv1.WatchOrdersRequest{})
		next.want(t, "when the others have gone")
		if next.done {
			t.Errorf("the next watch ends with %v, want it to go on", next.end)
		}
	})
}

// buggy is a Record with a bug.
type buggy struct{ *shelf }

func (buggy) List(context.Context, lookup.Query) ([]*order.Order, order.ID, error) { panic("a bug") }

func TestAPanicInAWatchEndsItAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		client := watching(t, buggy{&shelf{}}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		so := follow(t, client, &checkoutv1.WatchOrdersRequest{})
		so.want(t, "a bug")
		wantRefusal(t, so.end, codes.Internal, "INTERNAL")
		if !strings.Contains(log.String(), "a bug") {
			t.Errorf("logged %q, want the panic", &log)
		}
	})
}
