package main

import (
	"cmp"
	"fmt"
	"html"
	"iter"
	"math"
	"slices"
	"strings"
)

// chart is a diagram of lines. Its y axis begins at 0.
type chart struct {
	title, x, y string
	log         bool // the x axis is logarithmic
	series      []series
}

type series struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// charts are the diagrams of a sweep over lines and one over orders at once, as far as they were measured.
func charts(results []*result) map[string]chart {
	ms := func(r *result) float64 { return r.perOrder(r.used.CPU.Seconds() * 1000) }
	lines := func(c *cell) *int { return &c.lines }
	customers := func(c *cell) *int { return &c.concurrency }
	few := usual()
	few.concurrency = 16
	return map[string]chart{
		"cpu-lines.svg":          {"CPU of an order", "lines of the cart, 16 orders at once", "ms", false, sweep(results, few, lines, ms)},
		"cpu-concurrency.svg":    {"CPU of an order", "orders at once, 5 lines each", "ms", true, sweep(results, usual(), customers, ms)},
		"orders-concurrency.svg": {"Orders a second", "orders at once, 5 lines each", "orders/s", true, sweep(results, usual(), customers, func(r *result) float64 { return r.perSecond() })},
	}
}

// sweep is a series for every program, over the cells that differ from base in one number only.
func sweep(results []*result, base cell, number func(*cell) *int, value func(*result) float64) []series {
	var all []series
	for _, r := range results {
		c := r.of
		x := *number(&c)
		*number(&c) = *number(&base)
		if c != base {
			continue
		}
		i := slices.IndexFunc(all, func(s series) bool { return s.name == r.by.name })
		if i < 0 {
			i, all = len(all), append(all, series{name: r.by.name})
		}
		all[i].points = append(all[i].points, point{float64(x), value(r)})
	}
	for _, s := range all {
		slices.SortFunc(s.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	}
	return all
}

// The picture's measures, in pixels.
const (
	width, height            = 640, 360
	left, right, top, bottom = 64, 24, 44, 52
)

// drawable reports whether there is a line to draw.
func (c chart) drawable() bool {
	return slices.ContainsFunc(c.series, func(s series) bool { return len(s.points) > 1 })
}

// svg draws the chart.
func (c chart) svg() string {
	var b strings.Builder
	text := func(x, y float64, anchor, words string) {
		fmt.Fprintf(&b, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, html.EscapeString(words))
	}
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n", width, height)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", width, height)
	text(left, 20, "start", c.title+", "+c.y)
	text((left+width-right)/2, height-10, "middle", c.x)
	for y := range c.steps() {
		fmt.Fprintf(&b, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", left, width-right, c.down(y), c.down(y))
		text(left-8, c.down(y)+4, "end", fmt.Sprintf("%g", math.Round(y*1000)/1000))
	}
	for _, x := range c.xs() {
		text(c.across(x), height-bottom+20, "middle", fmt.Sprintf("%g", x))
	}
	colours := []string{"#1f5fa8", "#c4541a", "#3a7d34", "#7a3d91"}
	for i, s := range c.series {
		colour := colours[i%len(colours)]
		fmt.Fprintf(&b, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", colour)
		for _, p := range s.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", c.across(p.x), c.down(p.y))
		}
		b.WriteString("\"/>\n")
		for _, p := range s.points {
			fmt.Fprintf(&b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", c.across(p.x), c.down(p.y), colour)
		}
		fmt.Fprintf(&b, "<g fill=\"%s\">", colour)
		text(width-right, 20+16*float64(i), "end", s.name)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c chart) highest() float64 {
	high := 0.0
	for _, s := range c.series {
		for _, p := range s.points {
			high = max(high, p.y)
		}
	}
	return high
}

// xs are the places where something was measured.
func (c chart) xs() []float64 {
	var xs []float64
	for _, s := range c.series {
		for _, p := range s.points {
			xs = append(xs, p.x)
		}
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

// across is where a value of x is on the picture, down where one of y is.
func (c chart) across(x float64) float64 {
	xs := c.xs()
	low, high := xs[0], xs[len(xs)-1]
	if c.log {
		x, low, high = math.Log(x), math.Log(low), math.Log(high)
	}
	return left + (x-low)/(high-low)*(width-left-right)
}

func (c chart) down(y float64) float64 {
	ceiling := 0.0
	for step := range c.steps() {
		ceiling = step
	}
	return height - bottom - y/ceiling*(height-top-bottom)
}

// steps are the marks of the y axis: from 0 to the first above all values.
func (c chart) steps() iter.Seq[float64] {
	step := niceStep(c.highest())
	return func(yield func(float64) bool) {
		for i := 0.0; yield(i*step) && i*step <= c.highest(); i++ {
		}
	}
}

// niceStep is 1, 2 or 5 times a power of ten, so that some five of it make the value.
func niceStep(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(highest/5)))
	for _, step := range []float64{1, 2, 5} {
		if step*unit*5 >= highest {
			return step * unit
		}
	}
	return 10 * unit
}
