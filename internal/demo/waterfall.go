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
	rows := Rows(spans)
	axis, width := axis{1, max(columns, 1)}, 0
	for _, r := range rows {
		axis.length = max(axis.length, r.Start+r.Length)
		width = max(width, utf8.RuneCountInString(r.label()))
	}
	var b strings.Builder
	for _, r := range rows {
		label, took, drawn := r.label(), millis(r.Length), axis.bar(r)
		if r.Event {
			took, drawn = "", axis.mark(r)
		}
		fmt.Fprintf(&b, "%s%s %9s %9s │%s\n", label, strings.Repeat(" ", width-utf8.RuneCountInString(label)), millis(r.Start), took, drawn)
	}
	return b.String()
}

// Row is a span of a trace, or an event of one, as a waterfall has it: below the span that it belongs to.
type Row struct {
	Name          string
	Depth         int           // how many spans it is within
	Start, Length time.Duration // since the beginning of the trace
	Event, Failed bool

	branch string // the tree to its left
}

func (r Row) label() string {
	switch {
	case r.Event:
		return r.branch + "◆ " + r.Name
	case r.Failed:
		return r.branch + "✗ " + r.Name
	}
	return r.branch + r.Name
}

// Rows lays a trace out with every span below its parent, siblings by time. A span without a parent here is a root.
func Rows(spans []Span) []Row {
	if len(spans) == 0 {
		return nil
	}
	t := tree{first: slices.MinFunc(spans, earlier).GetStartTimeUnixNano(), children: make(map[string][]Span)}
	here := make(map[string]bool, len(spans))
	for _, s := range spans {
		here[string(s.GetSpanId())] = true
	}
	for _, s := range spans {
		parent := string(s.GetParentSpanId())
		if !here[parent] {
			parent = ""
		}
		t.children[parent] = append(t.children[parent], s)
	}
	for _, siblings := range t.children {
		slices.SortStableFunc(siblings, earlier)
	}
	for _, root := range t.children[""] {
		t.add(root, "", "", 0)
	}
	return t.rows
}

// tree is a trace that is laid out.
type tree struct {
	first    uint64 // when it begins, in Unix nanoseconds
	children map[string][]Span
	rows     []Row
}

// since is the time from one moment to another, in Unix nanoseconds; never negative.
func since(from, to uint64) time.Duration { return time.Duration(to - min(from, to)) } //nolint:gosec // below 292 years

// add adds a span and what is below it: branch is drawn before its own line, trunk before the lines below.
func (t *tree) add(s Span, branch, trunk string, depth int) {
	below := t.children[string(s.GetSpanId())]
	t.rows = append(t.rows, Row{
		branch: branch, Name: s.title(), Depth: depth,
		Start: since(t.first, s.GetStartTimeUnixNano()), Length: since(s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano()),
		Failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR,
	})
	stem := "  "
	if len(below) > 0 {
		stem = "│ "
	}
	for _, event := range s.GetEvents() {
		t.rows = append(t.rows, Row{branch: trunk + stem, Name: event.GetName(), Depth: depth + 1, Start: since(t.first, event.GetTimeUnixNano()), Event: true})
	}
	for i, child := range below {
		branch, stem := "├─ ", "│  "
		if i == len(below)-1 {
			branch, stem = "└─ ", "   "
		}
		t.add(child, trunk+branch, trunk+stem, depth+1)
	}
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
	length  time.Duration
	columns int
}

// column is where a time is, between 0 and columns.
func (a axis) column(t time.Duration) int {
	return min(int(float64(t)/float64(a.length)*float64(a.columns)), a.columns)
}

// bar is never shorter than one column, so that short spans are seen.
func (a axis) bar(r Row) string {
	from := min(a.column(r.Start), a.columns-1)
	to := max(a.column(r.Start+r.Length), from+1)
	return strings.Repeat(" ", from) + strings.Repeat("█", to-from)
}

func (a axis) mark(r Row) string {
	return strings.Repeat(" ", min(a.column(r.Start), a.columns-1)) + "◆"
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func earlier(a, b Span) int {
	return cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano())
}
