package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table is rows of cells under a head.
type table struct {
	head []string
	rows [][]string
}

// column is one figure of a result.
type column struct {
	name   string
	value  func(*result) float64 // NaN when it is not known
	digits int                   // after the point
	ratio  bool                  // it is worth comparing
}

func columns() []column {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	latency := func(percent float64) func(*result) float64 {
		return func(r *result) float64 {
			if r.placed() == 0 {
				return math.NaN()
			}
			return ms(r.at(percent))
		}
	}
	const kib, mib = 1 << 10, 1 << 20
	return []column{
		{"orders/s", func(r *result) float64 { return r.perSecond() }, 0, true},
		{"p50 ms", latency(50), 1, true},
		{"p90 ms", latency(90), 1, true},
		{"p99 ms", latency(99), 1, true},
		{"p99.9 ms", latency(99.9), 1, true},
		{"CPU ms", func(r *result) float64 { return r.perOrder(ms(r.used.CPU)) }, 2, true},
		{"objects", func(r *result) float64 { return r.perOrder(r.objects) }, 0, true},
		{"KiB allocated", func(r *result) float64 { return r.perOrder(r.bytes) / kib }, 0, true},
		{"KiB to disk", func(r *result) float64 { return r.perOrder(float64(r.used.Written)) / kib }, 1, false},
		{"RSS MiB", func(r *result) float64 { return float64(r.used.Peak) / mib }, 1, false},
		{"anonymous MiB", func(r *result) float64 { return float64(r.used.Anonymous) / mib }, 1, false},
		{"major faults", func(r *result) float64 { return float64(r.used.Faults) }, 0, false},
		{"executable MiB", func(r *result) float64 { return r.size / mib }, 1, false},
		{"start ms", func(r *result) float64 { return ms(r.startup) }, 0, false},
		{"failed", func(r *result) float64 { return float64(r.failed) }, 0, false},
	}
}

// tableOf is a row for every result. Under one that is not the first of its cell is the first divided by it.
func tableOf(results []*result) table {
	t := table{head: []string{"load", "program"}}
	for _, c := range columns() {
		t.head = append(t.head, c.name)
	}
	var first *result
	for _, r := range results {
		if first == nil || first.of != r.of {
			first = r
		}
		row := []string{r.of.String(), r.by.name}
		for _, c := range columns() {
			row = append(row, number(c.value(r), c.digits))
		}
		t.rows = append(t.rows, row)
		if r != first {
			t.rows = append(t.rows, ratios(first, r))
		}
	}
	return t
}

func ratios(a, b *result) []string {
	row := []string{"", "÷"}
	for _, c := range columns() {
		ratio := math.NaN()
		if c.ratio {
			ratio = c.value(a) / c.value(b)
		}
		row = append(row, number(ratio, 2))
	}
	return row
}

// beside is a row for the first result of every cell. Each figure is followed by its ratio to that of the second.
func beside(results []*result) table {
	t := table{head: []string{"load"}}
	for _, c := range columns() {
		t.head = append(t.head, c.name)
	}
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].of == results[0].of {
			n++
		}
		first, second := results[0], results[min(1, n-1)]
		row := []string{first.of.String()}
		for _, c := range columns() {
			cell := number(c.value(first), c.digits)
			if ratio := number(c.value(first)/c.value(second), 2); n > 1 && c.ratio && ratio != "" {
				cell += " (" + ratio + ")"
			}
			row = append(row, cell)
		}
		t.rows, results = append(t.rows, row), results[n:]
	}
	return t
}

// number is a figure in a table. What is not known is left out.
func number(v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// without is the table without the columns of these names, and without those that hold nothing but zeros.
func (t table) without(names ...string) table {
	var less table
	pick := func(row []string) (cells []string) {
		for i, cell := range row {
			if !slices.Contains(names, t.head[i]) && slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" && row[i] != "0" }) {
				cells = append(cells, cell)
			}
		}
		return cells
	}
	less.head = pick(t.head)
	for _, row := range t.rows {
		less.rows = append(less.rows, pick(row))
	}
	return less
}

// folded is the table with one row for adjacent rows that begin with the same two cells: its figures are ranges.
func (t table) folded() table {
	less := table{head: t.head}
	for rows := t.rows; len(rows) > 0; {
		n := 1
		for n < len(rows) && slices.Equal(rows[n][:2], rows[0][:2]) {
			n++
		}
		row := slices.Clone(rows[0])
		for i := 2; i < len(row); i++ {
			byFigure := func(a, b []string) int { return cmp.Compare(figure(a[i]), figure(b[i])) }
			low, high := slices.MinFunc(rows[:n], byFigure)[i], slices.MaxFunc(rows[:n], byFigure)[i]
			if row[i] = low; low != high {
				row[i] += "–" + high
			}
		}
		less.rows, rows = append(less.rows, row), rows[n:]
	}
	return less
}

// figure is the number in a cell. What is no number is more than any.
func figure(cell string) float64 {
	if v, err := strconv.ParseFloat(cell, 64); err == nil {
		return v
	}
	return math.Inf(1)
}

// markdown is the table in Markdown. All columns but the first two hold numbers. A load is named once.
func (t table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "--:"
	}
	copy(rule, []string{"---", "---"})
	line(rule)
	above := ""
	for _, row := range t.rows {
		row = slices.Clone(row)
		if row[0] == above {
			row[0] = ""
		} else if row[0] != "" {
			above = row[0]
		}
		line(row)
	}
	return b.String()
}

// csv is the table as comma-separated values (RFC 4180).
func (t table) csv() (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	err := w.WriteAll(append([][]string{t.head}, t.rows...))
	return b.String(), err
}
