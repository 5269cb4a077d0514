package rpc

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"checkout/internal/fair"
)

func TestWhileOrdersAreRefusedFewWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size, underWay = 60, 10
		queue := &queue{underWay: underWay}
		var joined atomic.Int64
		c := newCrowd(t, size, Options{Queue: queue, Joined: func() int { return int(joined.Load()) }})
		conn := c.connect(t)
		var all sync.WaitGroup
		fill := func(orders int) {
			for range orders {
				all.Go(func() {
					if err := placeOrder(t.Context(), conn); err != nil {
						t.Errorf("an order inside: %v", err)
					}
				})
			}
			synctest.Wait()
		}
		refused := func(when string) {
			t.Helper()
			if err := placeOrder(t.Context(), c.connect(t)); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("%s: %v, want RESOURCE_EXHAUSTED", when, err)
			}
		}
		end := func(orders int) {
			for range orders {
				c.letGo <- struct{}{}
			}
			synctest.Wait()
		}
		fill(size)
		refused("when all places are taken")
		end(size - underWay - arriving)
		refused("when enough wait for those in progress")
		end(1)
		fill(1)
		refused("when enough wait again")
		joined.Store(2)
		fill(2)
		refused("when enough wait beside those that have joined others")
		joined.Store(0)
		end(4)
		queue.set(ready, false)
		refused("when enough wait in the admission")
		queue.set(0, false)
		fill(2)
		time.Sleep(calm)
		fill(size - underWay - arriving)
		close(c.letGo)
		all.Wait()
	})
}

func TestOrdersWaitInTheLobbyWhileOthersWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const orders = 50
		q := &queue{waiting: ready}
		c := newCrowd(t, 100, Options{Queue: q})
		conn := c.connect(t)
		var all sync.WaitGroup
		for range orders {
			all.Go(func() {
				if err := placeOrder(t.Context(), conn); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(2 * messageTime)
		if n := c.ordersPlaced(); n != 0 {
			t.Errorf("%d orders began while %d wait for their turn, want none", n, ready)
		}
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Errorf("a health check waits in the lobby: %v", err)
		}
		q.set(ready-3, false)
		time.Sleep(2*lobbyEvery - lobbyEvery/2)
		if n := c.ordersPlaced(); n == 0 || n > 6 {
			t.Errorf("%d orders began when three could, twice at most", n)
		}
		close(c.letGo)
		q.set(0, false)
		all.Wait()
	})
}

func TestWhoWaitsInTheLobbyIsAnsweredBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 100, Options{Queue: &queue{waiting: ready}})
		close(c.letGo)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		if err := placeOrder(ctx, c.connect(t)); err != nil {
			t.Errorf("an order that nobody calls up: %v", err)
		}
		if took := time.Since(began); took < 2*time.Second || took > 3100*time.Millisecond {
			t.Errorf("it goes on after %v of 4 s, want 3 s", took)
		}
		hasty, hangUp := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, hangUp)
		_ = placeOrder(hasty, c.connect(t))
		synctest.Wait()
	})
}

func TestBehindTheLobbyWhoCannotBeServedInTimeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{waiting: ready}
		c := newCrowd(t, 100, Options{Queue: q})
		conn := c.connect(t)
		var all sync.WaitGroup
		all.Go(func() { _ = placeOrder(t.Context(), conn) })
		synctest.Wait()
		q.set(ready, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := placeOrder(ctx, conn); status.Code(err) != codes.ResourceExhausted || time.Since(began) > 0 {
			t.Errorf("an order that would be finished too late: %v after %v, want RESOURCE_EXHAUSTED at once", err, time.Since(began))
		}
		q.set(0, false)
		close(c.letGo)
		all.Wait()
	})
}

func TestInAFullLobbyWhoHasTheMostOrdersGivesOneUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		q := &queue{waiting: ready}
		c := newCrowd(t, size, Options{Queue: q})
		c.clients = new(fair.Clients)
		close(c.letGo)
		many, shop := c.connect(t), c.connect(t)
		var all sync.WaitGroup
		var refused atomic.Int64
		for range size {
			all.Go(func() {
				if err := placeOrder(t.Context(), many); status.Code(err) == codes.ResourceExhausted {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		all.Go(func() {
			if err := placeOrder(t.Context(), shop); err != nil {
				t.Errorf("an order of another connection: %v", err)
			}
		})
		synctest.Wait()
		q.set(0, false)
		all.Wait()
		if refused.Load() != 1 || c.refused.Load() != 1 {
			t.Errorf("%d orders were refused, and %d counted; want one each", refused.Load(), c.refused.Load())
		}
	})
}

func TestConnectionsTakeTurnsInTheLobby(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{waiting: ready}
		c := newCrowd(t, 100, Options{Queue: q})
		c.clients = new(fair.Clients)
		close(c.letGo)
		many, shop := c.connect(t), c.connect(t)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _ = placeOrder(t.Context(), many) })
		}
		synctest.Wait()
		ordered := make(chan error, 1)
		go func() { ordered <- placeOrder(t.Context(), shop) }()
		synctest.Wait()
		q.set(ready-2, false)
		time.Sleep(lobbyEvery * 3 / 2)
		q.set(ready, false)
		synctest.Wait()
		select {
		case err := <-ordered:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the first order of a connection is not among the first two that begin")
		}
		q.set(0, false)
		all.Wait()
	})
}
