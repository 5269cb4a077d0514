package pricing

import (
	"context"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"checkout/internal/order"
)

// reads are calls that run side by side. The first that fails ends the rest.
type reads struct {
	p     *Pricer
	ctx   context.Context
	group *errgroup.Group
}

func (p *Pricer) start(ctx context.Context) *reads {
	group, ctx := errgroup.WithContext(ctx)
	return &reads{p, ctx, group}
}

// bulkhead bounds the calls that a service gets at once, so that a slow one does not block calls of the others.
type bulkhead struct {
	step   order.Step // what the service is asked for
	places *semaphore.Weighted
}

func newBulkhead(step order.Step) bulkhead { return bulkhead{step, semaphore.NewWeighted(readsAtOnce)} }

// do runs f, which asks a service, beside the others. It waits for a place first, so that orders in want of one hold no
// goroutines for it. That is part of the time that f has.
func (r *reads) do(service bulkhead, f func(ctx context.Context) error) {
	place := int64(1)
	if r.p.orders.Load() > fewOrders {
		place = 2
	}
	ctx, cancel := r.ctx, context.CancelFunc(func() {})
	if !service.places.TryAcquire(place) {
		ctx, cancel = context.WithTimeout(r.ctx, r.p.ReadTimeout)
		if err := service.places.Acquire(ctx, place); err != nil {
			cancel()
			r.group.Go(func() error { return order.Fail(order.ErrUnavailable, service.step, context.Cause(ctx)) })
			return
		}
	}
	r.group.Go(func() error {
		defer cancel()
		defer service.places.Release(place)
		return order.Guard(func() error { return f(ctx) })
	})
}

func (r *reads) wait() error { return r.group.Wait() }
