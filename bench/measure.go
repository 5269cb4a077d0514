package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"checkout/internal/demo"
	"checkout/internal/test/process"
	"checkout/internal/wait"
)

const (
	maxLines    = 200             // of a cart
	maxProducts = 2000            // in the catalogue: hardly two orders under way at once need have one in common
	exportEvery = time.Second     // between two exports of metrics, so that allocations can be read soon
	warmOrders  = 500             // before anything is counted
	warmTime    = 3 * time.Second // at most
	// calm is a time without work after which an order's e-mails and events are taken to be done; it comes within
	// calmTime, or is not waited for.
	calm, calmTime = 100 * time.Millisecond, 3 * time.Second
)

// effort is how much is done for a cell. Every program gets as many orders, and time, at most.
type effort struct {
	orders int
	time   time.Duration
	rounds int
}

// share is what is done in one round.
func (e effort) share() effort {
	return effort{orders: e.orders / e.rounds, time: e.time / time.Duration(e.rounds), rounds: 1}
}

// result is how a program did in a cell.
type result struct {
	by program
	of cell
	*tally
	used           process.Usage // by the orders; but the figures of memory are those at the end
	objects, bytes float64       // allocated for the orders; NaN when the program does not tell
	startup        time.Duration // from its start until it said that it serves
	size           float64       // bytes of the executable; NaN when most of it is something else
}

// perOrder is what an order took of something; NaN when none was placed.
func (r *result) perOrder(sum float64) float64 {
	if r.placed() == 0 {
		return math.NaN()
	}
	return sum / float64(r.placed())
}

// measure measures programs in a cell. They take turns: a machine that is slow for a while is so for all of them.
func (e effort) measure(ctx context.Context, c cell, programs []program) (_ []*result, err error) {
	s, err := openShop(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.tell(ctx, "Latency", c.latency, nil); err != nil {
		return nil, err
	}
	var runs []*run
	defer func() {
		for _, r := range runs {
			err = errors.Join(err, r.end())
		}
	}()
	for _, p := range programs {
		r, err := newRun(ctx, p, c, s, "")
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return e.turns(ctx, runs)
}

// turns lets every run warm up, then do its share in every round.
func (e effort) turns(ctx context.Context, runs []*run) ([]*result, error) {
	for _, r := range runs {
		if _, err := r.burst(ctx, effort{orders: min(warmOrders, e.orders), time: min(warmTime, e.time)}); err != nil {
			return nil, err
		}
		objects, bytes := r.allocated(ctx)
		r.objects, r.bytes = -objects, -bytes
	}
	for range e.rounds {
		for _, r := range runs {
			if err := r.turn(ctx, e.share()); err != nil {
				return nil, err
			}
		}
	}
	var results []*result
	for _, r := range runs {
		objects, bytes := r.allocated(ctx)
		r.objects, r.bytes = r.objects+objects, r.bytes+bytes
		results = append(results, r.take())
	}
	return results, ctx.Err()
}

// run is a program that is being measured.
type run struct {
	*running
	shop *shop
	*result
	bursts int
}

// newRun starts a program for a cell, in a cgroup if one is named.
func newRun(ctx context.Context, p program, c cell, s *shop, inside string) (*run, error) {
	executable, err := os.Stat(p.path)
	if err != nil {
		return nil, err
	}
	started, err := start(ctx, p, c, s.environ, inside)
	if err != nil {
		return nil, err
	}
	r := &run{running: started, shop: s, result: &result{by: p, of: c, startup: started.startup, size: float64(executable.Size())}}
	if p.bare {
		r.size = math.NaN()
	}
	r.take()
	return r, nil
}

// take takes the result so far, and begins another one.
func (r *run) take() *result {
	taken := *r.result
	r.tally, r.used, r.objects, r.bytes = newTally(), process.Usage{}, 0, 0
	return &taken
}

// turn places orders, and adds how they went and what they took to the result.
func (r *run) turn(ctx context.Context, e effort) error {
	before, err := r.Usage()
	if err != nil {
		return err
	}
	t, err := r.burst(ctx, e)
	if err != nil {
		return err
	}
	after, err := r.settle(ctx)
	if err != nil {
		return err
	}
	r.add(t)
	r.used.CPU += after.CPU - before.CPU
	r.used.Faults += after.Faults - before.Faults
	r.used.Written += after.Written - before.Written
	r.used.Peak, r.used.Anonymous = after.Peak, after.Anonymous
	return nil
}

// burst places orders in the manner of the cell.
func (r *run) burst(ctx context.Context, e effort) (*tally, error) {
	r.bursts++
	prefix := fmt.Sprintf("%s-%d-", r.name, r.bursts)
	if err := r.shop.tell(ctx, "Fill", Filling{Prefix: prefix, Carts: e.orders, Lines: r.of.lines, Products: r.of.products}, nil); err != nil {
		return nil, err
	}
	b := burst{orders: e.orders, time: e.time, place: func(ctx context.Context, i int) error {
		_, err := r.client(i).PlaceOrder(ctx, demo.Order(fmt.Sprint(prefix, i), r.of.currency))
		return err
	}}
	if r.of.rate > 0 {
		return b.open(ctx, r.of.rate)
	}
	return b.closed(ctx, r.of.concurrency)
}

// settle waits until the program has nothing more to do, and returns what it has used until then.
func (r *run) settle(ctx context.Context) (process.Usage, error) {
	const tick = 10 * time.Millisecond // the clock's, and the work of an idle program
	now, err := r.Usage()
	for end := time.Now().Add(calmTime); err == nil && time.Now().Before(end); {
		before := now
		if !wait.For(ctx, calm) {
			return now, context.Cause(ctx)
		}
		if now, err = r.Usage(); now.CPU-before.CPU <= tick {
			break
		}
	}
	return now, err
}

// allocated is what the program says that it has allocated since its start, in metrics of Go's runtime; NaN when it does
// not say. It asks the runtime once a second, so what is exported in the next second may be old.
func (r *run) allocated(ctx context.Context) (objects, bytes float64) {
	if r.bare || !r.of.telemetry {
		return math.NaN(), math.NaN()
	}
	q := Question{Service: r.name, After: time.Now().Add(exportEvery), Patience: 4 * exportEvery}
	ask := func(metric string) float64 {
		var sum int64
		q.Metric = metric
		if err := r.shop.tell(ctx, "Sum", q, &sum); err != nil {
			return math.NaN()
		}
		return float64(sum)
	}
	return ask("go.memory.allocations"), ask("go.memory.allocated")
}
