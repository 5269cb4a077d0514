package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// What the columns of a table mean.
const (
	legend = `In parentheses: divided by the figure of the bare program. "CPU" is user and system time until the last e-mail and event of the orders.
"KiB allocated" is Go's own counter, "KiB to disk" is write_bytes of /proc/PID/io. "RSS" is the peak; "anonymous" is measured at the end.
`
	containerLegend = `Each figure is the range of the time windows after a cold start. "Container" is the limit of the cgroup, which includes the page cache.
"Major faults" are pages read from the disk in a window. Columns of zeros ("failed", "killed") are left out.
`
)

// report is where results go.
type report struct {
	out  io.Writer
	csv  bool
	docs string // folder; empty: nothing is written there
}

// page prints a table and puts another between the markers of its name on a page.
func (r report) page(page, name string, t, shown table, legend string) error {
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
	replaced, err := between(string(before), name, "\n"+shown.markdown()+"\n"+legend)
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
