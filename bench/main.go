// Command bench measures the released executable: in a process of its own, with the memory limit of its container, among other
// services in a second process, under a load that comes from a third. It prints a table: orders a second, latencies, and what
// an order costs in processor time, memory and disk.
//
//	make bench
//	go run ./bench -lines 1,5,20 -concurrency 64 -latency 5ms
//	go run ./bench -rate 200 -time 30s -orders 6000      an open loop: orders do not wait for each other
//	go run ./bench -floor parallel,sequential            beside bare programs that make the same calls
//	go run ./bench -against ~/stock-checkout             beside another executable
//	go run ./bench -container 20 -concurrency 16,64      in a small, cold container
//	go run ./bench -overload                             more load than capacity; see -overload -h
//
// Programs take turns, a little of each in every round, because the load of a shared machine changes: trust the ratios.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"checkout/bench/floor"
	"checkout/internal/test/process"
)

// What this program can be beside the load: its first argument.
const (
	modeShop  = "shop"  // the other services
	modeFloor = "floor" // the bare program, of the kind that the second argument names
)

func main() { os.Exit(process.Main(dispatch)) }

// dispatch is whichever program the arguments ask for.
func dispatch(ctx context.Context, args []string, out, log io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == modeShop:
		return runShop(ctx, os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == modeFloor:
		return floor.Run(ctx, floor.Kind(args[1]), os.Getenv)
	case slices.Contains(args, "-overload"):
		return runOverload(ctx, args, out, log)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	o, err := parse(args, self, log)
	if err != nil {
		return err
	}
	report := report{out: out, csv: o.csv, docs: o.docs}
	if len(o.containers) > 0 {
		return o.choke(ctx, report, log)
	}
	return o.bench(ctx, report, log)
}

// bench measures all programs in all cells. Progress goes to log.
func (o options) bench(ctx context.Context, r report, log io.Writer) error {
	all, err := each(o.cells, log, func(c cell) ([]*result, error) {
		results, err := o.measure(ctx, c, o.programs)
		for _, r := range results {
			if r.failed > 0 {
				_, _ = fmt.Fprintf(log, "%s: %d orders failed, one of them so: %v\n", r.by.name, r.failed, r.failure)
			}
		}
		return results, err
	})
	if err != nil {
		return err
	}
	return errors.Join(r.page("performance.md", "bench", tableOf(all), beside(all).without("p90 ms", "p99.9 ms", "objects", "major faults", "executable MiB", "start ms"), legend), r.plots(charts(all)))
}

// choke measures the first program alone in all cells, in containers of all sizes.
func (o options) choke(ctx context.Context, r report, log io.Writer) error {
	var all []window
	for _, limit := range o.containers {
		windows, err := each(o.cells, log, func(c cell) ([]window, error) { return o.contain(ctx, c, o.programs[0], limit, log) })
		if err != nil {
			return err
		}
		all = append(all, windows...)
	}
	if all == nil {
		return nil
	}
	t := containerTable(all)
	return r.page("performance.md", "container", t, t.without("start ms", "taken MiB", "at most MiB"), containerLegend)
}

// each measures cells, less those that this machine cannot.
func each[T any](cells []cell, log io.Writer, measure func(cell) ([]T, error)) ([]T, error) {
	var all []T
	for i, c := range cells {
		_, _ = fmt.Fprintf(log, "%d of %d: %v\n", i+1, len(cells), c)
		results, err := measure(c)
		switch {
		case errors.Is(err, errNotHere):
			_, _ = fmt.Fprintf(log, "NOT MEASURED: %v\n", err)
		case err != nil:
			return nil, fmt.Errorf("%v: %w", c, err)
		}
		all = append(all, results...)
	}
	return all, nil
}
