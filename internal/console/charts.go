package console

import (
	"math"
	"time"

	"checkout/internal/order"
	"checkout/internal/web"
	"checkout/internal/wire"
)

// chart shows values over ten minutes at most.
type chart struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Unit  string `json:"unit,omitempty"`
	Lines []line `json:"lines"`

	whole bool // values are whole numbers
}

// line is one of a chart. Its values are at overview.Times.
type line struct {
	Name   string   `json:"name"`
	Minute figure   `json:"last_minute"`
	Values []figure `json:"values"`

	of func(window) figure
}

// charts are those of the overview. Each has at most seven lines: more are not told apart.
func (w window) charts() []chart {
	level := func(metric string) func(string) func(window) figure {
		return func(of string) func(window) figure { return func(w window) figure { return w.level(metric, of) } }
	}
	requests := func(name string) func(window) figure {
		return func(w window) figure { return w.rate(mOrders, func(s series) bool { return outcomeOf(s) == name }) }
	}
	var dependencies []line
	for _, c := range callees() {
		dependencies = append(dependencies, line{Name: c.name, of: func(w window) figure { return 1000 * w.quantile(0.95, mSteps, c.steps...) }})
	}
	charts := []chart{
		{ID: "requests", Title: "Requests by outcome", Unit: "/s", Lines: lines(requests, outcomes()...)},
		{ID: "latency", Title: "Latency of placed orders", Unit: "ms", Lines: []line{
			{Name: "p50", of: latency(0.5)}, {Name: "p95", of: latency(0.95)}, {Name: "p99", of: latency(0.99)},
		}},
		{ID: "in-flight", Title: "Orders in flight", whole: true, Lines: []line{
			{Name: "in flight", of: level(mInFlight)("")}, {Name: "limit", of: level(mLimit)("")},
		}},
		{ID: "dependencies", Title: "Latency of dependencies, p95", Unit: "ms", Lines: dependencies},
		{ID: "unfinished", Title: "Orders not finished, by state", whole: true, Lines: lines(level(mStates), unfinished()...)},
		{ID: "pending", Title: "Pending deliveries of placed orders", whole: true, Lines: lines(level(mPending), deliveries()...)},
	}
	for _, c := range charts {
		for i := range c.Lines {
			l := &c.Lines[i]
			l.Minute, l.Values = l.of(w.last()), make([]figure, len(w))
			for n := range w {
				l.Values[n] = l.of(w[n : n+1])
			}
		}
	}
	return charts
}

// lines are one for each name, with what of makes of it.
func lines(of func(name string) func(window) figure, names ...string) (all []line) {
	for _, name := range names {
		all = append(all, line{Name: name, of: of(name)})
	}
	return all
}

// outcomes are those that a request can have.
func outcomes() []string {
	return []string{"placed", "repeated", "refused", "rejected", "failed", "payment unknown", "refund due"}
}

// callee is something that orders depend on, and the steps of an order that call it.
type callee struct {
	name  string
	steps []string
}

func callees() []callee {
	all := func(steps ...order.Step) (names []string) {
		for _, step := range steps {
			names = append(names, string(step))
		}
		return names
	}
	return []callee{
		{"database", all(order.StepRecord)},
		{"cart", all(order.StepCart, order.StepEmptyCart)},
		{"product catalog", all(order.StepCatalog)},
		{"currency", all(order.StepConvert)},
		{"shipping", all(order.StepQuote, order.StepShip)},
		{"payment", all(order.StepCharge, order.StepLookup, order.StepReverse)},
		{"email, Kafka", all(order.StepEmail, order.StepPublish)},
	}
}

// deliveries are the pending work of a placed order.
func deliveries() []string { return []string{"cart", "email", "event"} }

// unfinished are the states that are not final, by their names.
func unfinished() []string { return names(wire.UnfinishedStates()) }

// latency is a quantile of the requests that were answered with an order, by whichever convention the service measures.
func latency(q float64) func(window) figure {
	return func(w window) figure {
		if ms := w.quantile(q, mCallsOld, "0"); ms.Known() {
			return ms
		}
		return 1000 * w.quantile(q, mCalls, "OK")
	}
}

// Minute is the value of a line in the last minute.
func (o overview) Minute(chart, line string) figure {
	for _, c := range o.Charts {
		for _, l := range c.Lines {
			if c.ID == chart && l.Name == line {
				return l.Minute
			}
		}
	}
	return unknown()
}

// Plots are the charts as they are drawn.
func (o overview) Plots() (plots []web.Plot) {
	until, span := o.At, remembered*pollEvery
	if n := len(o.Times); n > 0 {
		until = o.Times[n-1]
		for _, less := range []time.Duration{5 * time.Minute, 100 * time.Second} { // until there are more samples
			if until.Sub(o.Times[0]) <= less {
				span = less
			}
		}
	}
	for _, c := range o.Charts {
		p := web.Plot{ID: "plot-" + c.ID, Title: c.Title, Unit: c.Unit, Whole: c.whole, From: until.Add(-span), Until: until}
		for i, l := range c.Lines {
			s := web.Series{Name: words(l.Name), Area: i == 0}
			for n, at := range o.Times {
				if at.Before(p.From) {
					continue
				}
				if n > 0 && at.Sub(o.Times[n-1]) > 2*pollEvery {
					s.Points = append(s.Points, web.Point{At: at, Value: math.NaN()}) // no sample
				}
				s.Points = append(s.Points, web.Point{At: at, Value: float64(l.Values[n])})
			}
			p.Series = append(p.Series, s)
		}
		plots = append(plots, p)
	}
	return plots
}
