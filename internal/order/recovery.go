package order

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"checkout/internal/wait"
)

const (
	claimSize  = 16          // orders taken over in one go
	sweepPause = time.Second // between sweeps that found little
)

// Recover takes up abandoned orders until ctx ends: left by a crash, by a service that was away,
// or by a replica that is gone. It runs the steps that Place runs, from the recorded state on.
func (p *Placer) Recover(ctx context.Context) {
	var queues sync.WaitGroup
	queues.Go(func() { p.recover(ctx, ShippingQueue, min(64, p.Background)) })
	queues.Go(func() { p.recover(ctx, DeliveryQueue, min(32, p.Background)) }) // fewer: new orders come first
	queues.Wait()
}

// recover takes up the orders of one queue, so many side by side.
func (p *Placer) recover(ctx context.Context, queue Queue, atOnce int) {
	places := semaphore.NewWeighted(int64(max(atOnce, claimSize)))
	var vain atomic.Int64 // orders in a row that got no further
	for failures := 0; ; {
		if places.Acquire(ctx, claimSize) != nil {
			return
		}
		var orders []*Order
		err := Guard(func() (err error) {
			ctx, cancel := context.WithTimeout(ctx, recordTime)
			defer cancel()
			orders, err = p.Store.Claim(ctx, queue, claimSize, lease)
			return err
		})
		places.Release(int64(claimSize - len(orders)))
		for _, o := range orders {
			p.runs.Go(func() {
				defer places.Release(1)
				if vain.Add(1); p.resume(o) == nil {
					vain.Store(0)
				}
			})
		}
		switch {
		case err != nil && ctx.Err() == nil:
			failures++
			p.Report(ctx, "", fmt.Errorf("looking for orders to take up: %w", err))
		case err == nil:
			failures = 0
		}
		if len(orders) == claimSize && vain.Load() < int64(atOnce) { // or something is away, and haste would only cost
			continue
		}
		delay := sweepPause
		if failures > 0 {
			delay = p.backoff(failures)
		}
		if !wait.For(ctx, p.jitter(delay)) {
			return
		}
	}
}

// resume takes one claimed order as far as it goes, or leaves it to the run of this process that has its outcome. It returns why
// it did not go further, if it did not.
func (p *Placer) resume(o *Order) error {
	if holder, ok := p.retrying.Load(o.ID); ok {
		holder.(*run).claimed.Store(o.Epoch)
		return nil
	}
	r := &run{Placer: p, order: o, held: time.Now().Round(0)}
	r.snapshot()
	if o.Attempts == 0 {
		o.append(HistoryEntry{At: time.Now(), State: o.State, Problem: "taken up", By: "recovery"})
	}
	ctx, ended := p.Resumed(p.life, o)
	err := r.execute(ctx)
	ended(err)
	r.report(ctx, err)
	r.retryRecord(ctx)
	return err
}

// backoff is 1 s, 2 s, 4 s … 32 s, give or take a quarter: less than a minute altogether.
func (p *Placer) backoff(attempts int) time.Duration {
	return p.jitter(time.Second << min(max(attempts-1, 0), 5))
}

// jitter is d, give or take a quarter, so that what failed together does not return together.
func (p *Placer) jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(p.Random(int64(d/2)))
}
