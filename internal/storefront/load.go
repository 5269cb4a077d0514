package storefront

import (
	"context"
	"crypto/rand"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/web"
)

const (
	// maxRate is how many orders a second can be asked for, and maxSold how many a load places before it ends by itself: the
	// shop remembers them all.
	maxRate, maxSold = 200, 20_000
	// maxCustomers is how many wait for an answer at once. At that number, no new customer comes.
	maxCustomers = 256
	// loadTick is how often customers arrive, and window how long a plot goes back.
	loadTick = 10 * time.Millisecond
	window   = 100 * time.Second
)

// load is customers who come at a rate.
type load struct {
	shop *Storefront

	mu      sync.Mutex
	rate    int
	running bool
	left    int // how many are still to come
	active  int
	totals  totals
	reasons map[string]int // of refusals
	second  []time.Duration
	before  totals // at the last sample
	samples []sample
}

// totals are customers, by what they heard.
type totals struct {
	Placed, Refused, Again, HeldBack int
}

// sample is a second of load.
type sample struct {
	at              time.Time
	placed, refused int
	p50, p95        float64 // milliseconds; NaN without an answer
}

func newLoad(s *Storefront) *load { return &load{shop: s, reasons: make(map[string]int)} }

func (s *Storefront) setLoad(r *http.Request) error {
	rate, err := number(r, "rate", maxRate)
	if err != nil {
		return err
	}
	s.load.set(rate)
	return nil
}

// set makes customers come at so many a second, from now on; none ends the load.
func (l *load) set(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.left = rate, maxSold
	if rate > 0 && !l.running {
		l.running = l.shop.begin(l.run)
	}
}

// run lets customers come until the rate is none, and waits for them.
func (l *load) run() {
	var customers sync.WaitGroup
	defer customers.Wait()
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	due, last, sampled := 0.0, time.Now(), time.Now()
	for {
		select {
		case <-l.shop.life.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(sampled) >= time.Second {
			l.sample(now)
			sampled = now
		}
		rate, ended := l.pace()
		if ended {
			return
		}
		due = min(due+float64(rate)*now.Sub(last).Seconds(), maxRate) // what could not come for a second never will
		last = now
		for ; due >= 1; due-- {
			if l.admit() {
				customers.Go(l.customer)
			}
		}
	}
}

// pace is the rate now, and whether the load has ended: no customer comes any more, and all have been answered.
func (l *load) pace() (rate int, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left <= 0 {
		l.rate = 0
	}
	if l.rate == 0 && l.active == 0 {
		l.running = false
	}
	return l.rate, !l.running
}

// admit counts a customer in, unless too many wait.
func (l *load) admit() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active >= maxCustomers {
		l.totals.HeldBack++
		return false
	}
	l.active++
	l.left--
	return true
}

// customer fills a cart and orders it, and goes on asking as long as that is safe.
func (l *load) customer() {
	ctx, cancel := context.WithTimeout(l.shop.life, OrderTime)
	defer cancel()
	start := time.Now()
	got, asked := l.shop.buy(ctx, "load-"+rand.Text())
	took := time.Since(start)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	l.totals.Again += max(asked-1, 0)
	l.second = append(l.second, took)
	if got.refused == nil {
		l.totals.Placed++
		return
	}
	l.totals.Refused++
	l.reasons[got.refused.Title]++
}

// buy is what a visitor does: one to three products, and the order.
func (s *Storefront) buy(ctx context.Context, user string) (answer, int) {
	products := s.Shop.Catalog.Products()
	for range 1 + mathrand.IntN(3) { //nolint:gosec // taste, not a secret
		p := products[mathrand.IntN(min(len(products), cheap))]                            //nolint:gosec // likewise
		item := &oteldemo.CartItem{ProductId: p.GetId(), Quantity: 1 + mathrand.Int32N(3)} //nolint:gosec // likewise
		if s.put(ctx, user, item) != nil {
			return answer{refused: &refusal{Title: "The cart is not available"}}, 0
		}
	}
	return s.placeUntilAnswered(ctx, demo.Order(user, "USD"), rand.Text())
}

// cheap is how many products of the catalogue a visitor chooses from: not the observatory dome, which comes after them.
const cheap = 12

// sample notes how the last second was.
func (l *load) sample(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.second)
	l.samples = append(l.samples, sample{
		at: now, placed: l.totals.Placed - l.before.Placed, refused: l.totals.Refused - l.before.Refused,
		p50: milliseconds(l.second, 0.5), p95: milliseconds(l.second, 0.95),
	})
	l.before, l.second = l.totals, l.second[:0]
	for len(l.samples) > 0 && now.Sub(l.samples[0].at) > window {
		l.samples = l.samples[1:]
	}
}

// milliseconds is the quantile q of sorted; NaN of none.
func milliseconds(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return float64(web.Quantile(sorted, q)) / float64(time.Millisecond)
}

// loadView is the load as it is shown.
type loadView struct {
	totals

	Rate, Active, Left int
	Reasons            []reasonCount
	Answers, Latency   web.Plot
	Plotted            bool
}

type reasonCount struct {
	Reason string
	Orders int
}

func (l *load) look() loadView {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := loadView{totals: l.totals, Rate: l.rate, Active: l.active, Left: l.left, Plotted: len(l.samples) > 1}
	for _, reason := range slices.Sorted(maps.Keys(l.reasons)) {
		v.Reasons = append(v.Reasons, reasonCount{reason, l.reasons[reason]})
	}
	if v.Plotted {
		v.Answers = l.plot("answers", "Customers answered", "/s", true,
			line{"placed", func(s sample) float64 { return float64(s.placed) }},
			line{"refused", func(s sample) float64 { return float64(s.refused) }})
		v.Latency = l.plot("latency", "Time to an answer", "ms", false,
			line{"p50", func(s sample) float64 { return s.p50 }},
			line{"p95", func(s sample) float64 { return s.p95 }})
	}
	return v
}

type line struct {
	name string
	of   func(sample) float64
}

// plot is a plot of the samples. The caller holds mu.
func (l *load) plot(id, title, unit string, whole bool, lines ...line) web.Plot {
	until := l.samples[len(l.samples)-1].at
	p := web.Plot{ID: "load-" + id, Title: title, Unit: unit, Whole: whole, From: until.Add(-window), Until: until}
	for _, line := range lines {
		series := web.Series{Name: line.name, Area: whole}
		for _, s := range l.samples {
			if !s.at.Before(p.From) {
				series.Points = append(series.Points, web.Point{At: s.at, Value: line.of(s)})
			}
		}
		p.Series = append(p.Series, series)
	}
	return p
}
