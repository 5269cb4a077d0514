package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"checkout/internal/wait"
)

// What happens when more is wanted than can be done. Orders come when they come (an open loop), whoever waits for longer
// than its deadline is gone, and the other services' ledgers are compared with the answers: a card that was charged although
// no answer came in time is counted.

// overload is what is asked for.
type overload struct {
	path      string
	memory    []string
	factors   []float64
	brownouts *regexp.Regexp
	seconds   time.Duration // that an overload lasts
	recovery  time.Duration // that is watched afterwards
	deadline  time.Duration
	lines     int
	conns     int
	greedy    int
	bounds
	docs string
}

// bounds are figures that must be kept; a negative one is not looked at.
type bounds struct {
	lost      int     // cards charged without an answer in time, at most
	anonymous int     // MiB, at most
	good      float64 // per cent of what is possible, at least
	served    float64 // per cent of the calls afterwards, at least
	others    float64 // per cent of the calls beside a greedy user, at least
}

// parseOverload reads the arguments. Help goes to out.
func parseOverload(args []string, out io.Writer) (overload, error) {
	var o overload
	var brownouts string
	memory := list[string]{[]string{"16MiB", "512MiB"}, word}
	factors := list[float64]{[]float64{2, 5, 10}, rate}
	flags := flag.NewFlagSet("bench -overload", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Bool("overload", true, "measure overload instead")
	flags.StringVar(&o.path, "binary", "bin/checkout", "`program` to measure")
	flags.Var(&memory, "memlimit", "`GOMEMLIMIT` of the program, one after the other")
	flags.Var(&factors, "factors", "offered load, in `times` of the measured peak")
	flags.StringVar(&brownouts, "brownouts", "", "names of services that are limited to a fifth of what is offered: a `regexp`; default: all; none: ^$")
	flags.DurationVar(&o.seconds, "time", 20*time.Second, "`time` that each overload lasts")
	flags.DurationVar(&o.recovery, "recovery", 8*time.Second, "`time` that is watched afterwards")
	flags.DurationVar(&o.deadline, "deadline", 5*time.Second, "`time` that a caller waits")
	flags.IntVar(&o.lines, "lines", 5, "`lines` of a cart")
	flags.IntVar(&o.conns, "conns", 4, "`connections` that callers share")
	flags.IntVar(&o.greedy, "greedy", 400, "`calls` that one user has under way at once, beside honest users; 0: not measured")
	flags.IntVar(&o.lost, "most-lost", -1, "`cards` that may be charged without an answer in time; exit with 1 if there are more. Negative: any number")
	flags.IntVar(&o.anonymous, "most-anonymous", -1, "`MiB` of anonymous memory, likewise")
	flags.Float64Var(&o.good, "least-good", -1, "`per cent` of what is possible that must be served in time, likewise")
	flags.Float64Var(&o.served, "least-served", -1, "`per cent` of the calls after the load has gone that must be served in time, likewise")
	flags.Float64Var(&o.others, "least-others", -1, "`per cent` of the others' calls beside a greedy user that must be answered with an order, likewise")
	flags.StringVar(&o.docs, "docs", "", "`folder` of reliability.md, in which the table is replaced")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q: only flags are taken", flags.Arg(0))
	}
	if o.seconds < 3*time.Second || o.recovery < time.Second || o.deadline <= 0 || o.lines < 1 || o.lines > maxLines || o.conns < 1 || o.greedy < 0 {
		return o, errors.New("-time of at least 3s, -recovery of at least 1s, -deadline, -lines, -conns and -greedy must make sense")
	}
	var err error
	if o.brownouts, err = regexp.Compile(brownouts); err != nil {
		return o, fmt.Errorf("-brownouts: %w", err)
	}
	o.memory, o.factors = memory.values, factors.values
	return o, nil
}

// limited is another service that does a fixed number of calls a second.
type limited struct {
	name     string
	method   string
	calls    int    // of the method, for an order
	currency string // that the order must be in to need it
	offPath  bool   // the answer does not wait for it
}

// limitable are the other services that may be the slow one.
func (o overload) limitable() []limited {
	return []limited{
		{name: "cart", method: "GetCart", calls: 1},
		{name: "catalog", method: "GetProduct", calls: o.lines},
		{name: "currency", method: "Convert", calls: o.lines + 1, currency: "EUR"},
		{name: "quote", method: "get-quote", calls: 1},
		{name: "payment", method: "Charge", calls: 1},
		{name: "shipping", method: "ship-order", calls: 1},
		{name: "empty cart", method: "EmptyCart", calls: 1},
		{name: "email", method: "send_order_confirmation", calls: 1, offPath: true},
	}
}

// run measures everything. Progress goes to log.
func (o overload) run(ctx context.Context, out, log io.Writer) (err error) {
	s, err := openShop(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var all []*ordeal
	for _, memory := range o.memory {
		some, err := o.under(ctx, s, memory, log)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	t := overloadTable(all, func(p plan) string { return p.name })
	shown := overloadTable(all, plan.kind).folded().without("refused", "refusal p50 ms", "RSS MiB")
	return errors.Join(report{out: out, docs: o.docs}.page("reliability.md", "overload", t, shown, overloadLegend), o.judge(all))
}

// under measures all overloads with one memory limit.
func (o overload) under(ctx context.Context, s *shop, memory string, log io.Writer) ([]*ordeal, error) {
	peak, err := o.peak(ctx, s, memory)
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(log, "GOMEMLIMIT=%s: %.0f orders a second at most\n", memory, peak)
	var plans []plan
	for _, factor := range o.factors {
		plans = append(plans, plan{name: fmt.Sprintf("%g × of the peak", factor), offered: factor * peak, possible: peak, after: peak / 2})
	}
	offered := peak / 2
	for _, n := range o.limitable() {
		if !o.brownouts.MatchString(n.name) {
			continue
		}
		for _, persist := range []bool{false, true} {
			p := plan{name: n.name + " does a fifth", offered: offered, possible: offered / 5, after: offered / 10, limited: n}
			if p.persist = persist; persist {
				p.name += persists
			}
			if n.offPath {
				p.possible, p.after = offered, offered
			}
			plans = append(plans, p)
		}
	}
	if o.greedy > 0 {
		plans = append(plans, plan{name: fmt.Sprintf("one user, %d at once", o.greedy), offered: peak / 4, possible: peak / 4, after: peak / 4, greedy: o.greedy})
	}
	var all []*ordeal
	for _, p := range plans {
		p.memory, p.peak = memory, peak
		r, err := o.one(ctx, s, p)
		if err != nil {
			return all, fmt.Errorf("GOMEMLIMIT=%s, %s: %w", memory, p.name, err)
		}
		_, _ = fmt.Fprintln(log, r)
		all = append(all, r)
	}
	return all, nil
}

const persists = ", also for callers who left"

// plan is one overload: what is offered, what of it can be served, and what is offered when it is over.
type plan struct {
	name     string
	memory   string
	peak     float64
	offered  float64 // orders a second
	possible float64
	after    float64
	limited  limited // the service that is slow; none: the service itself is the bottleneck
	persist  bool    // it also does calls whose caller has left
	greedy   int     // calls that one user has under way at once
}

// kind names the plan together with those of other services that are as slow.
func (p plan) kind() string {
	switch {
	case p.limited.method == "" || p.limited.offPath:
		return strings.TrimSuffix(p.name, persists)
	default:
		return "another service does a fifth"
	}
}

// ordeal is how the service did.
type ordeal struct {
	plan
	during, afterwards *counts
	took               time.Duration // that the overload lasted
	anonymous, rss     int64         // bytes, at most
	lost               int           // cards charged without an answer in time
	charged            int
}

// peak is how many orders a second the service can do: with 64 callers, each of whom waits for its answer.
func (o overload) peak(ctx context.Context, s *shop, memory string) (float64, error) {
	r, err := o.start(ctx, s, memory)
	if err != nil {
		return 0, err
	}
	load := o.load(r, "peak", "", o.conns)
	if err := load.run(ctx, closedLoop(64), warmTime); err != nil {
		return 0, errors.Join(err, r.end())
	}
	load.phase()
	err = load.run(ctx, closedLoop(64), max(3*time.Second, o.seconds/4))
	load.settle(ctx)
	measured := load.phase()
	seconds := measured.seconds()
	load.close()
	if err = errors.Join(err, r.end()); err != nil {
		return 0, err
	}
	good := median(seconds[:max(1, len(seconds)-1)]) // the last second is not a whole one
	if good <= 0 {
		return 0, fmt.Errorf("no order was placed: %s", measured.failure)
	}
	return good, nil
}

// start starts the service in the shop with supplied carts.
func (o overload) start(ctx context.Context, s *shop, memory string) (*running, error) {
	if err := s.tell(ctx, "Supply", Supplying{Lines: o.lines, Products: maxProducts, Greedy: greedyUser}, nil); err != nil {
		return nil, err
	}
	c := usual()
	c.memory, c.concurrency = memory, 1
	return start(ctx, program{name: "checkout", path: o.path}, c, s.environ, "")
}

// one measures one overload, on a service that was just started and has proven little.
func (o overload) one(ctx context.Context, s *shop, p plan) (r *ordeal, err error) {
	service, err := o.start(ctx, s, p.memory)
	if err != nil {
		return nil, err
	}
	r = &ordeal{plan: p}
	before := 0
	if err := errors.Join(s.tell(ctx, "Limit", Limiting{}, nil), s.tell(ctx, "ChargeCount", struct{}{}, &before)); err != nil {
		return nil, errors.Join(err, service.end())
	}
	memory := watch(ctx, service)
	honest, greedy := o.load(service, "honest", p.limited.currency, o.conns), o.load(service, greedyUser, "", o.conns)
	err = o.phases(ctx, s, r, honest, greedy)
	honest.close()
	greedy.close()
	r.anonymous, r.rss = memory()
	err = errors.Join(err, s.tell(ctx, "Limit", Limiting{}, nil))
	if !service.Alive() {
		err = errors.Join(err, errors.New("the service has died"))
	}
	if err = errors.Join(err, service.end()); err != nil { // which finishes what is under way
		return nil, err
	}
	var orders []string
	if err := s.tell(ctx, "Charged", before, &orders); err != nil {
		return nil, err
	}
	r.charged = len(orders)
	for _, id := range orders {
		if !honest.answered[id] && !greedy.answered[id] {
			r.lost++
		}
	}
	return r, nil
}

// phases are a quiet start, the overload, and what comes after it.
func (o overload) phases(ctx context.Context, s *shop, r *ordeal, honest, greedy *load) error {
	quiet := min(r.peak/4, r.possible*3/4)
	if err := honest.run(ctx, openLoop(quiet), 2*time.Second); err != nil {
		return err
	}
	honest.phase()
	if r.limited.method != "" {
		limit := Limiting{Method: r.limited.method, Rate: r.offered / 5 * float64(r.limited.calls), Persist: r.persist}
		if err := s.tell(ctx, "Limit", limit, nil); err != nil {
			return err
		}
	}
	began := time.Now()
	ended := make(chan error, 1)
	crowd, leave := context.WithCancel(ctx)
	go func() {
		if r.greedy == 0 {
			ended <- nil
			return
		}
		ended <- greedy.run(crowd, closedLoop(r.greedy), o.seconds)
	}()
	err := honest.run(ctx, openLoop(r.offered), o.seconds)
	leave()
	err = errors.Join(err, <-ended)
	r.took = time.Since(began)
	r.during = honest.phase()
	if err != nil && ctx.Err() != nil {
		return err
	}
	err = honest.run(ctx, openLoop(r.after), o.recovery)
	honest.settle(ctx)
	r.afterwards = honest.phase()
	return err
}

// watch samples the service's memory until the returned function is called, which returns the most, in bytes.
func watch(ctx context.Context, service *running) (stop func() (anonymous, rss int64)) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var anonymous, rss int64
	go func() {
		defer close(done)
		for wait.For(ctx, 100*time.Millisecond) {
			if u, err := service.Usage(); err == nil { // when it has died that is noticed elsewhere
				anonymous, rss = max(anonymous, u.Anonymous), max(rss, u.RSS)
			}
		}
	}()
	return func() (int64, int64) { cancel(); <-done; return anonymous, rss }
}

// judge compares with the bounds that were given.
func (o overload) judge(all []*ordeal) error {
	var broken []error
	for _, r := range all {
		at := "GOMEMLIMIT=" + r.memory + ", " + r.name
		demand := func(kept bool, format string, args ...any) {
			if !kept {
				broken = append(broken, fmt.Errorf(at+": "+format, args...))
			}
		}
		demand(o.lost < 0 || r.lost <= o.lost, "%d cards were charged without an answer in time, of at most %d", r.lost, o.lost)
		demand(o.anonymous < 0 || r.anonymous <= int64(o.anonymous)<<20, "%d KiB of anonymous memory, of at most %d MiB", r.anonymous>>10, o.anonymous)
		demand(o.good < 0 || r.goodput()*100 >= o.good*r.possible, "%.0f orders a second were served of %.0f that were possible: fewer than %g %%", r.goodput(), r.possible, o.good)
		demand(o.served < 0 || r.afterwards.share()*100 >= o.served, "%.1f %% of the calls after it were served, of at least %g %%", r.afterwards.share()*100, o.served)
		demand(o.others < 0 || r.greedy == 0 || r.during.share()*100 >= o.others, "%.1f %% of the others' calls were served, of at least %g %%", r.during.share()*100, o.others)
		demand(r.during.strange == 0 && r.afterwards.strange == 0, "%d answers that are neither an order nor a refusal: %s", r.during.strange+r.afterwards.strange, r.during.failure+r.afterwards.failure)
	}
	return errors.Join(broken...)
}

// goodput is the mean of the whole seconds from the third one on.
func (r *ordeal) goodput() float64 {
	seconds := r.during.seconds()
	whole := min(int(r.took/time.Second), len(seconds))
	sum := 0.
	for _, n := range seconds[min(2, whole):whole] {
		sum += n
	}
	return sum / float64(max(1, whole-2))
}

// back is after how many seconds every further second served 99 % of its calls; negative when it never did.
func (r *ordeal) back() float64 { return r.afterwards.back(0.99) }

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

const overloadLegend = `"Offered" and "possible" are orders per second. "Served" is the mean from the third second on, of answers within the caller's deadline.
"Back" is the number of seconds after the overload until at least 99 % of each second's calls are served. A row of several measurements
shows ranges. Columns of zeros are left out: calls without an answer, failures, and charges whose order was not answered in time.
`

// overloadTable is a row for every overload.
func overloadTable(all []*ordeal, name func(plan) string) table {
	t := table{head: []string{
		"GOMEMLIMIT", "overload", "offered", "possible", "served", "served %", "p50 ms", "p99 ms",
		"refused", "refusal p50 ms", "refusal p99 ms", "no answer", "failed", "charged, no answer", "back s", "anonymous MiB", "RSS MiB",
	}}
	ms := func(d time.Duration) string { return number(float64(d)/float64(time.Millisecond), 1) }
	for _, r := range all {
		back := "never"
		if s := r.back(); s >= 0 {
			back = number(s, 0)
		}
		d := r.during
		t.rows = append(t.rows, []string{
			r.memory, name(r.plan), number(r.offered, 0), number(r.possible, 0), number(r.goodput(), 0), number(100*r.goodput()/r.possible, 0),
			ms(at(d.good, 50)), ms(at(d.good, 99)), strconv.FormatInt(d.refused.TotalCount(), 10), ms(at(d.refused, 50)), ms(at(d.refused, 99)),
			strconv.Itoa(d.expired), strconv.Itoa(d.failed), strconv.Itoa(r.lost), back, number(float64(r.anonymous)/(1<<20), 1), number(float64(r.rss)/(1<<20), 1),
		})
	}
	return t
}

// String is the overload in a line, its seconds one by one.
func (r *ordeal) String() string {
	text := fmt.Sprintf("%s: served each second", r.name)
	for _, n := range r.during.seconds() {
		text += fmt.Sprintf(" %.0f", n)
	}
	text += " | afterwards"
	for _, n := range r.afterwards.seconds() {
		text += fmt.Sprintf(" %.0f", n)
	}
	if n := r.during.unsent; n > 0 {
		text += fmt.Sprintf(" | %d of %d without an answer were never sent: no stream was free", n, r.during.expired)
	}
	if r.during.failure != "" {
		text += " | such as: " + r.during.failure
	}
	return text
}

// runOverload is bench -overload.
func runOverload(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parseOverload(args, log)
	if err != nil {
		return err
	}
	if o.path, err = filepath.Abs(o.path); err != nil {
		return err
	}
	return o.run(ctx, out, log)
}
