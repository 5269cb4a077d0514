package web

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Waterfall shows what took how long, and when. The template "waterfall" draws it: a table whose rows have a bar each.
type Waterfall struct {
	Caption string
	Bars    []Bar
}

// Bar is one row: something that began Start after the whole did, and took Took.
type Bar struct {
	Name  string
	Note  string // beside the name, in smaller letters
	Depth int    // how far it is within others; 0 stands alone
	Tone  string // good, warn, bad, info or empty: as badges have
	Start time.Duration
	Took  time.Duration
	Open  bool // it is still going on
}

// bars are in thousandths of the whole.
const whole = 1000

type row struct {
	Bar

	X, Width string
	Length   string
	Indent   string
}

// Rows are the bars as the template needs them.
func (w Waterfall) Rows() []row {
	span := time.Duration(1)
	for _, b := range w.Bars {
		span = max(span, b.Start+b.Took)
	}
	rows := make([]row, len(w.Bars))
	for i, b := range w.Bars {
		width := max(whole*float64(b.Took)/float64(span), 3) // thinner is not seen
		x := min(whole*float64(b.Start)/float64(span), whole-width)
		rows[i] = row{
			Bar: b, X: coordinate(x), Width: coordinate(width),
			Length: Took(b.Took), Indent: "in" + strconv.Itoa(min(b.Depth, 6)),
		}
		if b.Open {
			rows[i].Length += " so far"
		}
	}
	return rows
}

// Took is a duration as people read it, with two to three digits.
func Took(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// Quantile is the smallest of sorted that at least the share q of them does not exceed; 0 of none.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Tone is the tone of the badge of an order's state: good, info, bad, warn or none.
func Tone(state string) string {
	switch state {
	case "completed":
		return "good"
	case "charging", "charged", "placed":
		return "info"
	case "in_doubt", "parked", "undelivered":
		return "bad"
	case "refunding":
		return "warn"
	}
	return ""
}
