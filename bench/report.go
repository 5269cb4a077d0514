package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// What the columns of a table are, for those who read it.
const (
	legend = `"÷" are the ratios of the first program to the one above. CPU is user and system time until the last letter and event
of the orders. "objects" and "KiB allocated" are Go's own counters, as the service exports them, and "KiB to disk" is
write_bytes of /proc/PID/io: flushes, which Linux does not count for a process, are counted by the store's benchmark.
"RSS" is the most that was resident, pages of the executable among it; "anonymous" is what was resident at the end that is
no page of a file. "start" is from exec to SERVING. Latencies of an open loop count from when an order was due.
`
	containerLegend = `A row is a window of time, one after the other from a cold start. "container" is the limit of the cgroup, page cache
included; "taken" is how much it takes, "at most" how much it has taken so far, "killed" how often the kernel has killed
the service for want of memory. "major faults" are pages that had to be read from the disk within the window. How many
neighbours of such a page are read along, and push others out, is read_ahead_kb of the disk.
`
)

// report is where results go.
type report struct {
	out  io.Writer
	csv  bool
	docs string // folder; empty: nothing is written there
}

// table prints a table and, in performance.md, puts it between the markers of its name.
func (r report) table(name string, t table, legend string) error {
	return r.page("performance.md", name, t, legend)
}

// page is table for another page.
func (r report) page(page, name string, t table, legend string) error {
	text := t.markdown()
	if r.csv {
		var err error
		if text, err = t.csv(); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(r.out, text); err != nil || r.docs == "" {
		return err
	}
	path := filepath.Join(r.docs, page)
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := between(string(before), name, "\n"+t.markdown()+"\n"+legend)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644) //nolint:gosec // a page for all to read
}

// plots draws the charts that have a line.
func (r report) plots(charts map[string]chart) error {
	if r.docs == "" {
		return nil
	}
	folder := filepath.Join(r.docs, "plots")
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // pictures for all to see
		return err
	}
	for name, c := range charts {
		if !c.drawable() {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(c.svg()), 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return nil
}

// between replaces what is between <!-- NAME:begin --> and <!-- NAME:end -->.
func between(page, name, text string) (string, error) {
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
	before, rest, ok := strings.Cut(page, begin)
	if !ok {
		return "", fmt.Errorf("there is no %q", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("there is no %q after %q", end, strings.TrimSpace(begin))
	}
	return before + begin + text + end + after, nil
}
