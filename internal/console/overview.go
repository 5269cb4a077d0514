package console

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"checkout/internal/order"
	"checkout/internal/web"
)

const (
	// momentLength is how long a time a point of a chart stands for.
	momentLength = 5 * time.Second
	// recently is the time of which the figures at the top tell.
	recently = time.Minute
	// stuckAfter is the age above which an order on its way is looked after, and owedAfter that of what it is owed.
	stuckAfter, owedAfter = time.Minute, 15 * time.Minute
)

// overview is how the service does.
type overview struct {
	At       time.Time `json:"at"`
	Services []seen    `json:"services"`
	Checks   []check   `json:"checks"`
	// Attention is how many orders need a person; absent when the record cannot be counted.
	Attention *int64       `json:"attention"`
	Now       moment       `json:"now"` // of the last minute
	States    []stateCount `json:"states"`
	Owed      []owedCount  `json:"owed"`
	Ends      []end        `json:"ends"`
	History   []moment     `json:"history"` // of ten minutes, oldest first
}

// seen is whether a service says anything.
type seen struct {
	Name      string `json:"name"`
	Answering bool   `json:"answering"`
	Problem   string `json:"problem,omitempty"`
}

// check is something that holds while all is well.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note"`
}

// moment is what a stretch of time was like. What is not known is null.
type moment struct {
	At         time.Time         `json:"at"`                // its end
	Orders     map[string]figure `json:"orders_per_second"` // by what came of them, as in groups
	P50        figure            `json:"latency_p50_seconds"`
	P95        figure            `json:"latency_p95_seconds"`
	P99        figure            `json:"latency_p99_seconds"`
	UnderWay   figure            `json:"under_way"`
	Limit      figure            `json:"limit"`
	Unfinished figure            `json:"unfinished"`
	Oldest     figure            `json:"oldest_seconds"` // of the unfinished
	States     map[string]figure `json:"states"`
	Owed       map[string]figure `json:"owed"`
	OwedOldest map[string]figure `json:"owed_oldest_seconds"`
}

type stateCount struct {
	State       string `json:"state"`
	Orders      int64  `json:"orders"`
	Oldest      figure `json:"oldest_seconds"`
	NeedsPerson bool   `json:"needs_person"`
}

type owedCount struct {
	Delivery string `json:"delivery"`
	Orders   int64  `json:"orders"`
	Oldest   figure `json:"oldest_seconds"`
}

// end is how many calls of the last ten minutes came to one.
type end struct {
	Name   string `json:"name"`
	Group  string `json:"group"`
	Orders int64  `json:"orders"`
}

// figure is a number that may be unknown: NaN, which is null in JSON.
type figure float64

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, math.Round(float64(f)*1e6)/1e6, 'f', -1, 64), nil
}

// Known tells whether it is a number.
func (f figure) Known() bool { return !math.IsNaN(float64(f)) }

func unknown() figure { return figure(math.NaN()) }

// groups are what can come of a call to place an order.
func groups() []string {
	return []string{"placed", "repeated", "refused", "turned away", "failed", "in doubt"}
}

// groupOf is the group of an end, as the service names ends.
func groupOf(end string) string {
	switch end {
	case "placed", "paid":
		return "placed"
	case "repeated":
		return "repeated"
	case "OVERLOADED":
		return "turned away"
	case "PAYMENT_UNKNOWN", "SHIPPING_REFUSED":
		return "in doubt"
	case "INVALID_REQUEST", "CART_EMPTY", "CART_NOT_ORDERABLE", "PRODUCT_UNKNOWN", "CARD_DECLINED", "IDEMPOTENCY_KEY_REUSED", "ORDER_UNDER_WAY":
		return "refused"
	}
	return "failed"
}

// deliveries are what a placed order is owed.
func deliveries() []string { return []string{"cart", "email", "event"} }

// unfinished are the states that are not final, by their names.
func unfinished() (names []string) {
	for _, s := range order.States() {
		if !s.Final() {
			names = append(names, s.String())
		}
	}
	return names
}

// overview is made of what is remembered.
func (c *Console) overview() (o overview) {
	o = overview{At: c.now(), States: []stateCount{}, Owed: []owedCount{}, Ends: []end{}, History: []moment{}}
	c.history.read(func(samples []sample, bounds []float64, services []latest) {
		for i, l := range services {
			s := seen{Name: c.services[i].Name, Answering: l.figures != nil && o.At.Sub(l.at) <= silence}
			if !s.Answering {
				s.Problem = cmp.Or(l.problem, "it says nothing")
			}
			o.Services = append(o.Services, s)
		}
		now := since(samples, o.At.Add(-recently))
		o.Now = momentOf(now, bounds)
		o.Ends = append(o.Ends, ends(sum(samples))...)
		for _, of := range inMoments(samples) {
			m := momentOf(of, bounds)
			m.At = of[0].at.Truncate(momentLength).Add(momentLength)
			o.History = append(o.History, m)
		}
		o.stand(sum(now))
	})
	o.Checks = o.check()
	return o
}

// since are the samples after t.
func since(samples []sample, t time.Time) []sample {
	i, _ := slices.BinarySearchFunc(samples, t, func(s sample, t time.Time) int { return s.at.Compare(t) })
	return samples[i:]
}

// inMoments are the samples by the moment that they belong to, without the last moment, which goes on.
func inMoments(samples []sample) (moments [][]sample) {
	start := 0
	for i, s := range samples {
		if s.at.Truncate(momentLength).After(samples[start].at.Truncate(momentLength)) {
			moments = append(moments, samples[start:i])
			start = i
		}
	}
	return moments
}

// momentOf is what the samples were like together.
func momentOf(samples []sample, bounds []float64) moment {
	s := sum(samples)
	m := moment{
		At: s.at, P50: unknown(), P95: unknown(), P99: unknown(), UnderWay: unknown(), Limit: unknown(),
		Unfinished: unknown(), Oldest: unknown(),
		Orders: map[string]figure{}, States: map[string]figure{}, Owed: map[string]figure{}, OwedOldest: map[string]figure{},
	}
	for _, g := range groups() {
		m.Orders[g] = unknown()
	}
	if s.services > 0 {
		m.UnderWay, m.Limit = figure(s.underWay), figure(s.limit)
		for _, g := range groups() {
			m.Orders[g] = 0
		}
		for end, n := range s.ends {
			m.Orders[groupOf(end)] += figure(float64(n) / (float64(len(samples)) * sampleEvery.Seconds()))
		}
	}
	if s.calls != nil {
		m.P50 = figure(percentile(0.5, s.calls, bounds))
		m.P95 = figure(percentile(0.95, s.calls, bounds))
		m.P99 = figure(percentile(0.99, s.calls, bounds))
	}
	m.stand(s)
	return m
}

// stand takes in what stands on record.
func (m *moment) stand(s sample) {
	for _, name := range unfinished() {
		m.States[name] = unknown()
	}
	for _, name := range deliveries() {
		m.Owed[name], m.OwedOldest[name] = unknown(), unknown()
	}
	if !s.counted {
		return
	}
	m.Unfinished, m.Oldest = 0, 0
	for name, of := range s.states {
		m.States[name] = figure(of.orders)
		m.Unfinished += figure(of.orders)
		m.Oldest = max(m.Oldest, figure(of.oldest.Seconds()))
	}
	for name, of := range s.owed {
		m.Owed[name], m.OwedOldest[name] = figure(of.orders), figure(of.oldest.Seconds())
	}
}

// stand takes in what stands on record.
func (o *overview) stand(s sample) {
	if !s.counted {
		return
	}
	o.Attention = new(int64)
	for _, name := range unfinished() {
		of := s.states[name]
		o.States = append(o.States, stateCount{name, of.orders, figure(of.oldest.Seconds()), of.needsPerson})
		if of.needsPerson {
			*o.Attention += of.orders
		}
	}
	for _, name := range deliveries() {
		of := s.owed[name]
		o.Owed = append(o.Owed, owedCount{name, of.orders, figure(of.oldest.Seconds())})
	}
}

// Waiting is how many orders need a person, if that is known.
func (o overview) Waiting() int64 {
	if o.Attention == nil {
		return 0
	}
	return *o.Attention
}

// ends are the calls by their ends: those that came, most first.
func ends(s sample) (all []end) {
	for name, n := range s.ends {
		all = append(all, end{name, groupOf(name), n})
	}
	slices.SortFunc(all, func(a, b end) int { return cmp.Or(cmp.Compare(b.Orders, a.Orders), cmp.Compare(a.Name, b.Name)) })
	return all
}

// check tells of each thing that should hold whether it does.
func (o *overview) check() []check {
	away := 0
	for _, s := range o.Services {
		if !s.Answering {
			away++
		}
	}
	checks := []check{{"Every service answers", away == 0, count(len(o.Services)-away, "of", len(o.Services))}}
	if o.Attention == nil {
		return append(checks, check{"The orders on record can be counted", false, "they cannot: nothing below is known"})
	}
	onWay, owed := figure(0), figure(0)
	for _, s := range o.States {
		if !s.NeedsPerson && s.State != order.Placed.String() {
			onWay = max(onWay, s.Oldest)
		}
	}
	for _, d := range o.Owed {
		if d.Delivery != "cart" {
			owed = max(owed, d.Oldest)
		}
	}
	return append(checks,
		check{"The orders on record can be counted", true, count(int(o.Now.Unfinished), "not finished")},
		check{"No order requires an operator", *o.Attention == 0, count(int(*o.Attention), "waiting")},
		check{"No order is on its way for more than a minute", onWay <= figure(stuckAfter.Seconds()), "the oldest: " + long(onWay)},
		check{"No e-mail or event is pending for more than 15 minutes", owed <= figure(owedAfter.Seconds()), "the oldest: " + long(owed)},
		check{"No order is turned away", o.Now.Orders["turned away"] == 0, rate(o.Now.Orders["turned away"]) + " a second"},
	)
}

// badge is how many orders need a person, as it stands beside the link to them; empty for none.
func (c *Console) badge() (text []byte) {
	c.history.read(func(samples []sample, _ []float64, _ []latest) {
		var o overview
		o.stand(sum(samples[max(len(samples)-1, 0):]))
		if o.Attention != nil && *o.Attention > 0 {
			text = strconv.AppendInt(nil, *o.Attention, 10)
		}
	})
	return text
}

func (c *Console) showOverview(w http.ResponseWriter, r *http.Request) {
	o := c.overview()
	c.answer(w, r, http.StatusOK, "overview", o, web.Page{Title: "Overview", Nav: "/", Live: "/live/overview", Data: o})
}

// part is the contents of an element of a page.
type part struct {
	id   string
	html []byte
}

// liveOverview keeps the parts of the overview fresh.
func (c *Console) liveOverview(w http.ResponseWriter, r *http.Request) {
	c.streams.Serve(w, r, func(ctx context.Context, emit web.Emit) error {
		for {
			last, more := c.history.more()
			parts, err := c.overviews.Get(ctx, last.String(), sharedFor, func(context.Context) ([]part, error) { return c.overviewParts() })
			if err != nil {
				return err
			}
			for _, p := range parts {
				if err := emit(p.id, p.html); err != nil {
					return err
				}
			}
			select {
			case <-more:
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// overviewParts are what changes on the overview.
func (c *Console) overviewParts() ([]part, error) {
	o := c.overview()
	var parts []part
	collect := func(id string, html []byte) error {
		parts = append(parts, part{id, html})
		return nil
	}
	err := c.emitAll(collect, "overview", o, "notice", "now", "checks", "states", "ends")
	for _, p := range o.Plots() {
		err = errors.Join(err, c.emitPart(collect, "overview", "chart", p.ID, p))
	}
	return append(parts, part{"badge", c.badge()}), err
}
