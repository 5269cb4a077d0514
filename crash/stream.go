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

// sampleEvery is how often it is looked at what the process uses, and at what is owed.
const sampleEvery = time.Second

// stream is orders that come at fixed times, however long those before take: each of a customer who asks once.
type stream struct {
	*scene
	market *market
	rate   int // a second

	mu      sync.Mutex
	visits  []visit
	samples []sample
}

// visit is how an order went.
type visit struct {
	due    time.Time
	took   time.Duration // since it was due
	answer answer
}

// sample is what was seen at a moment.
type sample struct {
	at    time.Time
	owed  int // events of orders that were answered
	usage process.Usage
}

// run lets orders come until ctx ends, and waits until the last one is answered.
func (st *stream) run(ctx context.Context) {
	var inside sync.WaitGroup
	defer inside.Wait()
	calls := context.WithoutCancel(ctx)
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(n) * time.Second / time.Duration(st.rate))
		if !wait.For(ctx, time.Until(due)) {
			return
		}
		inside.Go(func() { st.visit(calls, n, due) })
	}
}

func (st *stream) visit(ctx context.Context, n int, due time.Time) {
	user, luck := st.market.enter()
	p := &purchase{user: user, number: 1}
	st.market.fill(p, luck)
	a := st.market.counters[n%len(st.market.counters)].ask(ctx, p)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.visits = append(st.visits, visit{due, time.Since(due), a})
}

// watch takes samples until ctx ends.
func (st *stream) watch(ctx context.Context) error {
	for wait.For(ctx, sampleEvery) {
		used, err := st.replicas[0].usage()
		if err != nil {
			return err
		}
		booked, err := st.shop.Accounting.Booked(ctx)
		if err != nil {
			return nil //nolint:nilerr // ctx has ended in the middle of it
		}
		st.mu.Lock()
		placed := 0
		for _, v := range st.visits {
			if v.answer.code == codes.OK {
				placed++
			}
		}
		st.samples = append(st.samples, sample{time.Now(), max(placed-booked, 0), used})
		st.mu.Unlock()
	}
	return nil
}

// owed is how many of the orders that came before a time, and were answered, have no event yet.
func (st *stream) owed(before time.Time) int {
	orders := st.shop.Ledgers().Orders
	st.mu.Lock()
	defer st.mu.Unlock()
	owed := 0
	for _, v := range st.visits {
		if v.due.Before(before) && v.answer.code == codes.OK && orders[v.answer.orderID].Events == 0 {
			owed++
		}
	}
	return owed
}

// drain waits until nothing is owed of the orders that came before a time, and tells how long that took and how much is
// owed still when patience has come to its end.
func (st *stream) drain(ctx context.Context, before time.Time, patience time.Duration) (took time.Duration, left int) {
	began := time.Now()
	for {
		left = st.owed(before)
		if left == 0 || time.Since(began) > patience || !wait.For(ctx, sampleEvery/2) {
			return time.Since(began), left
		}
	}
}

// window is a part of the stream's time.
type window struct {
	name     string
	from, to time.Time
}

// row is a window in numbers.
func (st *stream) row(w window) []string {
	var times []time.Duration
	failed := 0
	for _, v := range st.visits {
		switch {
		case v.due.Before(w.from) || !v.due.Before(w.to):
		case v.answer.code == codes.OK:
			times = append(times, v.took)
		default:
			failed++
		}
	}
	slices.Sort(times)
	samples := st.within(w)
	peak, most := sample{}, 0
	for _, s := range samples {
		if s.usage.RSS > peak.usage.RSS {
			peak = s
		}
		most = max(most, s.owed)
	}
	return []string{
		w.name, count(len(times)), count(failed), brief(web.Quantile(times, .5)).String(), brief(web.Quantile(times, .99)).String(), brief(web.Quantile(times, 1)).String(),
		fmt.Sprintf("%.0f %%", 100*busy(samples)), fmt.Sprintf("%.1f", mib(peak.usage.RSS)), fmt.Sprintf("%.1f", mib(peak.usage.Anonymous)), fmt.Sprintf("%+.2f", slope(samples)), count(most),
	}
}

func (st *stream) within(w window) []sample {
	var found []sample
	for _, s := range st.samples {
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
