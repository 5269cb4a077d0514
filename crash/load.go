package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/test/process"
	"checkout/internal/wait"
	"checkout/internal/web"
)

// sampleEvery is how often the process's usage and the pending events are read.
const sampleEvery = time.Second

// load is an open loop: orders come at fixed times, however long those before take. Each is of a customer who does not retry.
type load struct {
	*harness
	customers *customers
	rate      int // a second

	mu      sync.Mutex
	calls   []call
	samples []sample
}

// call is how an order went.
type call struct {
	due    time.Time
	took   time.Duration // since it was due
	answer answer
}

// sample is a measurement.
type sample struct {
	at      time.Time
	pending int // events of orders that were answered
	usage   process.Usage
}

// run lets orders come until ctx ends, and waits until the last one is answered.
func (l *load) run(ctx context.Context) {
	var active sync.WaitGroup
	defer active.Wait()
	detached := context.WithoutCancel(ctx)
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		if !wait.For(ctx, time.Until(due)) {
			return
		}
		active.Go(func() { l.call(detached, n, due) })
	}
}

func (l *load) call(ctx context.Context, n int, due time.Time) {
	user, rng := l.customers.add()
	p := &purchase{user: user, number: 1}
	l.customers.fill(p, rng)
	a := l.customers.clients[n%len(l.customers.clients)].ask(ctx, p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, call{due, time.Since(due), a})
}

// watch takes samples until ctx ends.
func (l *load) watch(ctx context.Context) error {
	for wait.For(ctx, sampleEvery) {
		used, err := l.replicas[0].usage()
		if err != nil {
			return err
		}
		booked := l.shop.Accounting.Booked()
		l.mu.Lock()
		placed := 0
		for _, v := range l.calls {
			if v.answer.code == codes.OK {
				placed++
			}
		}
		l.samples = append(l.samples, sample{time.Now(), max(placed-booked, 0), used})
		l.mu.Unlock()
	}
	return nil
}

// pending is how many of the orders that came before a time, and were answered, have no event yet.
func (l *load) pending(before time.Time) int {
	orders := l.shop.Ledgers().Orders
	l.mu.Lock()
	defer l.mu.Unlock()
	pending := 0
	for _, v := range l.calls {
		if v.due.Before(before) && v.answer.code == codes.OK && orders[v.answer.orderID].Events == 0 {
			pending++
		}
	}
	return pending
}

// drain waits until nothing is pending of the orders that came before a time, but not longer than patience. It returns how
// long that took, and how much is still pending.
func (l *load) drain(ctx context.Context, before time.Time, patience time.Duration) (took time.Duration, left int) {
	began := time.Now()
	for {
		left = l.pending(before)
		if left == 0 || time.Since(began) > patience || !wait.For(ctx, sampleEvery/2) {
			return time.Since(began), left
		}
	}
}

// window is a part of the time.
type window struct {
	name     string
	from, to time.Time
}

// row is a window in numbers.
func (l *load) row(w window) []string {
	var times []time.Duration
	failed := 0
	for _, v := range l.calls {
		switch {
		case v.due.Before(w.from) || !v.due.Before(w.to):
		case v.answer.code == codes.OK:
			times = append(times, v.took)
		default:
			failed++
		}
	}
	slices.Sort(times)
	samples := l.within(w)
	peak, most := sample{}, 0
	for _, s := range samples {
		if s.usage.RSS > peak.usage.RSS {
			peak = s
		}
		most = max(most, s.pending)
	}
	return []string{
		w.name, count(len(times)), count(failed), brief(web.Quantile(times, .5)).String(), brief(web.Quantile(times, .99)).String(), brief(web.Quantile(times, 1)).String(),
		fmt.Sprintf("%.0f %%", 100*busy(samples)), fmt.Sprintf("%.1f", mib(peak.usage.RSS)), fmt.Sprintf("%.1f", mib(peak.usage.Anonymous)), fmt.Sprintf("%+.2f", slope(samples)), count(most),
	}
}

func (l *load) within(w window) []sample {
	var found []sample
	for _, s := range l.samples {
		if !s.at.Before(w.from) && s.at.Before(w.to) {
			found = append(found, s)
		}
	}
	return found
}

// busy is the share of a processor that was used from the first sample to the last.
func busy(samples []sample) float64 {
	if len(samples) < 2 {
		return 0
	}
	first, last := samples[0], samples[len(samples)-1]
	return float64(last.usage.CPU-first.usage.CPU) / float64(last.at.Sub(first.at))
}

// slope is by how many MiB a minute the resident set grows, in the line that fits best (least squares).
func slope(samples []sample) float64 {
	n := float64(len(samples))
	var x, y, xx, xy float64
	for _, s := range samples {
		minutes, size := s.at.Sub(samples[0].at).Minutes(), mib(s.usage.RSS)
		x, y, xx, xy = x+minutes, y+size, xx+minutes*minutes, xy+minutes*size
	}
	if below := n*xx - x*x; below > 0 {
		return (n*xy - x*y) / below
	}
	return 0
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
