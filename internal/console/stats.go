package console

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/wire"
)

const (
	// pollEvery is how often the metrics of all services are read, and remembered how many of these samples are kept: those of
	// ten minutes. The last minute is that of recent samples.
	pollEvery          = 5 * time.Second
	remembered, recent = 120, 12
)

// The metrics that the console shows, by the names under which the service exports them.
const (
	mOrders       = "checkout.orders"
	mSteps        = "checkout.step.duration"
	mInFlight     = "checkout.order.active"
	mLimit        = "checkout.admission.limit"
	mStates       = "checkout.order.unfinished"
	mStatesOldest = "checkout.order.oldest"
	mPending      = "checkout.delivery.pending"
	mPendingOld   = "checkout.delivery.oldest"
	mCalls        = "rpc.server.call.duration"
	mCallsOld     = "rpc.server.duration" // of the convention before
)

// attributeOf is what the console tells the values of each metric apart by, beside error.type.
func attributeOf() map[string]string {
	return map[string]string{
		mOrders: "checkout.order.outcome", mSteps: "checkout.order.step", mInFlight: "", mLimit: "",
		mStates: "checkout.order.state", mStatesOldest: "checkout.order.state",
		mPending: "checkout.delivery", mPendingOld: "checkout.delivery",
		mCalls: "rpc.response.status_code", mCallsOld: "rpc.grpc.status_code",
	}
}

// series is a metric with one value of its attribute, one error.type and, of a histogram, one bucket.
type series struct {
	metric, of, err string
	bucket
}

// bucket has the values above one bound, up to the next.
type bucket struct{ above, upTo float64 }

// history is what the metrics of the last ten minutes were, of all services together.
type history struct {
	mu      sync.Mutex
	latest  []answered    // by service
	samples []sample      // oldest first
	fresh   chan struct{} // closed when there is another one
}

// answered is what a service said last.
type answered struct {
	stats   *checkoutv1.Stats  // nil: nothing
	counts  map[series]float64 // since its start
	problem string             // why it says nothing
}

// sample is what the services reported at a time.
type sample struct {
	at        time.Time
	answering int                // services that did
	counting  int                // those of which it is known what they counted since the sample before
	counts    map[series]float64 // since the sample before
	levels    map[series]float64 // at that time
	backlog   bool               // levels has what is on record
	manual    map[string]bool    // the states that require manual action
}

func newHistory(services int) *history {
	return &history{latest: make([]answered, services), fresh: make(chan struct{})}
}

// poll reads the metrics of all services.
func (h *history) poll(ctx context.Context, services []Service) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req := &checkoutv1.GetStatsRequest{Names: slices.Collect(maps.Keys(attributeOf()))}
	replies := make([]answered, len(services))
	var all sync.WaitGroup
	for i, s := range services {
		all.Go(func() {
			stats, err := checkoutv1.NewStatsServiceClient(s.Conn).GetStats(ctx, req)
			if err != nil {
				replies[i].problem = failureOf(err).Message
				return
			}
			replies[i].stats = stats
		})
	}
	all.Wait()
	h.add(time.Now(), replies)
}

// add makes a sample of what the services said.
func (h *history) add(now time.Time, replies []answered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := sample{at: now, counts: make(map[series]float64), levels: make(map[series]float64), manual: make(map[string]bool)}
	records := make(map[string]bool)
	for i, is := range replies {
		was := h.latest[i]
		if is.stats != nil {
			s.answering++
			is.counts = s.read(is.stats, records)
			s.count(was, is)
		}
		h.latest[i] = is
	}
	h.samples = append(h.samples, s)
	h.samples = h.samples[max(len(h.samples)-remembered, 0):]
	close(h.fresh)
	h.fresh = make(chan struct{})
}

// read adds the levels of a service, and returns what it has counted since its start. Services that share a record report the
// same backlog: it is taken once, and its record noted.
func (s *sample) read(stats *checkoutv1.Stats, records map[string]bool) (counts map[series]float64) {
	taken := records[stats.GetRecord()]
	for _, state := range stats.GetManualStates() {
		s.manual[wire.StateName(state)] = true
	}
	counts = make(map[series]float64)
	for _, m := range stats.GetMetrics() {
		attribute, known := attributeOf()[m.GetName()]
		ofRecord := attribute == "checkout.order.state" || attribute == "checkout.delivery"
		if !known || ofRecord && taken {
			continue
		}
		if ofRecord {
			s.backlog, records[stats.GetRecord()] = true, true
		}
		for _, p := range m.GetPoints() {
			key := series{metric: m.GetName(), of: p.GetAttributes()[attribute], err: p.GetAttributes()["error.type"]}
			switch {
			case m.GetCumulative() && len(p.GetCounts()) > 0:
				for i, n := range p.GetCounts() {
					key.bucket = bucket{key.upTo, math.Inf(1)}
					if i < len(p.GetBounds()) {
						key.upTo = p.GetBounds()[i]
					}
					counts[key] += float64(n)
				}
			case m.GetCumulative():
				counts[key] += p.GetValue()
			case m.GetUnit() == "s":
				s.levels[key] = max(s.levels[key], p.GetValue())
			default:
				s.levels[key] += p.GetValue()
			}
		}
	}
	return counts
}

// count adds what a service has counted since it was asked before. When that failed, or another process answered that is not
// younger, the time of its counts is unknown: they are left out.
func (s *sample) count(was, is answered) {
	if was.stats == nil {
		return
	}
	if start := is.stats.GetStartTime().AsTime(); !start.Equal(was.stats.GetStartTime().AsTime()) {
		if start.Before(was.stats.GetTime().AsTime()) {
			return
		}
		was.counts = nil // it counts from zero
	}
	s.counting++
	for key, n := range is.counts {
		if more := n - was.counts[key]; more > 0 {
			s.counts[key] += more
		}
	}
}

// byRecord groups the services by the record that they last named. One that named none may have one of its own.
func (h *history) byRecord() (groups [][]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, l := range h.latest {
		at := slices.IndexFunc(groups, func(g []int) bool {
			return l.stats.GetRecord() != "" && l.stats.GetRecord() == h.latest[g[0]].stats.GetRecord()
		})
		if at < 0 {
			groups = append(groups, []int{i})
			continue
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// read returns what is remembered, which must not be changed, and what is closed when there is more.
func (h *history) read() (samples window, services []answered, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.samples), slices.Clone(h.latest), h.fresh
}

// window is samples that are looked at together.
type window []sample

// last returns the samples of the last minute.
func (w window) last() window { return w[max(len(w)-recent, 0):] }

// end returns the latest sample.
func (w window) end() (s sample) {
	if len(w) > 0 {
		s = w[len(w)-1]
	}
	return s
}

// total is how many were counted in the series that pick chooses; unknown when none was counted.
func (w window) total(metric string, pick func(series) bool) figure {
	total, known := 0.0, false
	for _, s := range w {
		known = known || s.counting > 0
		for key, n := range s.counts {
			if key.metric == metric && pick(key) {
				total += n
			}
		}
	}
	if !known {
		return unknown()
	}
	return figure(total)
}

// rate is total, per second.
func (w window) rate(metric string, pick func(series) bool) figure {
	return w.total(metric, pick) / figure(float64(len(w))*pollEvery.Seconds())
}

// level is the sum of the metric's latest values, if the services reported any.
func (w window) level(metric, of string) figure {
	if value, known := w.end().levels[series{metric: metric, of: of}]; known {
		return figure(value)
	}
	return unknown()
}

// quantile is what the share q of a histogram's values does not exceed, as exactly as the bounds of its buckets tell.
func (w window) quantile(q float64, metric string, of ...string) figure {
	buckets, all := make(map[bucket]float64), 0.0
	for _, s := range w {
		for key, n := range s.counts {
			if key.metric == metric && slices.Contains(of, key.of) {
				buckets[key.bucket] += n
				all += n
			}
		}
	}
	value, below := math.NaN(), 0.0
	for _, b := range slices.SortedFunc(maps.Keys(buckets), func(a, b bucket) int { return cmp.Compare(a.upTo, b.upTo) }) {
		if value = b.above; math.IsInf(b.upTo, 1) {
			break // more is not known
		}
		if value = b.upTo; below+buckets[b] >= q*all {
			value = b.above + (b.upTo-b.above)*(q*all-below)/buckets[b]
			break
		}
		below += buckets[b]
	}
	return figure(value)
}
