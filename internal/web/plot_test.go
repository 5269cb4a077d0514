package web

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAScaleHasRoundSteps(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		most  float64
		whole bool
		want  string
	}{
		{0, false, "0 0.5 1"},
		{0, true, "0 1"},
		{1, true, "0 1"},
		{3, true, "0 1 2 3"},
		{7, false, "0 2 4 6 8"},
		{10, false, "0 5 10"},
		{99, false, "0 50 100"},
		{0.03, false, "0 0.01 0.02 0.03"},
		{41_000, false, "0 20k 40k 60k"},
	} {
		p := Plot{Whole: test.whole, From: time.Unix(0, 0), Until: time.Unix(600, 0), Series: []Series{{Points: []Point{{time.Unix(10, 0), test.most}}}}}
		var got []string
		for _, tick := range p.Draw().YTicks {
			got = append(got, tick.Text)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("the scale up to %v is %q, want %q", test.most, got, test.want)
		}
	}
}

func TestALineHasGapsAndDots(t *testing.T) {
	t.Parallel()
	at := func(second int64, v float64) Point { return Point{time.Unix(second, 0), v} }
	p := Plot{From: time.Unix(0, 0), Until: time.Unix(100, 0), Series: []Series{{
		Name: "a", Area: true, Points: []Point{at(0, 0), at(50, 10), at(60, math.NaN()), at(70, 5), at(80, math.NaN())},
	}}}
	d := p.Draw()
	want := line{
		Class: "c1", Name: "a", Now: "–",
		Path: "M42 146L208 8M274.4 77h0", Area: "M42 146L208 8L208 146L42 146ZM274.4 77L274.4 146L274.4 146Z",
	}
	if diff := cmp.Diff([]line{want}, d.Lines); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
	const words = "The last 100 s, until 00:01:40 UTC. a: now –, between 0 and 10."
	if d.Words != words {
		t.Errorf("in words it is %q, want %q", d.Words, words)
	}
}

func TestAPlotOfNothing(t *testing.T) {
	t.Parallel()
	d := Plot{From: time.Unix(0, 0), Until: time.Unix(600, 0), Unit: "ms", Series: []Series{{Name: "a"}}}.Draw()
	if d.Lines[0].Path != "" || d.Lines[0].Now != "–" || d.XTicks[0].Text != "−10 min" || d.XTicks[len(d.XTicks)-1].Text != "now" {
		t.Errorf("it is drawn as %+v", d)
	}
}

func TestBarsStandWhereTheirTimeIs(t *testing.T) {
	t.Parallel()
	rows := Waterfall{Bars: []Bar{
		{Name: "whole", Took: time.Second},
		{Name: "half", Depth: 9, Start: 500 * time.Millisecond, Took: 500 * time.Millisecond, Open: true},
		{Name: "nothing, at the end", Start: time.Second},
	}}.Rows()
	var got [][4]string
	for _, r := range rows {
		got = append(got, [4]string{r.X, r.Width, r.Length, r.Indent})
	}
	want := [][4]string{{"0", "1000", "1.0 s", "in0"}, {"500", "500", "500 ms so far", "in6"}, {"997", "3", "0.0 ms", "in0"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bars (-want +got):\n%s", diff)
	}
}

func TestHowLongSomethingTook(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0.0 ms", 1500 * time.Microsecond: "1.5 ms", 72 * time.Millisecond: "72 ms", 2300 * time.Millisecond: "2.3 s",
		59 * time.Second: "59 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 2 * time.Hour: "2 h", 72 * time.Hour: "3 days",
	} {
		if got := Took(d); got != want {
			t.Errorf("%v is told as %q, want %q", d, got, want)
		}
	}
}
