package console

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"checkout/gen/checkout/checkoutv1"
)

const (
	// sampleEvery is how often the figures are taken, and remembered how many of them are kept: those of ten minutes.
	sampleEvery = time.Second
	remembered  = 600
	// silence is for how long a service may say nothing until it counts as away.
	silence = 5 * time.Second
)

// history is what the figures of the last ten minutes were, of all services together.
type history struct {
	mu      sync.Mutex
	latest  []latest      // by service
	bounds  []float64     // of latencies
	next    sample        // what has been counted since the last one
	samples []sample      // oldest first
	fresh   chan struct{} // closed when there is another one
}

// latest is what a service said last.
type latest struct {
	figures *checkoutv1.Figures // nil: nothing yet
	at      time.Time
	problem string // why it says nothing
}

// sample is what one second was like.
type sample struct {
	at       time.Time // its end
	services int       // that said something
	ends     map[string]int64
	calls    []int64 // by the bound that they are within
	underWay int64
	limit    int64
	counted  bool // the record was
	states   map[string]standing
	owed     map[string]standing
}

// standing is how many there are, and since when.
type standing struct {
	orders      int64
	oldest      time.Duration
	needsPerson bool
}

func newHistory(services int) *history {
	return &history{latest: make([]latest, services), fresh: make(chan struct{})}
}

// follow takes in what a service tells until ctx ends, and asks again when it stops.
func (h *history) follow(ctx context.Context, i int, s Service) {
	for ctx.Err() == nil {
		err := h.listen(ctx, i, s)
		h.mu.Lock()
		h.latest[i].problem = failureOf(err).Message
		h.mu.Unlock()
		select {
		case <-time.After(sampleEvery):
		case <-ctx.Done():
		}
	}
}

// listen takes in what a service tells until it stops, or is silent for too long.
func (h *history) listen(ctx context.Context, i int, s Service) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	impatient := time.AfterFunc(silence, cancel)
	defer impatient.Stop()
	stream, err := checkoutv1.NewFigureServiceClient(s.Conn).WatchFigures(ctx, &checkoutv1.WatchFiguresRequest{Interval: durationpb.New(sampleEvery)})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		impatient.Reset(silence)
		h.take(i, m, time.Now())
	}
}

// take takes in what a service says at a time. What it counts is known by the difference to what it said before; after a
// silence that is left out, because nobody knows when it was.
func (h *history) take(i int, m *checkoutv1.Figures, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.latest[i]
	h.latest[i] = latest{figures: m, at: now}
	h.adopt(m.GetLatency(), now)
	if before.figures == nil || now.Sub(before.at) > silence {
		return
	}
	was := before.figures
	if started := m.GetStarted().AsTime(); !was.GetStarted().AsTime().Equal(started) {
		if started.Before(before.at) {
			return // another process, that has counted since who knows when
		}
		was = nil // … since it started, just now
	}
	h.next.count(was, m, h.bounds)
}

// adopt takes over the bounds of latencies, unless those that are known are still some service's. What was counted between
// others is forgotten: it cannot be added to what comes.
func (h *history) adopt(l *checkoutv1.Figures_Latency, now time.Time) {
	if !fits(l) || slices.Equal(l.GetBounds(), h.bounds) {
		return
	}
	for _, other := range h.latest {
		if h.bounds != nil && now.Sub(other.at) <= silence && slices.Equal(other.figures.GetLatency().GetBounds(), h.bounds) {
			return
		}
	}
	h.bounds = l.GetBounds()
	h.next.calls = nil
	for i := range h.samples {
		h.samples[i].calls = nil
	}
}

// byRecord are the services, by the record that they last told of. One that tells of none may have one of its own.
func (h *history) byRecord() (groups [][]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	place := make(map[string]int)
	for i, l := range h.latest {
		name := l.figures.GetCensus().GetRecord()
		at, known := place[name]
		if name == "" || !known {
			place[name] = len(groups)
			groups = append(groups, []int{i})
			continue
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// count adds what has come between two figures of a process.
func (s *sample) count(was, is *checkoutv1.Figures, bounds []float64) {
	known := make(map[string]int64)
	for _, o := range was.GetOutcomes() {
		known[o.GetName()] = o.GetOrders()
	}
	for _, o := range is.GetOutcomes() {
		if n := o.GetOrders() - known[o.GetName()]; n > 0 {
			if s.ends == nil {
				s.ends = make(map[string]int64)
			}
			s.ends[o.GetName()] += n
		}
	}
	if !fits(is.GetLatency()) || !slices.Equal(bounds, is.GetLatency().GetBounds()) {
		return // of another version: they cannot be added
	}
	before := was.GetLatency().GetCalls()
	for j, n := range is.GetLatency().GetCalls() {
		if j < len(before) {
			n -= before[j]
		}
		if n > 0 {
			if s.calls == nil {
				s.calls = make([]int64, len(bounds)+1)
			}
			s.calls[j] += n
		}
	}
}

// fits tells whether a service's latencies are a histogram: finite bounds that rise, a
// count for each, and one for what is beyond them.
func fits(l *checkoutv1.Figures_Latency) bool {
	bounds := l.GetBounds()
	last := len(bounds) - 1
	return last >= 0 && len(l.GetCalls()) == len(bounds)+1 &&
		slices.IsSorted(bounds) && bounds[0] >= 0 && bounds[last] <= math.MaxFloat64
}

// tick closes a sample every second until ctx ends.
func (h *history) tick(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			h.close(now)
		case <-ctx.Done():
			return
		}
	}
}

// close makes a sample of what has been counted, and of what the services said last.
func (h *history) close(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.next
	h.next = sample{}
	s.at = now
	records := make(map[string]latest) // by their names, the last to have been counted
	for _, l := range h.latest {
		if l.figures == nil || now.Sub(l.at) > silence {
			continue
		}
		s.services++
		s.underWay += l.figures.GetUnderWay()
		s.limit += l.figures.GetLimit()
		if c := l.figures.GetCensus(); c != nil && !records[c.GetRecord()].at.After(l.at) {
			records[c.GetRecord()] = l
		}
	}
	for _, l := range records {
		s.standings(l.figures.GetCensus())
	}
	h.samples = append(h.samples, s)
	if extra := len(h.samples) - remembered; extra > 0 {
		h.samples = slices.Delete(h.samples, 0, extra)
	}
	close(h.fresh)
	h.fresh = make(chan struct{})
}

// standings adds what stands on one record.
func (s *sample) standings(c *checkoutv1.Figures_Census) {
	if !s.counted {
		s.counted, s.states, s.owed = true, make(map[string]standing), make(map[string]standing)
	}
	for _, of := range c.GetStates() {
		add(s.states, stateName(of.GetState()), standing{of.GetOrders(), of.GetOldest().AsDuration(), of.GetNeedsPerson()})
	}
	for _, of := range c.GetOwed() {
		add(s.owed, of.GetDelivery(), standing{of.GetOrders(), of.GetOldest().AsDuration(), false})
	}
}

func add(to map[string]standing, name string, s standing) {
	has := to[name]
	to[name] = standing{has.orders + s.orders, max(has.oldest, s.oldest), has.needsPerson || s.needsPerson}
}

// read gives f what is remembered; it must not keep any of it.
func (h *history) read(f func(samples []sample, bounds []float64, services []latest)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h.samples, h.bounds, h.latest)
}

// more is the time of the last sample, and what is closed when there is another one.
func (h *history) more() (last time.Time, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.samples); n > 0 {
		last = h.samples[n-1].at
	}
	return last, h.fresh
}

// sum adds samples up: what came in them all, and what was at the end of the last.
func sum(samples []sample) (s sample) {
	s.ends = make(map[string]int64)
	for _, one := range samples {
		for name, n := range one.ends {
			s.ends[name] += n
		}
		if s.calls == nil && one.calls != nil {
			s.calls = make([]int64, len(one.calls))
		}
		for j, n := range one.calls {
			s.calls[j] += n
		}
	}
	if len(samples) > 0 {
		last := samples[len(samples)-1]
		s.at, s.services, s.underWay, s.limit = last.at, last.services, last.underWay, last.limit
		s.counted, s.states, s.owed = last.counted, maps.Clone(last.states), maps.Clone(last.owed)
	}
	return s
}

// percentile is what that part of the calls stayed below, in seconds: as exactly as the bounds tell. NaN: there were none.
func percentile(part float64, calls []int64, bounds []float64) float64 {
	var all int64
	for _, n := range calls {
		all += n
	}
	if all == 0 {
		return math.NaN()
	}
	rank := part * float64(all)
	below, lower := 0.0, 0.0
	for i, bound := range bounds {
		here := float64(calls[i])
		if here > 0 && below+here >= rank {
			return lower + (bound-lower)*(rank-below)/here
		}
		below, lower = below+here, bound
	}
	return bounds[len(bounds)-1]
}
