package rpc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"checkout/gen/oteldemo"
	"checkout/internal/fair"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

// crowd is a server with room for a few calls, whose orders wait until they are let go.
type crowd struct {
	listener *bufconn.Listener
	room     interface{ Busy() bool }
	outcome  error         // of orders that are let go
	created  time.Time     // of orders that were placed before; zero: each is placed now
	gone     bool          // callers have closed their connections
	clients  *fair.Clients // nil: the connections are nobody's in particular
	hungUp   atomic.Int64  // connections
	letGo    chan struct{}

	mu      sync.Mutex
	placed  int
	refused atomic.Int64
}

func newCrowd(t *testing.T, room int, opts Options) *crowd {
	t.Helper()
	c := &crowd{listener: bufconn.Listen(64 << 10), letGo: make(chan struct{})}
	opts.Connections = watched{c: c}
	opts.Room, opts.Deadline, opts.Log = room, time.Minute, slog.New(slog.DiscardHandler)
	server := NewServer(c, health.NewServer(), opts)
	served := make(chan error)
	go func() { served <- server.Serve(c.listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return c
}

// Refused counts orders that are refused before their calls are read.
func (c *crowd) Refused(context.Context, error) { c.refused.Add(1) }

// Place implements Placer.
func (c *crowd) Place(ctx context.Context, _ order.Request) (*order.Order, error) {
	c.mu.Lock()
	c.placed++
	c.mu.Unlock()
	select {
	case <-c.letGo:
		if c.outcome != nil {
			return nil, c.outcome
		}
		if !c.created.IsZero() {
			return &order.Order{Created: c.created}, nil
		}
		return &order.Order{Created: time.Now()}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *crowd) ordersPlaced() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.placed
}

// connect makes a connection to the server.
func (c *crowd) connect(t *testing.T) *grpc.ClientConn {
	t.Helper()
	return nettest.DialGRPC(t, "passthrough:///crowd",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.listener.DialContext(ctx) }))
}

func placeOrder(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{})
	return err
}

// headersOnly is a call to place an order whose message does not come.
func headersOnly(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, oteldemo.CheckoutService_PlaceOrder_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// queue is the admission's, as a test says.
type queue struct {
	mu         sync.Mutex
	underWay   int
	waiting    int
	tooLate    bool
	retryAfter time.Duration
	rejected   int
}

func (q *queue) UnderWay() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.underWay
}

func (q *queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

func (q *queue) TooLate(int, time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tooLate
}

func (q *queue) GiveWay(float64) bool { return false }

func (q *queue) Reject() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rejected++
	return q.retryAfter
}

func (q *queue) set(waiting int, tooLate bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting, q.tooLate = waiting, tooLate
}

// busy is what tells whether a server is.
type busy func() bool

func (b busy) Busy() bool { return b() }

// watched are connections that tell a crowd of its room.
type watched struct {
	unobserved
	c *crowd
}

func (w watched) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	if w.c.clients == nil {
		return ctx
	}
	return fair.With(ctx, w.c.clients.New(func() { w.c.hungUp.Add(1) }))
}

func (w watched) Gone(context.Context) bool { return w.c.gone }
func (w watched) PauseWhile(b func() bool)  { w.c.room = busy(b) }

// unobserved is a stats.Handler that does nothing.
type unobserved struct{}

func (unobserved) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (unobserved) HandleRPC(context.Context, stats.RPCStats)                         {}
func (unobserved) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (unobserved) HandleConn(context.Context, stats.ConnStats)                       {}

func TestOneConnectionMayFillTheRoomAndItsOtherCallsWaitAtTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 200
		c := newCrowd(t, size, Options{})
		conn := c.connect(t)
		var all sync.WaitGroup
		for range 3 * size {
			all.Go(func() {
				if err := placeOrder(t.Context(), conn); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := c.ordersPlaced(); n < size {
			t.Errorf("%d calls are inside, want %d", n, size)
		}
		close(c.letGo)
		all.Wait()
	})
}

func TestPlacesAreGivenBackHoweverACallEnds(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(ctx context.Context, c *crowd, conn *grpc.ClientConn){
		"by its caller": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Millisecond, cancel)
			_ = placeOrder(ctx, conn)
		},
		"by its deadline": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_ = placeOrder(ctx, conn)
		},
		"before it began": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			defer cancel()
			_ = placeOrder(ctx, conn)
		},
		"by its connection": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			time.AfterFunc(time.Millisecond, func() { _ = conn.Close() })
			_ = placeOrder(ctx, conn)
		},
		"without a message": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, oteldemo.CheckoutService_PlaceOrder_FullMethodName)
			if err == nil {
				_ = stream.CloseSend()
				_ = stream.RecvMsg(new(oteldemo.PlaceOrderResponse))
			}
		},
		"with too large a message": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			_, _ = oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{UserId: strings.Repeat("x", 2*maxRequest)})
		},
		"for want of a method": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			if err := conn.Invoke(ctx, "/oteldemo.CheckoutService/Undo", &oteldemo.Empty{}, &oteldemo.Empty{}); status.Code(err) != codes.Unimplemented {
				panic(err)
			}
		},
		"by the server, for want of a message": func(ctx context.Context, _ *crowd, conn *grpc.ClientConn) {
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, oteldemo.CheckoutService_PlaceOrder_FullMethodName)
			if err == nil {
				_ = stream.RecvMsg(new(oteldemo.PlaceOrderResponse))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const size = 8
				c := newCrowd(t, size, Options{})
				for range 3 * size {
					call(t.Context(), c, c.connect(t))
				}
				synctest.Wait()
				time.Sleep(time.Second)
				before := c.ordersPlaced()
				var all sync.WaitGroup
				for range size {
					conn := c.connect(t)
					all.Go(func() {
						if err := placeOrder(t.Context(), conn); err != nil {
							t.Errorf("afterwards: %v", err)
						}
					})
				}
				synctest.Wait()
				if n := c.ordersPlaced() - before; n != size {
					t.Errorf("afterwards %d calls find room, want %d", n, size)
				}
				close(c.letGo)
				all.Wait()
			})
		})
	}
}

func TestACallWhoseMessageDoesNotArriveEndsAfterSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4, Options{})
		began := time.Now()
		stream := headersOnly(t, c.connect(t))
		if err := stream.RecvMsg(new(oteldemo.PlaceOrderResponse)); err == nil {
			t.Error("a call without a message was answered")
		}
		if took := time.Since(began); took < messageTime || took > messageTime+time.Second {
			t.Errorf("it ended after %v, want %v", took, messageTime)
		}
	})
}

func TestInABusyRoomSlowMessagesEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		hostile := c.connect(t)
		for range size/2 - 1 {
			headersOnly(t, hostile)
		}
		synctest.Wait()
		if c.room.Busy() {
			t.Error("a room with less than half of its places taken is busy")
		}
		for range size/2 + 1 {
			headersOnly(t, hostile)
		}
		synctest.Wait()
		if !c.room.Busy() {
			t.Error("a full room is not busy")
		}
		time.Sleep(2 * slowMessage)
		synctest.Wait()
		if c.room.Busy() {
			t.Errorf("it still is after %v", 2*slowMessage)
		}
		close(c.letGo)
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order after calls without messages: %v", err)
		}
	})
}

func TestLateMessagesOfStrangersTakeAQuarterOfTheRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 40
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		shop := c.connect(t)
		close(c.letGo)
		if err := placeOrder(t.Context(), shop); err != nil {
			t.Fatal(err)
		}
		headersOnly(t, shop) // late, but of a client that is known for orders
		var ended atomic.Int64
		for range size - 1 {
			stream := headersOnly(t, c.connect(t))
			go func() {
				_ = stream.RecvMsg(new(oteldemo.PlaceOrderResponse))
				ended.Add(1)
			}()
		}
		time.Sleep(3 * slowMessage)
		synctest.Wait()
		if n := size - 1 - ended.Load(); n != size/lateShare {
			t.Errorf("%d strangers' calls are in the room, want %d", n, size/lateShare)
		}
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order of another stranger: %v", err)
		}
	})
}

func TestARoomIsNotBusyWithOrdersInProgressOrWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		queue := &queue{}
		c := newCrowd(t, size, Options{Queue: queue})
		conn := c.connect(t)
		var all sync.WaitGroup
		for range size {
			all.Go(func() { _ = placeOrder(t.Context(), conn) })
		}
		synctest.Wait()
		if !c.room.Busy() {
			t.Error("a room is not busy that is full of calls which are no orders yet")
		}
		queue.underWay = size / 2
		if queue.set(size/2, false); c.room.Busy() {
			t.Error("it is busy with orders: others should be refused")
		}
		close(c.letGo)
		all.Wait()
	})
}

func TestMetadataTakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4, Options{})
		large := metadata.AppendToOutgoingContext(t.Context(), "baggage", strings.Repeat("x", 3*headerUnit-500))
		conn := c.connect(t)
		var all sync.WaitGroup
		all.Go(func() { _ = placeOrder(large, conn) }) // takes three
		synctest.Wait()
		if err := placeOrder(large, c.connect(t)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("12 KiB of metadata twice, with 16 KiB of room for it: %v, want RESOURCE_EXHAUSTED", err)
		}
		all.Go(func() {
			if err := placeOrder(t.Context(), c.connect(t)); err != nil {
				t.Errorf("a call with little metadata: %v", err)
			}
		})
		synctest.Wait()
		close(c.letGo)
		all.Wait()
	})
}

func TestHealthChecksThatWatchTakeAShareOfTheRoomAndEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 32
		c := newCrowd(t, size, Options{})
		watch := func() (grpc_health_v1.Health_WatchClient, error) {
			stream, err := grpc_health_v1.NewHealthClient(c.connect(t)).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			return stream, err
		}
		began := time.Now()
		var first grpc_health_v1.Health_WatchClient
		for i := range size / watchShare {
			stream, err := watch()
			if err != nil {
				t.Fatalf("watch %d: %v", i+1, err)
			}
			if first == nil {
				first = stream
			}
		}
		if _, err := watch(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one watch too many: %v, want RESOURCE_EXHAUSTED", err)
		}
		if _, err := first.Recv(); err == nil || time.Since(began) > 2*watchTime {
			t.Errorf("a watch ends with %v after %v", err, time.Since(began))
		}
		if _, err := watch(); err != nil {
			t.Errorf("a watch after others have ended: %v", err)
		}
	})
}

func TestNothingIsDoneForACallerWhoHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{waiting: ready}
		c := newCrowd(t, 100, Options{Queue: q})
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		conn := c.connect(t)
		for range 20 {
			all.Go(func() { _ = placeOrder(ctx, conn) })
		}
		synctest.Wait()
		hangUp()
		all.Wait()
		synctest.Wait()
		if n := c.ordersPlaced(); n != 0 {
			t.Errorf("%d orders began whose callers had gone while they waited", n)
		}
		q.set(0, false)
	})
}

func TestNothingIsDoneForACallerWhoHasClosedTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 8, Options{})
		c.gone = true
		if err := placeOrder(t.Context(), c.connect(t)); status.Code(err) != codes.Canceled || c.ordersPlaced() != 0 {
			t.Errorf("%v, and %d orders began; want CANCELED and none", err, c.ordersPlaced())
		}
	})
}

func TestHowLongADeclineTookIsNotSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 4
		c := newCrowd(t, size, Options{})
		c.outcome = &order.Error{Kind: order.ErrDeclined}
		declined := func(after time.Duration) (took time.Duration) {
			began := time.Now()
			time.AfterFunc(after, func() { c.letGo <- struct{}{} })
			if err := placeOrder(t.Context(), c.connect(t)); status.Code(err) != codes.FailedPrecondition {
				t.Errorf("%v, want FAILED_PRECONDITION", err)
			}
			return time.Since(began)
		}
		for after, want := range map[time.Duration]time.Duration{
			0: declineStep, time.Millisecond: declineStep, declineStep - 1: declineStep, declineStep + 1: 2 * declineStep,
		} {
			if took := declined(after); took != want {
				t.Errorf("a card that is declined after %v is answered after %v, want %v", after, took, want)
			}
		}
		close(c.letGo)
		var all sync.WaitGroup
		began := time.Now()
		for range 3 * size { // those who wait for their answer have no place
			conn := c.connect(t)
			all.Go(func() {
				if err := placeOrder(t.Context(), conn); status.Code(err) != codes.FailedPrecondition {
					t.Errorf("%v, want FAILED_PRECONDITION", err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if took := time.Since(began); took != declineStep {
			t.Errorf("many are answered after %v, want %v", took, declineStep)
		}
	})
}

func TestInAFullRoomWhoHasTheMostCallsThatWaitGivesOneUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		close(c.letGo)
		hostile, shop := c.connect(t), c.connect(t)
		silent := make([]grpc.ClientStream, size)
		for i := range silent {
			silent[i] = headersOnly(t, hostile)
		}
		time.Sleep(slowMessage)
		if err := placeOrder(t.Context(), shop); err != nil {
			t.Errorf("an order of another connection: %v", err)
		}
		if err := silent[size-1].RecvMsg(new(oteldemo.PlaceOrderResponse)); status.Code(err) != codes.Canceled {
			t.Errorf("the latest of their calls: %v, want CANCELED", err)
		}
	})
}

func TestTheLateMessagesOfABusyClientKeepTheirPlacesForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		close(c.letGo)
		shop := c.connect(t)
		if err := placeOrder(t.Context(), shop); err != nil {
			t.Fatal(err)
		}
		var late []grpc.ClientStream
		for range size {
			late = append(late, headersOnly(t, shop))
		}
		time.Sleep(2 * slowMessage)
		if err := placeOrder(t.Context(), c.connect(t)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("an order in a full room: %v, want RESOURCE_EXHAUSTED", err)
		}
		for _, stream := range late {
			answer := new(oteldemo.PlaceOrderResponse)
			if err := errors.Join(stream.SendMsg(&oteldemo.PlaceOrderRequest{}), stream.CloseSend(), stream.RecvMsg(answer)); err != nil {
				t.Errorf("an order whose message was late: %v", err)
			}
		}
		for range size {
			headersOnly(t, shop)
		}
		time.Sleep(lateMessage)
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order in a room of messages that do not come: %v", err)
		}
	})
}

func TestLateMessagesThatHaveGoneAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		close(c.letGo)
		hostile := c.connect(t)
		for range size {
			headersOnly(t, hostile)
		}
		time.Sleep(slowMessage + time.Millisecond)
		_ = hostile.Close()
		synctest.Wait()
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order just after: %v", err)
		}
	})
}

func TestAnswersThatCostNothingProveNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		c.created = time.Now().Add(-time.Minute)
		close(c.letGo)
		hostile := c.connect(t)
		for range 2 * size {
			if err := placeOrder(t.Context(), hostile); err != nil { // the same order again
				t.Fatal(err)
			}
		}
		for range size {
			headersOnly(t, hostile)
		}
		time.Sleep(slowMessage)
		if err := placeOrder(t.Context(), c.connect(t)); err != nil {
			t.Errorf("an order in a room of messages that do not come: %v", err)
		}
	})
}

func TestAHealthCheckInAFullRoomKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		c := newCrowd(t, size, Options{})
		c.clients = new(fair.Clients)
		shop := c.connect(t)
		close(c.letGo)
		for range 10 * size { // its calls come before those of others
			if err := placeOrder(t.Context(), shop); err != nil {
				t.Fatal(err)
			}
		}
		c.letGo = make(chan struct{})
		check, err := c.connect(t).NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, grpc_health_v1.Health_Check_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 2 * size {
			all.Go(func() { _ = placeOrder(t.Context(), shop) })
		}
		synctest.Wait()
		answer := new(grpc_health_v1.HealthCheckResponse)
		if err := errors.Join(check.SendMsg(new(grpc_health_v1.HealthCheckRequest)), check.CloseSend(), check.RecvMsg(answer)); err != nil {
			t.Errorf("a health check: %v", err)
		}
		close(c.letGo)
		all.Wait()
	})
}
