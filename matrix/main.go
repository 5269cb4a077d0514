// Command matrix runs checkout with faulty services. Each cell is one call of an order, or one service, that fails in one way,
// in a shop and a process of its own. Customers buy meanwhile, once and again; then the service is healed, and its ledgers are
// compared with the answers and the record. The exit status is 1 if an invariant was violated.
//
//	go run ./matrix                              all cells; some minutes
//	go run ./matrix -cells '^shipping: status'   some of them
//	go run ./matrix -list                        the names of all cells
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"time"

	"checkout/internal/test/pgtest"
	"checkout/internal/test/process"
)

func main() { os.Exit(process.Main(run)) }

// options are what is asked for.
type options struct {
	binary   string
	cells    *regexp.Regexp
	every    int
	list     bool
	cluster  *cluster // nil: no cell needs it
	verbose  bool
	workers  int
	keyed    bool
	memory   string
	deadline time.Duration
	slack    time.Duration
	rss      int
}

// parse reads the arguments. Help goes to out.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	var cells, payment string
	flags := flag.NewFlagSet("matrix", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.binary, "binary", "", "service to test, a `program`; default: it is built")
	flags.StringVar(&cells, "cells", "", "names of the cells, a `regexp`; default: all")
	flags.IntVar(&o.every, "every", 1, "take only each `n`-th of them")
	flags.BoolVar(&o.list, "list", false, "print the names of the cells, and do nothing")
	flags.BoolVar(&o.verbose, "v", false, "print every cell")
	flags.IntVar(&o.workers, "workers", 12, "`cells` at once: most of their time is waiting")
	flags.StringVar(&payment, "payment", "stock", "payment service, and with it shipping, honours keys or not: `stock|keyed`")
	flags.StringVar(&o.memory, "memlimit", "16MiB", "`GOMEMLIMIT` of the service")
	flags.DurationVar(&o.deadline, "deadline", 6*time.Second, "`time` in which the service has to answer")
	flags.DurationVar(&o.slack, "slack", 500*time.Millisecond, "`time` that an answer may be later on a busy machine")
	flags.IntVar(&o.rss, "most-rss", 32, "`MiB` that may be resident, pages of the executable included; negative: any number")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("argument %q: only flags are taken", flags.Arg(0))
	case payment != "stock" && payment != "keyed":
		return o, fmt.Errorf("-payment %q: neither stock nor keyed", payment)
	case o.every < 1 || o.workers < 1 || o.deadline <= 0 || o.slack < 0:
		return o, errors.New("-every, -workers, -deadline and -slack must make sense")
	}
	o.keyed = payment == "keyed"
	var err error
	if o.cells, err = regexp.Compile(cells); err != nil {
		return o, fmt.Errorf("-cells: %w", err)
	}
	return o, nil
}

// all are the cells that were asked for, in order of their steps and modes.
func (o options) all() []cell {
	var chosen []cell
	for _, s := range steps() {
		modes := s.modes()
		slices.SortStableFunc(modes, func(a, b mode) int { return cmp.Compare(a.name, b.name) })
		for _, m := range modes {
			if c := (cell{s, m}); o.cells.MatchString(c.String()) {
				chosen = append(chosen, c)
			}
		}
	}
	var some []cell
	for i := o.every / 2; i < len(chosen); i += o.every {
		some = append(some, chosen[i])
	}
	return some
}

// run does what the arguments ask for.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	cells := o.all()
	if _, err := exec.LookPath("strace"); err != nil {
		_, _ = fmt.Fprintln(log, "matrix: without strace the disk of the record is left out")
		cells = slices.DeleteFunc(cells, func(c cell) bool { return c.mode.disk != "" })
	}
	if o.list {
		for _, c := range cells {
			_, _ = fmt.Fprintln(out, c)
		}
		return nil
	}
	if len(cells) == 0 {
		return fmt.Errorf("-cells %q: there is no such cell", o.cells)
	}
	folder, err := os.MkdirTemp("", "matrix-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if o.binary, err = process.Executable(ctx, o.binary, folder); err != nil {
		return err
	}
	if slices.ContainsFunc(cells, func(c cell) bool { return c.step.database }) {
		server, failure := pgtest.Run(ctx)
		if failure != nil {
			return failure
		}
		defer func() { err = errors.Join(err, server.Remove()) }()
		o.cluster = &cluster{Server: server}
	}
	began := time.Now()
	results := o.work(ctx, cells, log)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return report(out, results, time.Since(began))
}

// work runs cells, some at once, and returns their results in order.
func (o options) work(ctx context.Context, cells []cell, log io.Writer) []*result {
	results := make([]*result, len(cells))
	next := make(chan int)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(o.workers, len(cells)) {
		workers.Go(func() {
			for i := range next {
				r := o.run(ctx, cells[i])
				results[i] = r
				if !o.verbose && len(r.violations) == 0 && r.err == nil {
					continue
				}
				mu.Lock()
				r.print(log)
				mu.Unlock()
			}
		})
	}
	for i := range cells {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

// print prints a cell with all that is wrong with it.
func (r *result) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "%v  (%d hits, %d orders answered, %.1f MiB, %.1f s)\n", r.cell, r.hits, r.placed, float64(r.rss)/(1<<20), r.took.Seconds())
	if r.err != nil {
		_, _ = fmt.Fprintf(out, "    could not be run: %v\n", r.err)
	}
	for _, v := range r.violations {
		_, _ = fmt.Fprintf(out, "    %s\n", brief(v, 300))
	}
}

// report prints a row for every step, and returns an error when a cell has a violation, could not be run or never failed.
func report(out io.Writer, results []*result, took time.Duration) error {
	type row struct{ cells, placed, broken int }
	rows := make(map[string]*row)
	var names []string
	var failures []error
	for _, r := range results {
		if rows[r.step.name] == nil {
			rows[r.step.name], names = new(row), append(names, r.step.name)
		}
		at := rows[r.step.name]
		at.cells++
		at.placed += r.placed
		switch {
		case r.err != nil:
			failures = append(failures, fmt.Errorf("%v: %w", r.cell, r.err))
		case len(r.violations) > 0:
			at.broken++
			failures = append(failures, fmt.Errorf("%v: %s", r.cell, brief(r.violations[0], 200)))
		case r.hits == 0:
			failures = append(failures, fmt.Errorf("%v: %w", r.cell, errNoHit))
		}
	}
	_, _ = fmt.Fprintf(out, "%-12s %6s %8s %8s\n", "step", "cells", "orders", "broken")
	for _, name := range names {
		_, _ = fmt.Fprintf(out, "%-12s %6d %8d %8d\n", name, rows[name].cells, rows[name].placed, rows[name].broken)
	}
	_, _ = fmt.Fprintf(out, "%d cells in %.0f s, %d with violations\n", len(results), took.Seconds(), len(failures))
	return errors.Join(failures...)
}
