package main

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"checkout/internal/wait"
)

const (
	orderTime   = 30 * time.Second // that a customer waits
	openAtOnce  = 4096             // orders that an open loop has under way at most, so that a dead service ends it
	longest     = time.Minute      // latency that is told from a longer one
	granularity = time.Microsecond
	// patience is how long a customer of a closed loop waits after a failure: nobody asks again at once for ever.
	patience = 250 * time.Millisecond
)

// tally is how orders went.
type tally struct {
	latencies *hdrhistogram.Histogram // of those that were placed, in units of granularity, to three digits
	failed    int
	failure   error // one of them
	took      time.Duration
}

func newTally() *tally {
	return &tally{latencies: hdrhistogram.New(1, int64(longest/granularity), 3)}
}

// count adds an order that took so long.
func (t *tally) count(latency time.Duration, err error) {
	if err != nil {
		t.failed, t.failure = t.failed+1, err
		return
	}
	_ = t.latencies.RecordValue(int64(min(max(latency, granularity), longest) / granularity)) // it is within bounds
}

// add adds the orders of another tally, which came before or after.
func (t *tally) add(other *tally) {
	t.latencies.Merge(other.latencies)
	t.failed, t.failure = t.failed+other.failed, cmp.Or(t.failure, other.failure)
	t.took += other.took
}

func (t *tally) placed() int64 { return t.latencies.TotalCount() }

// perSecond is how many orders were placed a second.
func (t *tally) perSecond() float64 { return float64(t.placed()) / max(t.took, granularity).Seconds() }

// at is the latency that so many per cent of the orders were not above.
func (t *tally) at(percent float64) time.Duration {
	return time.Duration(t.latencies.ValueAtPercentile(percent)) * granularity
}

// burst is a number of orders, placed until its time is over.
type burst struct {
	orders int
	time   time.Duration
	place  func(ctx context.Context, i int) error // places the i-th order
}

// closed places the orders of so many customers, each of whom waits for an answer before the next order. No order is
// begun after the burst's time; those under way are waited for and count.
func (b burst) closed(ctx context.Context, customers int) (*tally, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	t := newTally()
	began := time.Now()
	for range customers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.orders && ctx.Err() == nil && time.Since(began) < b.time; i = int(next.Add(1)) - 1 {
				asked := time.Now()
				err := b.one(ctx, i)
				latency := time.Since(asked)
				mu.Lock()
				t.count(latency, err)
				mu.Unlock()
				if err != nil {
					_ = wait.For(ctx, patience)
				}
			}
		})
	}
	all.Wait()
	t.took = time.Since(began)
	return t, ctx.Err()
}

// open places so many orders a second, each at its time, whether or not those before it were answered. Latency counts
// from that time and not from when the order was sent, so that a service which makes the load wait cannot hide it
// (coordinated omission).
func (b burst) open(ctx context.Context, rate float64) (*tally, error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	room := make(chan struct{}, openAtOnce)
	t := newTally()
	began := time.Now()
	due := time.NewTimer(0)
	defer due.Stop()
	for i := range b.orders {
		at := time.Duration(float64(i) / rate * float64(time.Second))
		if at >= b.time {
			break
		}
		due.Reset(time.Until(began.Add(at)))
		select {
		case <-due.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			err := b.one(ctx, i)
			latency := time.Since(began.Add(at))
			mu.Lock()
			defer mu.Unlock()
			t.count(latency, err)
		})
	}
	all.Wait()
	t.took = time.Since(began)
	return t, ctx.Err()
}

func (b burst) one(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	return b.place(ctx, i)
}
