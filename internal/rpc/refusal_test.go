package rpc

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
)

// refusals count what finds no room.
type refusals struct {
	stats.Handler
	mu    sync.Mutex
	calls map[string]int
}

func (r *refusals) Refused(_ context.Context, method string, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[method]++
}

func TestInAFullRoomACallIsRefusedAtOnceAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 4
		seen := &refusals{Handler: unobserved{}, calls: map[string]int{}}
		queue := &queue{retryAfter: 3 * time.Second}
		c := newCrowd(t, size, Options{Telemetry: seen, Queue: queue})
		inside, outside := c.connect(t), c.connect(t)
		var all sync.WaitGroup
		for range size {
			all.Go(func() {
				if err := placeOrder(t.Context(), inside); err != nil {
					t.Errorf("an order inside: %v", err)
				}
			})
		}
		synctest.Wait()
		queue.set(ready, false)
		began := time.Now()
		err := placeOrder(t.Context(), outside)
		if took := time.Since(began); status.Code(err) != codes.ResourceExhausted || took > 0 {
			t.Errorf("one call too many: %v after %v, want RESOURCE_EXHAUSTED at once", err, took)
		}
		var retry time.Duration
		for _, detail := range status.Convert(err).Details() {
			if d, ok := detail.(*errdetails.RetryInfo); ok {
				retry = d.GetRetryDelay().AsDuration()
			}
		}
		if retry != 3072*time.Millisecond {
			t.Errorf("it is asked to come back after %v, want 3 s, rounded up", retry)
		}
		if n := c.refused.Load(); n != 1 || queue.rejected != 1 || seen.calls[oteldemo.CheckoutService_PlaceOrder_FullMethodName] != 1 {
			t.Errorf("counted %d times as an order, %d times as rejected, %v as calls; want once each", n, queue.rejected, seen.calls)
		}
		if _, err := grpc_health_v1.NewHealthClient(outside).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Errorf("a health check finds no place: %v", err)
		}
		queue.set(0, false)
		close(c.letGo)
		all.Wait()
		if err := placeOrder(t.Context(), outside); err != nil {
			t.Errorf("once there is room again: %v", err)
		}
	})
}

func BenchmarkCallsThatFindNoRoom(b *testing.B) {
	refused := refuse(nil, Options{})
	b.ReportAllocs()
	for b.Loop() {
		_ = refused(b.Context(), oteldemo.CheckoutService_PlaceOrder_FullMethodName)
	}
}

// Not in parallel: it counts what is on the heap.
func TestNothingRemainsOfACallThatWasRefused(t *testing.T) {
	queue := &queue{}
	c := newCrowd(t, 1, Options{Queue: queue})
	inside, outside := c.connect(t), c.connect(t)
	var all sync.WaitGroup
	all.Go(func() { _ = placeOrder(t.Context(), inside) })
	for c.ordersPlaced() == 0 {
		time.Sleep(time.Millisecond)
	}
	queue.set(ready, false)
	refuse := func(calls int) {
		for range calls {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if err := placeOrder(ctx, outside); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("%v, want RESOURCE_EXHAUSTED", err)
			}
			cancel()
		}
	}
	objects := func() int64 {
		var is runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&is)
		return int64(is.HeapObjects)
	}
	const calls = 2000
	refuse(100)
	before := objects()
	refuse(calls)
	if left := objects() - before; left > calls/2 {
		t.Errorf("%d objects remain of %d calls that were refused, whose deadlines are in an hour", left, calls)
	}
	close(c.letGo)
	all.Wait()
}
