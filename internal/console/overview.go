package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"checkout/internal/order"
	"checkout/internal/web"
)

// What the health checks allow: the age of an order in progress and of a pending delivery, and the share of failed calls.
const (
	maxInProgress, maxPending = time.Minute, 15 * time.Minute
	maxFailed                 = 0.1
)

// glance is how long the overview waits for the orders that require manual action.
const glance = time.Second

// overview is how the service does.
type overview struct {
	At       time.Time `json:"at"`
	Services []service `json:"services"`
	Checks   []check   `json:"checks"`
	// Manual is how many orders require manual action; absent when the record cannot be counted.
	Manual *int64 `json:"manual_action"`
	// Attention are these orders; absent when there is none, or they cannot be read.
	Attention *orderList  `json:"attention,omitempty"`
	States    []backlog   `json:"states"`   // of the orders that are not finished
	Pending   []backlog   `json:"pending"`  // deliveries of placed orders
	Outcomes  []outcome   `json:"outcomes"` // of the requests of ten minutes
	Times     []time.Time `json:"times"`    // of the values of the charts, oldest first
	Charts    []chart     `json:"charts"`
}

type service struct {
	Name      string `json:"name"`
	Answering bool   `json:"answering"`
	Problem   string `json:"problem,omitempty"`
}

// check is a health check: a condition that holds while all is well.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note"`
}

// backlog is how many orders or deliveries wait, and the age of the oldest.
type backlog struct {
	Name   string `json:"name"`
	Orders int64  `json:"orders"`
	Oldest figure `json:"oldest_seconds"`
	Manual bool   `json:"manual_action,omitempty"`
}

type outcome struct {
	Name     string `json:"outcome"`
	Error    string `json:"error,omitempty"` // error.type
	Requests int64  `json:"requests"`
}

// figure is a number that may be unknown: NaN, which is null in JSON.
type figure float64

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	if !f.Known() {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, math.Round(float64(f)*1e6)/1e6, 'f', -1, 64), nil
}

// Known reports whether it is a number.
func (f figure) Known() bool { return !math.IsNaN(float64(f)) }

func unknown() figure { return figure(math.NaN()) }

// overview is made of what is remembered.
func (c *Console) overview() overview {
	samples, latest, _ := c.history.read()
	o := overview{At: c.now(), Times: []time.Time{}, Outcomes: samples.outcomes(), Charts: samples.charts()}
	for i, l := range latest {
		s := service{Name: c.services[i].Name, Answering: l.stats != nil, Problem: l.problem}
		if !s.Answering {
			s.Problem = cmp.Or(s.Problem, "it has not answered yet")
		}
		o.Services = append(o.Services, s)
	}
	for _, s := range samples {
		o.Times = append(o.Times, s.at)
	}
	o.States, o.Pending, o.Manual = samples.backlog()
	o.Checks = o.check(samples.last())
	return o
}

// backlog is what is on record; manual is nil when it cannot be counted.
func (w window) backlog() (states, pending []backlog, manual *int64) {
	s := w.end()
	if !s.backlog {
		return nil, nil, nil
	}
	manual = new(int64)
	for _, name := range unfinished() {
		b := backlog{name, int64(s.levels[series{metric: mStates, of: name}]), w.level(mStatesOldest, name), s.manual[name]}
		states = append(states, b)
		if b.Manual {
			*manual += b.Orders
		}
	}
	for _, name := range deliveries() {
		pending = append(pending, backlog{name, int64(s.levels[series{metric: mPending, of: name}]), w.level(mPendingOld, name), false})
	}
	return states, pending, manual
}

// outcomes are those that came, most first.
func (w window) outcomes() []outcome {
	all, requests := []outcome{}, make(map[outcome]int64)
	for _, s := range w {
		for key, n := range s.counts {
			if key.metric == mOrders {
				requests[outcome{Name: outcomeOf(key), Error: key.err}] += int64(n)
			}
		}
	}
	for o, n := range requests {
		all = append(all, outcome{o.Name, o.Error, n})
	}
	slices.SortFunc(all, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Error, b.Error))
	})
	return all
}

// outcomeOf is the outcome that a series of requests counts as. One without its parcel is placed, too.
func outcomeOf(s series) string {
	switch {
	case s.err == "overloaded":
		return "rejected"
	case s.of == "paid":
		return "placed"
	case s.of == "in_doubt":
		return "payment unknown"
	case s.of == "refund_due":
		return "refund due"
	}
	return s.of
}

// worst is the dependency of whose calls most failed, and their share.
func (w window) worst() (name string, share figure) {
	for _, c := range callees() {
		called := func(s series) bool { return slices.Contains(c.steps, s.of) }
		failed := w.total(mSteps, func(s series) bool { return called(s) && isFailure(s.err) })
		if of := failed / w.total(mSteps, called); of > share {
			name, share = c.name, of
		}
	}
	return name, share
}

// isFailure reports whether a call of that error.type failed. To be refused, such as for a declined card, is an answer.
func isFailure(err string) bool { return err != "" && err != "refused" && err != "product_unknown" }

// check makes the health checks.
func (o *overview) check(recent window) []check {
	answering := 0
	for _, s := range o.Services {
		if s.Answering {
			answering++
		}
	}
	checks := []check{{"Services answer", answering == len(o.Services), fmt.Sprintf("%d of %d", answering, len(o.Services))}}
	if o.Manual == nil {
		return append(checks, check{"Order record can be read", false, "backlog unknown"})
	}
	all, inProgress, pending := int64(0), figure(0), figure(0)
	for _, s := range o.States {
		all += s.Orders
		if !s.Manual && s.Name != order.Placed.String() {
			inProgress = max(inProgress, s.Oldest)
		}
	}
	for _, d := range o.Pending {
		if d.Name != "cart" {
			pending = max(pending, d.Oldest)
		}
	}
	failing := "no failed calls"
	worst, share := recent.worst()
	if worst != "" {
		failing = worst + ": " + strconv.FormatFloat(100*float64(share), 'f', 1, 64) + " % of the calls failed"
	}
	rejected := o.Minute("requests", "rejected")
	return append(checks,
		check{"Order record can be read", true, fmt.Sprintf("not finished: %d", all)},
		check{"No order requires manual action", *o.Manual == 0, fmt.Sprintf("waiting: %d", *o.Manual)},
		check{"Orders make progress within a minute", inProgress <= figure(maxInProgress.Seconds()), "oldest: " + long(inProgress)},
		check{"E-mails and events are sent within 15 minutes", pending <= figure(maxPending.Seconds()), "oldest: " + long(pending)},
		check{"No request is rejected", !(rejected > 0), rate(rejected) + "/s"},
		check{"Dependencies answer", share <= maxFailed, failing},
	)
}

// Waiting is how many orders require manual action, if that is known.
func (o overview) Waiting() int64 {
	if o.Manual == nil {
		return 0
	}
	return *o.Manual
}

// badge is how many orders require manual action, as it stands beside the link to them; empty for none.
func (c *Console) badge() (text []byte) {
	samples, _, _ := c.history.read()
	if _, _, manual := samples.backlog(); manual != nil && *manual > 0 {
		text = strconv.AppendInt(nil, *manual, 10)
	}
	return text
}

// overviewNow is the overview with the orders that require manual action.
func (c *Console) overviewNow(ctx context.Context) overview {
	o := c.overview()
	if o.Waiting() == 0 {
		return o
	}
	l, err := c.attention.Get(ctx, "at a glance", sharedFor, func(ctx context.Context) (orderList, error) {
		ctx, cancel := context.WithTimeout(ctx, glance)
		defer cancel()
		return c.attentionList(ctx)
	})
	if err == nil && len(l.Orders) > 0 {
		o.Attention = &l
	}
	return o
}

// Oldest are the orders of the list that the overview names.
func (l orderList) Oldest() []orderRow { return l.Orders[:min(len(l.Orders), 5)] }

func (c *Console) showOverview(w http.ResponseWriter, r *http.Request) {
	o := c.overviewNow(r.Context())
	c.answer(w, r, http.StatusOK, "overview", o, web.Page{Title: "Overview", Nav: "/", Live: "/live/overview", Data: o})
}

// liveOverview keeps the overview fresh.
func (c *Console) liveOverview(w http.ResponseWriter, r *http.Request) {
	c.streams.Serve(w, r, func(ctx context.Context, emit web.Emit) error {
		for {
			_, _, more := c.history.read()
			o := c.overviewNow(ctx)
			err := errors.Join(c.emitAll(ctx, emit, "overview", o, "notice", "now", "checks", "states", "outcomes"), emit("badge", c.badge()))
			for _, p := range o.Plots() {
				err = errors.Join(err, c.pages.Emit(ctx, emit, "overview", "chart", p.ID, p))
			}
			if err != nil {
				return err
			}
			select {
			case <-more:
			case <-ctx.Done():
				return nil
			}
		}
	})
}
