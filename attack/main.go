// Command attack attacks the service, each attack on a process of its own, while normal customers place orders and a probe
// checks its health. Attackers speak HTTP/2 frame by frame, from one connection up to hundreds: they leave requests unfinished,
// do not read answers, and send what costs the server more than it costs them. The exit status is 1 if customers or the probe
// suffered, or the service took too much memory. Everything stays on the loopback interface.
//
//	go run ./attack                                      all attacks, from 1, 20 and 200 connections; some ten minutes
//	go run ./attack -attacks 'reset|partial' -conns 20   some of them
//	go run ./attack -container 20 -conns 2               in a cold container of 20 MiB
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"checkout/internal/demo"
	"checkout/internal/test/process"
)

func main() { os.Exit(process.Main(run)) }

// options are what is asked for.
type options struct {
	binary    string
	attacks   *regexp.Regexp
	conns     []int
	time      time.Duration // of one attack
	frames    int           // a second, of all attackers together
	rate      float64       // honest orders a second
	deadline  time.Duration // of an honest customer
	patience  time.Duration // of the probe
	memory    string
	container int64 // bytes; 0: none
	cgroup    string
	bounds
}

// bounds must be kept; a negative one is not looked at.
type bounds struct {
	rss, anonymous int     // MiB, at most
	honest, probe  float64 // per cent, at least
}

// parse reads the arguments. Help goes to out.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	var attacks, conns string
	var container int64
	flags := flag.NewFlagSet("attack", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.binary, "binary", "", "service to attack, a `program`; default: it is built")
	flags.StringVar(&attacks, "attacks", "", "names of the attacks, a `regexp`; default: all")
	flags.StringVar(&conns, "conns", "1,20,200", "attackers' `connections`, one number after the other")
	flags.DurationVar(&o.time, "time", 6*time.Second, "`time` of one attack")
	flags.IntVar(&o.frames, "frames", 20_000, "`frames` a second of all attackers together: they share the processors with the service")
	flags.Float64Var(&o.rate, "rate", 10, "honest `orders` a second")
	flags.DurationVar(&o.deadline, "deadline", 5*time.Second, "`time` that an honest customer waits")
	flags.DurationVar(&o.patience, "probe", 2*time.Second, "`time` that the health probe waits")
	flags.StringVar(&o.memory, "memlimit", "16MiB", "`GOMEMLIMIT` of the service")
	flags.Int64Var(&container, "container", 0, "`MiB` of a memory cgroup to start the service in, cold; needs root. 0: none")
	flags.StringVar(&o.cgroup, "cgroup", "/sys/fs/cgroup", "`folder` where cgroups are mounted")
	flags.IntVar(&o.rss, "most-rss", 48, "`MiB` that may be resident, pages of the executable included; negative: any number")
	flags.IntVar(&o.anonymous, "most-anonymous", -1, "`MiB` that may be resident without pages of files, likewise")
	flags.Float64Var(&o.honest, "least-honest", 95, "`per cent` of the honest orders that must be placed, likewise")
	flags.Float64Var(&o.probe, "least-probe", 100, "`per cent` of the health checks that must be answered, likewise")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q: only flags are taken", flags.Arg(0))
	}
	for word := range strings.SplitSeq(conns, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > 1000 {
			return o, fmt.Errorf("-conns %q: not from 1 to 1000", word)
		}
		o.conns = append(o.conns, n)
	}
	if o.time <= 0 || o.frames < 1 || o.rate <= 0 || o.deadline <= 0 || o.patience <= 0 || container < 0 {
		return o, errors.New("-time, -frames, -rate, -deadline and -probe must be above 0")
	}
	o.container = container << 20
	var err error
	if o.attacks, err = regexp.Compile(attacks); err != nil {
		return o, fmt.Errorf("-attacks: %w", err)
	}
	return o, nil
}

// run does what the arguments ask for.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "attack-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if o.binary, err = process.Executable(ctx, o.binary, folder); err != nil {
		return err
	}
	shop, err := demo.Start(ctx, demo.Options{Folder: folder})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	fill(shop)
	var all []*outcome
	for _, a := range attacks() {
		for _, conns := range o.conns {
			if !o.attacks.MatchString(a.name) || a.name == none && conns != o.conns[0] {
				continue
			}
			r, err := o.one(ctx, shop, a, conns)
			if err != nil {
				return fmt.Errorf("%s from %d connections: %w", a.name, conns, err)
			}
			_, _ = fmt.Fprintln(log, r)
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("-attacks %q: there is no such attack", o.attacks)
	}
	return errors.Join(table(out, all), judge(all, o.bounds))
}

// outcome is how an attack went.
type outcome struct {
	attack  string
	conns   int
	tried   int   // connections that attackers made
	frames  int64 // that they sent
	honest  share // honest orders
	probe   share // health checks
	p50     time.Duration
	p99     time.Duration // of honest orders
	rss     int64         // bytes, at most
	anon    int64
	cpu     time.Duration
	died    string // how the service ended under the attack; empty: it did not
	stuck   string // why it could not be stopped after the attack; empty: it could
	back    time.Duration
	failure string // of an honest order or a health check
}

// share is how many of some succeeded.
type share struct{ good, all int }

func (s share) percent() float64 { return 100 * float64(s.good) / float64(max(s.all, 1)) }

func (r *outcome) String() string {
	text := fmt.Sprintf("%s, %d connections: %d of %d orders, %d of %d health checks, RSS %.1f MiB",
		r.attack, r.conns, r.honest.good, r.honest.all, r.probe.good, r.probe.all, mib(r.rss))
	if r.died != "" {
		text += ", died: " + r.died
	}
	if r.stuck != "" {
		text += ", stuck: " + r.stuck
	}
	if r.failure != "" {
		text += ", such as: " + r.failure
	}
	return text
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// table prints a row for every attack.
func table(out io.Writer, all []*outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "attack\tconns\tmade\tframes\thonest %\tp50 ms\tp99 ms\tprobe %\tRSS MiB\tanonymous MiB\tCPU s\tback s\talive\t")
	for _, r := range all {
		alive, back := "yes", fmt.Sprintf("%.1f", r.back.Seconds())
		switch {
		case r.died != "":
			alive, back = "NO", ""
		case r.stuck != "":
			alive = "stuck"
		}
		if r.back < 0 {
			back = "never"
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%s\t\n", r.attack, r.conns, r.tried, r.frames, r.honest.percent(),
			r.p50.Milliseconds(), r.p99.Milliseconds(), r.probe.percent(), mib(r.rss), mib(r.anon), r.cpu.Seconds(), back, alive)
	}
	return w.Flush()
}

// judge compares with the bounds.
func judge(all []*outcome, b bounds) error {
	var broken []error
	for _, r := range all {
		demand := func(kept bool, format string, args ...any) {
			if !kept {
				broken = append(broken, fmt.Errorf("%s from %d connections: %s", r.attack, r.conns, fmt.Sprintf(format, args...)))
			}
		}
		demand(r.died == "", "the service died: %s", r.died)
		demand(r.stuck == "", "the service could not be stopped: %s", r.stuck)
		demand(r.back >= 0, "the service was not back %v after the attack", backTime)
		demand(r.honest.all > 0 && r.probe.all > 0, "nobody asked for anything")
		demand(b.honest < 0 || r.honest.percent() >= b.honest, "%d of %d honest orders were placed; the least is %g %%", r.honest.good, r.honest.all, b.honest)
		demand(b.probe < 0 || r.probe.percent() >= b.probe, "%d of %d health checks were answered; the least is %g %%", r.probe.good, r.probe.all, b.probe)
		demand(b.rss < 0 || r.rss <= int64(b.rss)<<20, "%.1f MiB were resident; the most is %d", mib(r.rss), b.rss)
		demand(b.anonymous < 0 || r.anon <= int64(b.anonymous)<<20, "%.1f MiB of anonymous memory; the most is %d", mib(r.anon), b.anonymous)
	}
	return errors.Join(broken...)
}
