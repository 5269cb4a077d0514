package rpc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/order"
)

// nobody is a census of an empty record.
func nobody(context.Context, func(order.State, order.Delivery, int, time.Duration)) error { return nil }

// idle is the load of a service that does nothing.
func idle() (limit, underWay int, turnedAway int64) { return 256, 0, 0 }

// inMemory runs a server until the test ends, over connections in memory, so that time may be virtual.
func inMemory(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	return dial(t, server, listener, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
}

// watchingFigures is a watch of figures.
func watchingFigures(t *testing.T, f *Figures, req *checkoutv1.WatchFiguresRequest) grpc.ServerStreamingClient[checkoutv1.Figures] {
	t.Helper()
	server := NewAdminServer(nil, health.NewServer(), Options{Figures: f, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := checkoutv1.NewFigureServiceClient(inMemory(t, server)).WatchFigures(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return stream
}

func mustRecv(t *testing.T, stream grpc.ServerStreamingClient[checkoutv1.Figures]) *checkoutv1.Figures {
	t.Helper()
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryEndOfACallIsCounted(t *testing.T) {
	t.Parallel()
	f := NewFigures("a record", nobody, idle)
	var next func() (*order.Order, error)
	conn := inMemory(t, NewServer(placing(func(context.Context, order.Request) (*order.Order, error) { return next() }),
		health.NewServer(), Options{Figures: f, Deadline: time.Minute, Log: slog.New(slog.DiscardHandler)}))
	want := map[string]int64{"placed": 1, "paid": 1, "repeated": 2, "INTERNAL": 2} // an error of no kind is a bug, too
	ends := []func() (*order.Order, error){
		func() (*order.Order, error) { return &order.Order{State: order.Placed, Created: time.Now()}, nil },
		func() (*order.Order, error) { return &order.Order{State: order.Charged, Created: time.Now()}, nil },
		func() (*order.Order, error) { return &order.Order{State: order.Completed, Repeated: true}, nil },
		func() (*order.Order, error) { return nil, &order.Error{Kind: order.ErrInDoubt, Repeated: true} },
		func() (*order.Order, error) { return nil, errors.New("no kind") },
	}
	for _, kind := range kinds() {
		ends = append(ends, func() (*order.Order, error) { return nil, &order.Error{Kind: kind} })
		if _, reason, _ := answerTo(kind); kind != order.ErrInternal {
			want[reason] = 1
		}
	}
	for _, next = range ends {
		_, _ = oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{})
	}
	told := mustRecv(t, watchingFigures(t, f, &checkoutv1.WatchFiguresRequest{}))
	got := map[string]int64{}
	for _, o := range told.GetOutcomes() {
		got[o.GetName()] = o.GetOrders()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls by their ends (-want +got):\n%s", diff)
	}
	var calls int64
	for _, n := range told.GetLatency().GetCalls() {
		calls += n
	}
	if calls != 2 {
		t.Errorf("the latencies are of %d calls, want 2: of those that placed an order", calls)
	}
}

func TestALatencyIsCountedWithinItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFigures("a record", nobody, idle)
		for _, took := range []time.Duration{0, time.Millisecond, 100*time.Millisecond + 1, 30 * time.Second, time.Minute} {
			start := time.Now()
			time.Sleep(took)
			f.count(start, &order.Order{State: order.Placed, Created: start}, nil)
		}
		told := mustRecv(t, watchingFigures(t, f, &checkoutv1.WatchFiguresRequest{})).GetLatency()
		got := map[float64]int64{}
		for i, n := range told.GetCalls() {
			if n > 0 {
				got[append(told.GetBounds(), -1)[i]] = n
			}
		}
		want := map[float64]int64{0.001: 2, 0.15: 1, 30: 1, -1: 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("calls by their bounds (-want +got):\n%s", diff)
		}
	})
}

func TestFiguresTellOfTheRecordAndTheLoad(t *testing.T) {
	t.Parallel()
	census := func(_ context.Context, tell func(order.State, order.Delivery, int, time.Duration)) error {
		tell(order.Placed, order.CartSettled, 2, time.Minute)
		tell(order.Placed, order.CartSettled|order.EmailSent, 3, time.Hour)
		tell(order.InDoubt, 0, 1, time.Second)
		tell(order.Undelivered, order.CartSettled, 4, 2*time.Hour) // nothing is pending: an operator decides
		return nil
	}
	f := NewFigures("a record", census, func() (int, int, int64) { return 100, 7, 12 })
	told := mustRecv(t, watchingFigures(t, f, &checkoutv1.WatchFiguresRequest{}))
	if told.GetLimit() != 100 || told.GetUnderWay() != 7 || told.GetTurnedAway() != 12 {
		t.Errorf("limit %d, under way %d, turned away %d; want 100, 7, 12", told.GetLimit(), told.GetUnderWay(), told.GetTurnedAway())
	}
	type standing struct {
		Orders      int64
		Oldest      time.Duration
		NeedsPerson bool
	}
	got := map[string]standing{}
	for _, s := range told.GetCensus().GetStates() {
		got[s.GetState().String()] = standing{s.GetOrders(), s.GetOldest().AsDuration(), s.GetNeedsPerson()}
	}
	for _, o := range told.GetCensus().GetOwed() {
		got[o.GetDelivery()] = standing{o.GetOrders(), o.GetOldest().AsDuration(), false}
	}
	want := map[string]standing{
		"CHARGING": {}, "CHARGED": {}, "PLACED": {5, time.Hour, false}, "IN_DOUBT": {1, time.Second, true},
		"REFUNDING": {NeedsPerson: true}, "PARKED": {NeedsPerson: true}, "UNDELIVERED": {4, 2 * time.Hour, true},
		"cart": {}, "email": {2, time.Minute, false}, "event": {5, time.Hour, false},
	}
	if diff := cmp.Diff(want, got); diff != "" || told.GetCensus().GetRecord() != "a record" {
		t.Errorf("the census of %q (-want +got):\n%s", told.GetCensus().GetRecord(), diff)
	}
}

func TestTheRecordIsCountedOnceASecondAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var taken, took atomic.Int64
		f := NewFigures("a record", func(context.Context, func(order.State, order.Delivery, int, time.Duration)) error {
			taken.Add(1)
			time.Sleep(time.Duration(took.Load()))
			return nil
		}, idle)
		server := NewAdminServer(nil, health.NewServer(), Options{Figures: f, Log: slog.New(slog.DiscardHandler)})
		client := checkoutv1.NewFigureServiceClient(inMemory(t, server))
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		for range 3 {
			stream, err := client.WatchFigures(ctx, &checkoutv1.WatchFiguresRequest{Interval: durationpb.New(minInterval)})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for _, err := stream.Recv(); err == nil; _, err = stream.Recv() {
				}
			}()
		}
		time.Sleep(10*time.Second - minInterval/2)
		if n := taken.Swap(0); n != 10 {
			t.Errorf("three who ask ten times a second had the record counted %d times in ten seconds, want 10", n)
		}
		took.Store(int64(500 * time.Millisecond))
		time.Sleep(time.Minute)
		if n := taken.Load(); n < 5 || n > 7 {
			t.Errorf("with counts of half a second each it was counted %d times in a minute, want 6: a twentieth of it", n)
		}
	})
}

func TestARecordThatIsTooSlowToBeCountedIsSeldomAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var taken int
		f := NewFigures("a record", func(ctx context.Context, _ func(order.State, order.Delivery, int, time.Duration)) error {
			taken++
			<-ctx.Done()
			return ctx.Err()
		}, idle)
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(minInterval) {
			if err := f.Census(t.Context(), nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("a census that takes for ever ends with %v", err)
			}
		}
		if taken != 3 {
			t.Errorf("with counts that fail after a second it was counted %d times in a minute, want 3: a twentieth of it", taken)
		}
	})
}

func TestACensusThatIsCalledOffIsTakenAgainForTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFigures("a record", func(ctx context.Context, _ func(order.State, order.Delivery, int, time.Duration)) error {
			select {
			case <-time.After(time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, idle)
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Microsecond, cancel)
		if err := f.Census(gone, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("who hangs up is told %v", err)
		}
		if err := f.Census(t.Context(), nil); err != nil {
			t.Errorf("the next one is told %v", err)
		}
	})
}

func TestFiguresDoNotWaitLongForTheCensus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFigures("a record", func(context.Context, func(order.State, order.Delivery, int, time.Duration)) error {
			time.Sleep(censusTime - time.Millisecond)
			return nil
		}, idle)
		server := NewAdminServer(nil, health.NewServer(), Options{Figures: f, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		start := time.Now()
		stream, err := checkoutv1.NewFigureServiceClient(inMemory(t, server)).WatchFigures(ctx, &checkoutv1.WatchFiguresRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if told := mustRecv(t, stream); told.GetCensus() != nil || told.GetLimit() != 256 || time.Since(start) > censusWait {
			t.Errorf("after %v, told census %v and limit %d; want after %v none and 256", time.Since(start), told.GetCensus(), told.GetLimit(), censusWait)
		}
		for range 3 { // the count is told with the next figures, and stays
			if told := mustRecv(t, stream); told.GetCensus() == nil {
				t.Errorf("after %v there is no census yet", time.Since(start))
			}
		}
	})
}

func TestARecordThatCannotBeCountedIsNotTold(t *testing.T) {
	t.Parallel()
	f := NewFigures("a record", func(context.Context, func(order.State, order.Delivery, int, time.Duration)) error {
		return errors.New("disk I/O error")
	}, idle)
	told := mustRecv(t, watchingFigures(t, f, &checkoutv1.WatchFiguresRequest{}))
	if told.GetCensus() != nil || told.GetLimit() != 256 {
		t.Errorf("told census %v and limit %d, want none and 256", told.GetCensus(), told.GetLimit())
	}
}

func TestFiguresHaveNoOddInterval(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{-time.Second, 0, minInterval - 1, maxInterval + 1} {
		stream := watchingFigures(t, NewFigures("", nobody, idle), &checkoutv1.WatchFiguresRequest{Interval: durationpb.New(interval)})
		_, err := stream.Recv()
		wantRefusal(t, err, codes.InvalidArgument, "INVALID_REQUEST", "interval")
	}
}

func TestSoManyMayWatchFigures(t *testing.T) {
	t.Parallel()
	f := NewFigures("a record", nobody, idle)
	server := NewAdminServer(nil, health.NewServer(), Options{Figures: f, Log: slog.New(slog.DiscardHandler)})
	client := checkoutv1.NewFigureServiceClient(inMemory(t, server))
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for range maxWatchers {
		stream, err := client.WatchFigures(ctx, &checkoutv1.WatchFiguresRequest{})
		if err != nil {
			t.Fatal(err)
		}
		mustRecv(t, stream)
	}
	stream, err := client.WatchFigures(ctx, &checkoutv1.WatchFiguresRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantRefusal(t, err, codes.ResourceExhausted, "OVERLOADED")
}

func TestTheShopGetsNoFigures(t *testing.T) {
	t.Parallel()
	server := NewServer(placing(nil), health.NewServer(), Options{Figures: NewFigures("", nobody, idle), Log: slog.New(slog.DiscardHandler)})
	stream, err := checkoutv1.NewFigureServiceClient(inMemory(t, server)).WatchFigures(t.Context(), &checkoutv1.WatchFiguresRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("the shop's server says %v, want UNIMPLEMENTED", err)
	}
}

// BenchmarkCount is what an order pays for the figures.
func BenchmarkCount(b *testing.B) {
	f := NewFigures("a record", nobody, idle)
	o := &order.Order{State: order.Placed, Created: time.Now().Add(time.Hour)}
	for b.Loop() {
		f.count(time.Now(), o, nil)
	}
	b.ReportAllocs()
}
