package demo

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Waterfall draws a trace as text: a tree of spans, each with its offset from the beginning, its duration, and a bar on
// a time axis of the given number of columns. A span event is a line of its own, marked ◆; a failed span is marked ✗.
func Waterfall(spans []Span, columns int) string {
	if len(spans) == 0 {
		return "(no spans)\n"
	}
	rows := tree(spans)
	axis := axisOf(spans, max(columns, 1))
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.label()))
	}
	var b strings.Builder
	for _, r := range rows {
		label := r.label()
		fmt.Fprintf(&b, "%s%s %9s", label, strings.Repeat(" ", width-utf8.RuneCountInString(label)), millis(r.start-axis.start))
		if r.event {
			fmt.Fprintf(&b, " %9s │%s\n", "", axis.mark(r.start))
			continue
		}
		fmt.Fprintf(&b, " %9s │%s\n", millis(r.end-r.start), axis.bar(r.start, r.end))
	}
	return b.String()
}

// Row is a span of a trace, or an event of one, as a waterfall has it: below the span that it belongs to.
type Row struct {
	Name          string
	Depth         int           // how many spans it is within
	Start, Length time.Duration // since the beginning of the trace
	Event, Failed bool
}

// Rows lays a trace out like Waterfall does, for those who draw it themselves.
func Rows(spans []Span) []Row {
	if len(spans) == 0 {
		return nil
	}
	first := axisOf(spans, 1).start
	var rows []Row
	for _, r := range tree(spans) {
		rows = append(rows, Row{
			Name: r.name, Depth: r.depth, Event: r.event, Failed: r.failed,
			Start: time.Duration(r.start - min(r.start, first)), Length: time.Duration(r.end - min(r.end, r.start)), //nolint:gosec // below 292 years
		})
	}
	return rows
}

// row is a line of the drawing.
type row struct {
	branch     string // the tree to its left
	name       string
	depth      int
	start, end uint64 // Unix nanoseconds
	event      bool
	failed     bool
}

func (r row) label() string {
	switch {
	case r.event:
		return r.branch + "◆ " + r.name
	case r.failed:
		return r.branch + "✗ " + r.name
	}
	return r.branch + r.name
}

// tree lays spans out with every span below its parent, siblings by time. A span without a parent here is a root.
func tree(spans []Span) []row {
	here := make(map[string]bool, len(spans))
	for _, s := range spans {
		here[string(s.GetSpanId())] = true
	}
	children := make(map[string][]Span)
	for _, s := range spans {
		parent := string(s.GetParentSpanId())
		if !here[parent] {
			parent = ""
		}
		children[parent] = append(children[parent], s)
	}
	for _, siblings := range children {
		slices.SortStableFunc(siblings, earlier)
	}
	var rows []row
	for _, root := range children[""] {
		rows = append(rows, subtree(root, children, "", "", 0)...)
	}
	return rows
}

// subtree is a span and what is below it: branch is drawn before its own line, trunk before the lines below.
func subtree(s Span, children map[string][]Span, branch, trunk string, depth int) []row {
	below := children[string(s.GetSpanId())]
	rows := []row{{
		branch: branch, name: s.title(), depth: depth, start: s.GetStartTimeUnixNano(), end: s.GetEndTimeUnixNano(),
		failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR,
	}}
	stem := "  "
	if len(below) > 0 {
		stem = "│ "
	}
	for _, event := range s.GetEvents() {
		rows = append(rows, row{
			branch: trunk + stem, name: event.GetName(), depth: depth + 1,
			start: event.GetTimeUnixNano(), end: event.GetTimeUnixNano(), event: true,
		})
	}
	for i, child := range below {
		branch, stem := "├─ ", "│  "
		if i == len(below)-1 {
			branch, stem = "└─ ", "   "
		}
		rows = append(rows, subtree(child, children, trunk+branch, trunk+stem, depth+1)...)
	}
	return rows
}

// title is the span's name, and what was called if the name is only a method, as with HTTP clients.
func (s Span) title() string {
	for _, attribute := range s.GetAttributes() {
		if attribute.GetKey() != "url.full" {
			continue
		}
		if called, err := url.Parse(attribute.GetValue().GetStringValue()); err == nil {
			return s.GetName() + " " + called.Path
		}
	}
	return s.GetName()
}

// axis maps times to columns.
type axis struct {
	start, length uint64 // nanoseconds
	columns       int
}

func axisOf(spans []Span, columns int) axis {
	first := slices.MinFunc(spans, earlier).GetStartTimeUnixNano()
	last := slices.MaxFunc(spans, func(a, b Span) int { return cmp.Compare(a.GetEndTimeUnixNano(), b.GetEndTimeUnixNano()) })
	return axis{first, max(last.GetEndTimeUnixNano(), first+1) - first, columns}
}

// column is where a time is, between 0 and columns.
func (a axis) column(t uint64) int {
	share := float64(t-min(t, a.start)) / float64(a.length)
	return min(int(share*float64(a.columns)), a.columns)
}

// bar is never shorter than one column, so that short spans are seen.
func (a axis) bar(start, end uint64) string {
	from := min(a.column(start), a.columns-1)
	to := max(a.column(end), from+1)
	return strings.Repeat(" ", from) + strings.Repeat("█", to-from)
}

func (a axis) mark(t uint64) string {
	return strings.Repeat(" ", min(a.column(t), a.columns-1)) + "◆"
}

func millis(nanos uint64) string {
	return fmt.Sprintf("%.1f ms", float64(nanos)/float64(time.Millisecond))
}

func earlier(a, b Span) int {
	return cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano())
}
