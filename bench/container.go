package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"checkout/internal/test/process"
)

// A container's limit counts the pages of files too, the executable's own among them. When that does not fit beside the
// heap, pages are dropped and read again for ever: nothing is killed, and hardly anything gets done. A benchmark on a
// machine that has the executable in memory already does not see that. This one does.

// window is a part of the time in a container.
type window struct {
	*result
	number        int
	limit         int64 // bytes of the container
	current, peak int64 // bytes that it takes, and has taken at most
	kills         int64 // since the start
	serves        bool  // it has come that far
}

// contain measures a program in a cell, in a container of so many bytes, from a cold start: the executable is read from
// the disk, page by page, and nothing warms up before it counts. Every round is a window. A program that does not serve,
// or dies, is a result too: the last window says so.
func (o options) contain(ctx context.Context, c cell, p program, limit int64, log io.Writer) (windows []window, err error) {
	group, err := process.NewCgroup(o.cgroup, limit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	defer func() { err = errors.Join(err, group.Remove()) }()
	s, err := openShop(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.tell(ctx, "Latency", c.latency, nil); err != nil {
		return nil, err
	}
	path, err := process.ColdCopy(p.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(filepath.Dir(path))) }()
	p.path = path
	r, err := newRun(ctx, p, c, s, group.Folder)
	if err != nil {
		_, _ = fmt.Fprintln(log, err)
		return []window{o.look(group, &result{by: p, of: c, tally: newTally()}, limit)}, ctx.Err()
	}
	defer func() { _ = r.end() }() // one that is choking may have to be killed
	for i := range o.rounds {
		if err := r.turn(ctx, o.share()); err != nil { // it has died
			_, _ = fmt.Fprintln(log, err)
			return append(windows, o.look(group, r.take(), limit)), ctx.Err()
		}
		w := o.look(group, r.take(), limit)
		w.number, w.serves = i+1, true
		windows = append(windows, w)
	}
	return windows, nil
}

// look adds to a result what the cgroup tells. What it does not tell is 0.
func (options) look(group *process.Cgroup, r *result, limit int64) window {
	w := window{result: r, limit: limit}
	w.current, w.peak, _ = group.Memory()
	w.kills, _ = group.Kills()
	return w
}

// containerTable is a row for every cell in a container: its figures are the range of the windows.
func containerTable(windows []window) table {
	t := table{head: []string{"load", "container MiB", "windows"}}
	var shown []column
	for _, c := range columns() {
		switch c.name {
		case "orders/s", "p50 ms", "p99 ms", "CPU ms", "anonymous MiB", "major faults", "start ms", "failed":
			shown, t.head = append(shown, c), append(t.head, c.name)
		}
	}
	t.head = append(t.head, "taken MiB", "at most MiB", "killed")
	const mib = 1 << 20
	for len(windows) > 0 {
		n := 1
		for n < len(windows) && windows[n].of == windows[0].of && windows[n].limit == windows[0].limit {
			n++
		}
		these := windows[:n]
		windows = windows[n:]
		row := []string{these[0].of.String(), fmt.Sprint(these[0].limit / mib), fmt.Sprint(n)}
		if !these[n-1].serves {
			row[2] = "does not serve"
		}
		for _, c := range shown {
			row = append(row, spread(these, c.digits, func(w window) float64 {
				if !w.serves {
					return math.NaN()
				}
				return c.value(w.result)
			}))
		}
		t.rows = append(t.rows, append(row,
			spread(these, 1, func(w window) float64 { return float64(w.current) / mib }),
			spread(these, 1, func(w window) float64 { return float64(w.peak) / mib }),
			spread(these, 0, func(w window) float64 { return float64(w.kills) })))
	}
	return t
}

// spread is the range of a figure. What is not known is left out.
func spread(windows []window, digits int, value func(window) float64) string {
	var known []float64
	for _, w := range windows {
		if v := value(w); !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	if known == nil {
		return ""
	}
	low, high := number(slices.Min(known), digits), number(slices.Max(known), digits)
	if low == high {
		return low
	}
	return low + "–" + high
}
