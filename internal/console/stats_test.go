package console

import (
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
)

// point is a value with attributes: names and values.
func point(value float64, attributes ...string) *checkoutv1.Stats_Point {
	p := &checkoutv1.Stats_Point{Value: value, Attributes: map[string]string{}}
	for i := 0; i < len(attributes); i += 2 {
		p.Attributes[attributes[i]] = attributes[i+1]
	}
	return p
}

// distributed is the point of a histogram.
func distributed(bounds, counts []float64, attributes ...string) *checkoutv1.Stats_Point {
	p := point(0, attributes...)
	p.Bounds = bounds
	for _, n := range counts {
		p.Counts = append(p.Counts, uint64(n))
	}
	return p
}

func counter(name string, points ...*checkoutv1.Stats_Point) *checkoutv1.Stats_Metric {
	return &checkoutv1.Stats_Metric{Name: name, Cumulative: true, Points: points}
}

func histogram(name string, points ...*checkoutv1.Stats_Point) *checkoutv1.Stats_Metric {
	return &checkoutv1.Stats_Metric{Name: name, Unit: "s", Cumulative: true, Points: points}
}

func gauge(name, unit string, points ...*checkoutv1.Stats_Point) *checkoutv1.Stats_Metric {
	return &checkoutv1.Stats_Metric{Name: name, Unit: unit, Points: points}
}

// ofProcess is what a process answers at then() that has placed so many orders since it started.
func ofProcess(started time.Time, orders float64, record string, doubtful float64) answered {
	return answered{stats: &checkoutv1.Stats{
		Time: timestamppb.New(then()), StartTime: timestamppb.New(started), Record: record,
		ManualStates: []checkoutv1.OrderState{checkoutv1.OrderState_IN_DOUBT},
		Metrics: []*checkoutv1.Stats_Metric{
			counter(mOrders, point(orders, "checkout.order.outcome", "placed")),
			histogram(mCalls, distributed([]float64{0.1, 1}, []float64{orders, 0, 0}, "rpc.response.status_code", "OK")),
			gauge(mLimit, "", point(100)),
			gauge(mStates, "", point(doubtful, "checkout.order.state", "in_doubt")),
			gauge(mStatesOldest, "s", point(60*doubtful, "checkout.order.state", "in_doubt")),
		},
	}}
}

// anyOf picks all series.
func anyOf(series) bool { return true }

func TestWhatIsCountedIsTheDifference(t *testing.T) {
	t.Parallel()
	before, after := then().Add(-time.Hour), then().Add(time.Second)
	for name, test := range map[string]struct {
		was, is answered
		want    figure
	}{
		"more orders":                       {ofProcess(before, 100, "a", 0), ofProcess(before, 107, "a", 0), 7},
		"none":                              {ofProcess(before, 100, "a", 0), ofProcess(before, 100, "a", 0), 0},
		"of a process that has replaced it": {ofProcess(before, 100, "a", 0), ofProcess(after, 3, "a", 0), 3},
		"of an older process behind the same address": {ofProcess(before, 100, "a", 0), ofProcess(before.Add(-time.Hour), 1_000_000, "a", 0), unknown()},
		"after no answer":   {answered{problem: "away"}, ofProcess(before, 107, "a", 0), unknown()},
		"without an answer": {ofProcess(before, 107, "a", 0), answered{problem: "away"}, unknown()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(1)
			h.add(then(), []answered{test.was})
			h.add(then(), []answered{test.is})
			samples, _, _ := h.read()
			for _, metric := range []string{mOrders, mCalls} {
				if got := samples.total(metric, anyOf); got != test.want && (got.Known() || test.want.Known()) {
					t.Errorf("%s: %v, want %v", metric, got, test.want)
				}
			}
		})
	}
}

func TestServicesAreAddedUpAndRecordsCountedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replies         []answered
		doubtful, limit figure
		oldest          figure
	}{
		"that share a record":                 {[]answered{ofProcess(then(), 0, "a", 3), ofProcess(then(), 0, "a", 3)}, 3, 200, 180},
		"with a record each":                  {[]answered{ofProcess(then(), 0, "a", 3), ofProcess(then(), 0, "b", 5)}, 8, 200, 300},
		"of which one cannot read the record": {[]answered{{stats: &checkoutv1.Stats{Record: "a"}}, ofProcess(then(), 0, "a", 3)}, 3, 100, 180},
		"of which one is down":                {[]answered{ofProcess(then(), 0, "a", 3), {problem: "away"}}, 3, 100, 180},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(2)
			h.add(then(), test.replies)
			samples, _, _ := h.read()
			if got := samples.level(mStates, "in_doubt"); got != test.doubtful {
				t.Errorf("%v in doubt, want %v", got, test.doubtful)
			}
			if got := samples.level(mStatesOldest, "in_doubt"); got != test.oldest {
				t.Errorf("the oldest for %v s, want %v", got, test.oldest)
			}
			if got := samples.level(mLimit, ""); got != test.limit {
				t.Errorf("a limit of %v, want %v", got, test.limit)
			}
		})
	}
}

func TestTenMinutesAreRemembered(t *testing.T) {
	t.Parallel()
	h := newHistory(1)
	for i := range 2 * remembered {
		h.add(then().Add(time.Duration(i)*pollEvery), []answered{{}})
	}
	if got := h.samples[0].at; len(h.samples) != remembered || !got.Equal(then().Add(remembered*pollEvery)) {
		t.Errorf("%d samples, the first of %v; want the last %d", len(h.samples), got, remembered)
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		q      float64
		counts []float64
		want   float64
	}{
		{0.5, []float64{10, 0, 0, 0}, 0.05},
		{0.5, []float64{5, 5, 0, 0}, 0.1},
		{0.75, []float64{5, 5, 0, 0}, 0.15},
		{0.99, []float64{0, 0, 100, 0}, 0.398},
		{0.99, []float64{10, 0, 0, 90}, 0.4}, // more is not known
		{0.5, []float64{0, 0, 0, 0}, math.NaN()},
	} {
		h := newHistory(1)
		for _, counts := range [][]float64{{0, 0, 0, 0}, test.counts} {
			is := ofProcess(then(), 0, "a", 0)
			is.stats.Metrics = []*checkoutv1.Stats_Metric{histogram(mSteps, distributed([]float64{0.1, 0.2, 0.4}, counts, "checkout.order.step", "charge"))}
			h.add(then(), []answered{is})
		}
		samples, _, _ := h.read()
		got := float64(samples.quantile(test.q, mSteps, "charge"))
		if math.Abs(got-test.want) > 1e-9 || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("%v of %v is %v, want %v", test.q, test.counts, got, test.want)
		}
	}
}

func TestLatencyIsThatOfEitherConvention(t *testing.T) {
	t.Parallel()
	for name, metric := range map[string]*checkoutv1.Stats_Metric{
		"in seconds":      histogram(mCalls, distributed([]float64{0.1, 0.2}, []float64{0, 10, 0}, "rpc.response.status_code", "OK"), distributed([]float64{0.1, 0.2}, []float64{90, 0, 0}, "rpc.response.status_code", "ABORTED")),
		"in milliseconds": histogram(mCallsOld, distributed([]float64{100, 200}, []float64{0, 10, 0}, "rpc.grpc.status_code", "0"), distributed([]float64{100, 200}, []float64{90, 0, 0}, "rpc.grpc.status_code", "10")),
	} {
		h := newHistory(1)
		for _, metrics := range [][]*checkoutv1.Stats_Metric{nil, {metric}} {
			is := ofProcess(then(), 0, "a", 0)
			is.stats.Metrics = metrics
			h.add(then(), []answered{is})
		}
		samples, _, _ := h.read()
		if got := latency(0.5)(samples); math.Abs(float64(got)-150) > 1e-6 {
			t.Errorf("%s: p50 of the orders that were placed is %v ms, want 150", name, got)
		}
	}
}

func TestHealthChecks(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	failing := func() (names []string) {
		for _, c := range w.overview().Checks {
			if !c.OK {
				names = append(names, c.Name)
			}
		}
		return names
	}
	want := []string{"Services answer", "Order record can be read"}
	if diff := cmp.Diff(want, failing()); diff != "" {
		t.Errorf("before anything is known (-want +got):\n%s", diff)
	}
	w.busy()
	want = []string{"No order requires manual action", "Orders make progress within a minute", "No request is rejected", "Dependencies answer"}
	if diff := cmp.Diff(want, failing()); diff != "" {
		t.Errorf("in a busy hour (-want +got):\n%s", diff)
	}
}

func TestTheMetricsThatAreShownAreExported(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	for metric, attribute := range attributeOf() {
		row := regexp.MustCompile("(?m)^[-|] `" + regexp.QuoteMeta(metric) + "`.*$").FindString(string(text))
		if row == "" || !strings.Contains(row, attribute) {
			t.Errorf("no metric %s by %q among those that the service exports: %s", metric, attribute, row)
		}
	}
}

func TestChartsBeginWithTheFirstSampleAndShowTenMinutesAtMost(t *testing.T) {
	t.Parallel()
	for minutes, want := range map[int]time.Duration{0: 100 * time.Second, 1: 100 * time.Second, 2: 5 * time.Minute, 5: 5 * time.Minute, 6: 10 * time.Minute, 10: 10 * time.Minute} {
		o := overview{Charts: []chart{{ID: "one"}}}
		for at := time.Duration(0); at <= time.Duration(minutes)*time.Minute; at += pollEvery {
			o.Times = append(o.Times, then().Add(at))
		}
		if p := o.Plots()[0]; !p.Until.Equal(o.Times[len(o.Times)-1]) || p.Until.Sub(p.From) != want {
			t.Errorf("after %d min: from %v until %v, want %v", minutes, p.From, p.Until, want)
		}
	}
}
