package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/process"
	"checkout/internal/wait"
)

// backTime is how long the service may take to be back when an attack is over.
const backTime = 10 * time.Second

// often is how often the probe asks, and rest how long customers go on alone when the attack is over.
func (o options) often() time.Duration { return min(500*time.Millisecond, o.time/2) }
func (o options) rest() time.Duration  { return min(time.Second, o.time) }

// fill gives every user a full cart.
func fill(shop *demo.Shop) {
	shop.Cart.Supply(func(string) ([]*oteldemo.CartItem, bool) {
		return []*oteldemo.CartItem{{ProductId: "OLJCESPC7Z", Quantity: 1}, {ProductId: "66VCHSJNUP", Quantity: 2}}, false
	})
}

// one makes one attack on a service that was just started.
func (o options) one(ctx context.Context, shop *demo.Shop, a attack, conns int) (r *outcome, err error) {
	inside, path := "", o.binary
	if o.container > 0 {
		if path, err = process.ColdCopy(path); err != nil { // what another cgroup has read is not counted
			return nil, err
		}
		defer func() { _ = os.RemoveAll(filepath.Dir(path)) }() // it is in a temporary folder
		group, err := process.NewCgroup(o.cgroup, o.container)
		if err != nil {
			return nil, err
		}
		defer func() { _ = group.Remove() }() // nothing runs in it any more
		inside = group.Folder
	}
	environ := shop.Environ()
	environ["GOMEMLIMIT"] = o.memory
	service, err := process.Serve(ctx, path, environ, inside)
	if err != nil {
		return nil, err
	}
	r = &outcome{attack: a.name, conns: conns}
	c := &crowd{options: o, service: service, outcome: r}
	c.attack(ctx, a, conns)
	if !service.Alive() {
		r.died = service.Ended()
		_ = service.Close() // it has ended, and badly
		return r, ctx.Err()
	}
	r.back = c.back(ctx)
	if err := service.Close(); err != nil {
		r.stuck = err.Error()
	}
	return r, ctx.Err()
}

// back is how long after everybody has left an order is placed and a health check answered; negative when they are not
// within backTime.
func (c *crowd) back(ctx context.Context) time.Duration {
	began := time.Now()
	for n := 0; time.Since(began) < backTime && ctx.Err() == nil; n++ {
		if c.alone(ctx, n) {
			return time.Since(began)
		}
		wait.For(ctx, 100*time.Millisecond)
	}
	return -1
}

func (c *crowd) alone(ctx context.Context, n int) bool {
	ctx, cancel := context.WithTimeout(ctx, backTime/5)
	defer cancel()
	return c.check(ctx) == nil && c.order(ctx, 4*n+3) == nil // over a new connection
}

// crowd is everybody who wants something of the service, good or bad.
type crowd struct {
	options
	service *process.Service

	mu        sync.Mutex
	outcome   *outcome
	latencies []time.Duration // of orders that were placed
}

// attack lets attackers and the others loose, and waits until all have left.
func (c *crowd) attack(ctx context.Context, a attack, conns int) {
	ctx, leave := context.WithTimeout(ctx, c.time+c.rest())
	defer leave()
	before, _ := c.service.Usage() // it serves
	var all sync.WaitGroup
	all.Go(func() { c.watch(ctx) })
	all.Go(func() { c.probe(ctx) })
	all.Go(func() { c.shopping(ctx) })
	attacking, stop := context.WithTimeout(ctx, c.time)
	defer stop()
	var tried, frames atomic.Int64
	for i := range conns {
		all.Go(func() {
			v := &victim{addr: c.service.Addr, number: i, perSecond: max(1, c.frames/conns), frames: &frames}
			for attacking.Err() == nil && c.service.Alive() {
				tried.Add(1)
				_ = a.run(attacking, v) // it may be thrown out, and comes again
				wait.For(attacking, 20*time.Millisecond)
			}
		})
	}
	all.Wait()
	if after, err := c.service.Usage(); err == nil {
		c.outcome.cpu, c.outcome.rss = after.CPU-before.CPU, max(c.outcome.rss, after.Peak)
	}
	r := c.outcome
	r.tried, r.frames = int(tried.Load()), frames.Load()
	slices.Sort(c.latencies)
	if n := len(c.latencies); n > 0 {
		r.p50, r.p99 = c.latencies[n/2], c.latencies[n*99/100]
	}
}

// watch samples memory.
func (c *crowd) watch(ctx context.Context) {
	for wait.For(ctx, 50*time.Millisecond) {
		if u, err := c.service.Usage(); err == nil {
			c.mu.Lock()
			c.outcome.rss, c.outcome.anon = max(c.outcome.rss, u.Peak), max(c.outcome.anon, u.Anonymous)
			c.mu.Unlock()
		}
	}
}

// probe asks for the service's health as an orchestrator does: each time over a connection of its own.
func (c *crowd) probe(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for wait.For(ctx, c.often()) && c.service.Alive() {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience)
			defer cancel()
			c.count(&c.outcome.probe, "health check", c.check(ctx))
		})
	}
}

func (c *crowd) check(ctx context.Context) error {
	conn, err := process.Connect(c.service.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil && resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		err = fmt.Errorf("it says %v", resp.GetStatus())
	}
	return err
}

// shopping places honest orders at their times, whatever became of those before: three of four over the connection that a
// frontend keeps, the fourth over a new one.
func (c *crowd) shopping(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	ticker := time.NewTicker(time.Duration(float64(time.Second) / c.rate))
	defer ticker.Stop()
	for n := 0; c.service.Alive(); n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.deadline)
			defer cancel()
			began := time.Now()
			err := c.order(ctx, n)
			if err == nil {
				c.mu.Lock()
				c.latencies = append(c.latencies, time.Since(began))
				c.mu.Unlock()
			}
			c.count(&c.outcome.honest, "order", err)
		})
	}
}

func (c *crowd) order(ctx context.Context, n int) error {
	conn := c.service.Conn
	if n%4 == 3 {
		fresh, err := process.Connect(c.service.Addr)
		if err != nil {
			return err
		}
		defer fresh.Close()
		conn = fresh
	}
	_, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, demo.Order(fmt.Sprintf("honest-%d-%d", time.Now().UnixNano(), n), "USD"))
	return err
}

func (c *crowd) count(s *share, what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.all++
	if err == nil {
		s.good++
	} else {
		c.outcome.failure = what + ": " + err.Error()
	}
}
