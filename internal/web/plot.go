package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Plot is a chart over time. The template "plot" draws it, with a legend that tells the latest values: as lines that differ
// in colour and in pattern, and in words for those who do not see it.
type Plot struct {
	ID          string // unique in the page
	Title       string
	Unit        string // what the values are in, as it follows a number: "ms", "/s"; empty for plain numbers
	From, Until time.Time
	Series      []Series // up to seven
	Whole       bool     // values are whole numbers: no scale has fractions
}

// Series is one line of a plot.
type Series struct {
	Name   string
	Points []Point // in the order of time
	Area   bool    // filled down to zero
}

// Point is a value at a time. NaN is a gap: nothing is known there.
type Point struct {
	At    time.Time
	Value float64
}

// The area of a drawing, in the units of its view box.
const (
	plotWidth, plotHeight = 380, 170
	plotLeft, plotRight   = 42, 374
	plotTop, plotBottom   = 8, 146
	xTicks, yTicks        = 5, 4
)

type (
	drawing struct {
		Width, Height, Left, Right, Bottom int
		XTicks, YTicks                     []tick
		Lines                              []line
		Words                              string
	}
	tick struct {
		At   string
		Text string
	}
	line struct {
		Class, Name, Now string
		Path, Area       string
	}
)

// Draw is the plot as its template needs it.
func (p Plot) Draw() drawing {
	top := p.top()
	d := drawing{Width: plotWidth, Height: plotHeight, Left: plotLeft, Right: plotRight, Bottom: plotBottom}
	for v := 0.0; v <= top*1.001; v += p.step(top) {
		d.YTicks = append(d.YTicks, tick{coordinate(yAt(v, top)), amount(v)})
	}
	span := p.Until.Sub(p.From)
	for i := range xTicks + 1 {
		x := plotLeft + float64(i)*(plotRight-plotLeft)/xTicks
		d.XTicks = append(d.XTicks, tick{coordinate(x), ago(span - span*time.Duration(i)/xTicks)})
	}
	words := []string{fmt.Sprintf("The last %s, until %s UTC.", Took(span), p.Until.UTC().Format(time.TimeOnly))}
	for i, s := range p.Series {
		path, area := p.trace(s, top)
		l := line{Class: "c" + strconv.Itoa(i%7+1), Name: s.Name, Now: p.withUnit(s.last()), Path: path}
		if s.Area {
			l.Area = area
		}
		d.Lines = append(d.Lines, l)
		low, high := s.bounds()
		words = append(words, fmt.Sprintf("%s: now %s, between %s and %s.", s.Name, l.Now, p.withUnit(low), p.withUnit(high)))
	}
	d.Words = strings.Join(words, " ")
	return d
}

// withUnit is a value with its unit.
func (p Plot) withUnit(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case p.Unit == "" || strings.HasPrefix(p.Unit, "/"):
		return amount(v) + p.Unit
	}
	return amount(v) + " " + p.Unit
}

// top is where the scale ends: the first tick at or above all values.
func (p Plot) top() float64 {
	most := 0.0
	for _, s := range p.Series {
		if _, high := s.bounds(); high > most {
			most = high
		}
	}
	if most == 0 {
		most = 1
	}
	step := p.step(most)
	return math.Ceil(most/step-1e-9) * step
}

// step is the distance of the ticks of a scale up to most: 1, 2 or 5 times a power of ten.
func (p Plot) step(most float64) float64 {
	rough := most / yTicks
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * power
	for _, nice := range []float64{1, 2, 5} {
		if nice*power >= rough*0.999 {
			step = nice * power
			break
		}
	}
	if p.Whole {
		step = max(step, 1)
	}
	return step
}

// trace is a series as the data of two SVG paths: its line, and the area below.
func (p Plot) trace(s Series, top float64) (path, area string) {
	var all, filled strings.Builder
	span := p.Until.Sub(p.From).Seconds()
	for _, run := range s.runs() {
		first, last := "", ""
		for i, point := range run {
			x := coordinate(plotLeft + (plotRight-plotLeft)*point.At.Sub(p.From).Seconds()/span)
			command := "L"
			if i == 0 {
				command, first = "M", x
			}
			last = x
			fmt.Fprintf(&all, "%s%s %s", command, x, coordinate(yAt(point.Value, top)))
			fmt.Fprintf(&filled, "%s%s %s", command, x, coordinate(yAt(point.Value, top)))
		}
		if len(run) == 1 {
			all.WriteString("h0") // a dot
		}
		fmt.Fprintf(&filled, "L%s %dL%s %dZ", last, plotBottom, first, plotBottom)
	}
	return all.String(), filled.String()
}

// runs are the points without gaps in between.
func (s Series) runs() (runs [][]Point) {
	start := 0
	for i := 0; i <= len(s.Points); i++ {
		if i < len(s.Points) && !math.IsNaN(s.Points[i].Value) {
			continue
		}
		if i > start {
			runs = append(runs, s.Points[start:i])
		}
		start = i + 1
	}
	return runs
}

// bounds are the least and the greatest value; NaN when there is none.
func (s Series) bounds() (low, high float64) {
	low, high = math.NaN(), math.NaN()
	for _, run := range s.runs() {
		for _, point := range run {
			if !(point.Value >= low) {
				low = point.Value
			}
			if !(point.Value <= high) {
				high = point.Value
			}
		}
	}
	return low, high
}

// last is the latest value; NaN when there is none.
func (s Series) last() float64 {
	if len(s.Points) == 0 {
		return math.NaN()
	}
	return s.Points[len(s.Points)-1].Value
}

func yAt(v, top float64) float64 {
	return plotBottom - (plotBottom-plotTop)*v/top
}

// coordinate is one of a drawing, as short as it can be without the eye seeing it.
func coordinate(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// amount is a value in few digits.
func amount(v float64) string {
	switch {
	case v >= 9999.5:
		return strconv.FormatFloat(math.Round(v/100)/10, 'f', -1, 64) + "k"
	case v >= 99.5 || v == math.Trunc(v):
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	case v >= 9.95:
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// ago is a time before now as a scale tells it.
func ago(d time.Duration) string {
	switch {
	case d <= 0:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("−%.0f s", d.Seconds())
	}
	return fmt.Sprintf("−%s min", amount(d.Minutes()))
}
