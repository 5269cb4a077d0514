package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/test/process"
)

// did is a result of so many orders of a millisecond each, in a second, with so much CPU altogether.
func did(name string, c cell, orders int, cpu time.Duration) *result {
	r := &result{by: program{name: name}, of: c, tally: newTally(), used: process.Usage{CPU: cpu}, objects: math.NaN(), bytes: math.NaN()}
	for range orders {
		r.count(time.Millisecond, nil)
	}
	r.took = time.Second
	return r
}

func TestATableHasARowForEveryResultAndTheRatiosToTheFirst(t *testing.T) {
	t.Parallel()
	other := usual()
	other.lines = 20
	got := tableOf([]*result{
		did("checkout", usual(), 100, time.Second), did("floor", usual(), 400, 400*time.Millisecond),
		did("checkout", other, 0, 0),
	})
	want := [][]string{ // the load, the program, orders a second, p50, CPU, objects
		{"5 lines, 64 at once", "checkout", "100", "1.0", "10.00", ""},
		{"5 lines, 64 at once", "floor", "400", "1.0", "1.00", ""},
		{"", "÷", "0.25", "1.00", "10.00", ""},
		{"20 lines, 64 at once", "checkout", "0", "", "", ""},
	}
	var rows [][]string
	for _, row := range got.rows {
		if len(row) != len(got.head) {
			t.Errorf("%d columns, want %d: %q", len(row), len(got.head), row)
		}
		rows = append(rows, []string{row[0], row[1], row[2], row[3], row[7], row[8]})
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestTheTableOfThePageHasARowForEveryLoadAndTheRatioToTheSecondProgram(t *testing.T) {
	t.Parallel()
	other := usual()
	other.lines = 20
	got := beside([]*result{did("checkout", usual(), 100, time.Second), did("floor", usual(), 400, 400*time.Millisecond), did("checkout", other, 100, time.Second)})
	var rows [][]string
	for _, row := range got.rows {
		if len(row) != len(got.head) {
			t.Errorf("%d columns, want %d: %q", len(row), len(got.head), row)
		}
		rows = append(rows, []string{row[0], row[1], row[6], row[7]})
	}
	want := [][]string{{"5 lines, 64 at once", "100 (0.25)", "10.00 (10.00)", ""}, {"20 lines, 64 at once", "100", "10.00", ""}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestRowsOfTheSameNameAreFoldedIntoRanges(t *testing.T) {
	t.Parallel()
	head := []string{"memory", "overload", "served", "back"}
	got := table{head: head, rows: [][]string{{"16", "peak", "7", "0"}, {"16", "slow", "9", "1"}, {"16", "slow", "10", "never"}, {"16", "slow", "9.5", "1"}, {"32", "slow", "9", "1"}}}.folded()
	want := table{head: head, rows: [][]string{{"16", "peak", "7", "0"}, {"16", "slow", "9–10", "1–never"}, {"32", "slow", "9", "1"}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(table{})); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestATableInMarkdownAndAsValues(t *testing.T) {
	t.Parallel()
	tab := table{head: []string{"load", "program", "orders/s"}, rows: [][]string{{"5 lines, USD", "checkout", "7"}, {"5 lines, USD", "floor", "9"}}}
	const markdown = "| load | program | orders/s |\n| --- | --- | --: |\n| 5 lines, USD | checkout | 7 |\n|  | floor | 9 |\n"
	if diff := cmp.Diff(markdown, tab.markdown()); diff != "" {
		t.Errorf("Markdown differs (-want +got):\n%s", diff)
	}
	values, err := tab.csv()
	if want := "load,program,orders/s\n\"5 lines, USD\",checkout,7\n\"5 lines, USD\",floor,9\n"; values != want || err != nil {
		t.Errorf("got %q (%v), want %q", values, err, want)
	}
}

func TestATableLeavesOutColumnsOfZeros(t *testing.T) {
	t.Parallel()
	tab := table{head: []string{"load", "p90 ms", "failed", "killed"}, rows: [][]string{{"one", "3", "0", "0"}, {"two", "4", "", "1"}}}
	if diff := cmp.Diff(table{head: []string{"load", "killed"}, rows: [][]string{{"one", "0"}, {"two", "1"}}}, tab.without("p90 ms"), cmp.AllowUnexported(table{})); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestWhatIsBetweenMarkersIsReplaced(t *testing.T) {
	t.Parallel()
	const page = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"
	got, err := between(page, "bench", "new\n")
	if want := "before\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nafter\n"; got != want || err != nil {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := between(page, "container", "new"); err == nil {
		t.Error("there are no such markers, and it is no error")
	}
}

func TestAContainerInWhichNothingServesHasARow(t *testing.T) {
	t.Parallel()
	got := containerTable([]window{
		{result: did("checkout", usual(), 50, time.Second), number: 1, serves: true, limit: 36 << 20, current: 35 << 20, peak: 36 << 20},
		{result: did("checkout", usual(), 40, time.Second), number: 2, serves: true, limit: 36 << 20, current: 36 << 20, peak: 36 << 20},
		{result: did("checkout", usual(), 0, 0), limit: 20 << 20, kills: 1},
	})
	var rows [][]string
	for _, row := range got.rows {
		rows = append(rows, append(row[1:4:4], row[len(row)-3:]...))
	}
	want := [][]string{{"36", "2", "40–50", "35.0–36.0", "36.0", "0"}, {"20", "does not serve", "", "0.0", "0.0", "1"}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestASweepHoldsTheCellsThatDifferInOneNumberOnly(t *testing.T) {
	t.Parallel()
	at := func(concurrency, lines int) cell {
		c := usual()
		c.concurrency, c.lines = concurrency, lines
		return c
	}
	results := []*result{
		did("checkout", at(64, 5), 64, 0), did("floor", at(64, 5), 640, 0),
		did("checkout", at(1, 5), 1, 0), did("checkout", at(16, 20), 999, 0),
	}
	got := sweep(results, usual(), func(c *cell) *int { return &c.concurrency }, func(r *result) float64 { return r.perSecond() })
	want := []series{{"checkout", []point{{1, 1}, {64, 64}}}, {"floor", []point{{64, 640}}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(series{}, point{})); diff != "" {
		t.Errorf("the sweep differs (-want +got):\n%s", diff)
	}
}

func TestAChartIsAPictureWithAllItsPointsOnIt(t *testing.T) {
	t.Parallel()
	c := chart{title: "CPU <of an order>", x: "lines", y: "ms", log: true, series: []series{
		{"checkout", []point{{1, 0.4}, {16, 2}, {256, 9.7}}}, {"floor", []point{{1, 0.1}, {256, 3}}},
	}}
	if !c.drawable() {
		t.Error("there is nothing to draw")
	}
	for _, s := range c.series {
		for _, p := range s.points {
			if x, y := c.across(p.x), c.down(p.y); x < left || x > width-right || y < top || y > height-bottom {
				t.Errorf("the point %v is at %v, %v", p, x, y)
			}
		}
	}
	circles, reader := 0, xml.NewDecoder(strings.NewReader(c.svg()))
	for {
		token, err := reader.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is no XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 5 {
		t.Errorf("%d points are drawn, want 5", circles)
	}
}

func TestAChartOfSinglePointsIsNotDrawn(t *testing.T) {
	t.Parallel()
	if (chart{series: []series{{"checkout", []point{{1, 1}}}}}).drawable() {
		t.Error("a point is no line")
	}
}
