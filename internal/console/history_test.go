package console

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
)

// told are figures of a process that has placed so many orders since it started.
func told(started time.Time, orders int64, record string, doubtful int64) *checkoutv1.Figures {
	return &checkoutv1.Figures{
		Started:  timestamppb.New(started),
		Outcomes: []*checkoutv1.Figures_Outcome{{Name: "placed", Orders: orders}},
		Latency:  &checkoutv1.Figures_Latency{Bounds: []float64{0.1, 1}, Calls: []int64{orders, 0, 0}},
		UnderWay: 2, Limit: 100,
		Census: &checkoutv1.Figures_Census{Record: record, States: []*checkoutv1.Figures_Standing{
			{State: checkoutv1.OrderState_IN_DOUBT, Orders: doubtful, Oldest: durationpb.New(time.Duration(doubtful) * time.Minute), NeedsPerson: true},
		}},
	}
}

func TestWhatIsCountedIsTheDifference(t *testing.T) {
	t.Parallel()
	first, second := then(), then().Add(time.Hour)
	for name, test := range map[string]struct {
		before, now *checkoutv1.Figures
		gap         time.Duration
		want        int64
	}{
		"more orders":               {told(first, 100, "a", 0), told(first, 107, "a", 0), time.Second, 7},
		"none":                      {told(first, 100, "a", 0), told(first, 100, "a", 0), time.Second, 0},
		"of another process":        {told(first, 100, "a", 0), told(second, 3, "a", 0), time.Second, 3},
		"after a silence":           {told(first, 100, "a", 0), told(first, 107, "a", 0), silence + 1, 0},
		"of which nothing is known": {nil, told(first, 107, "a", 0), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(1)
			if test.before != nil {
				h.take(0, test.before, then())
			}
			h.take(0, test.now, then().Add(test.gap))
			h.close(then().Add(test.gap))
			s := sum(h.samples)
			var calls int64
			for _, n := range s.calls {
				calls += n
			}
			if s.ends["placed"] != test.want || calls != test.want {
				t.Errorf("%d orders and %d latencies, want %d", s.ends["placed"], calls, test.want)
			}
		})
	}
}

func TestServicesAreAddedUpAndRecordsCountedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		records  [2]string
		silent   bool // the second service
		doubtful int64
		limit    int64
	}{
		"that share a record":    {[2]string{"a", "a"}, false, 5, 200},
		"with a record each":     {[2]string{"a", "b"}, false, 8, 200},
		"of which one is silent": {[2]string{"a", "b"}, true, 3, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, at := newHistory(2), then()
			h.take(0, told(at, 0, test.records[0], 3), at)
			if !test.silent {
				h.take(1, told(at, 0, test.records[1], 5), at.Add(time.Millisecond))
			}
			h.close(at.Add(time.Second))
			s := sum(h.samples)
			if got := s.states["in_doubt"].orders; got != test.doubtful || s.limit != test.limit {
				t.Errorf("%d in doubt and a limit of %d, want %d and %d", got, s.limit, test.doubtful, test.limit)
			}
		})
	}
}

func TestWhoIsSilentDoesNotCount(t *testing.T) {
	t.Parallel()
	h, at := newHistory(1), then()
	h.take(0, told(at, 0, "a", 3), at)
	h.close(at.Add(silence + 1))
	if s := sum(h.samples); s.services != 0 || s.counted || s.limit != 0 {
		t.Errorf("after a silence %d services count, with a limit of %d; want none", s.services, s.limit)
	}
}

func TestTenMinutesAreRemembered(t *testing.T) {
	t.Parallel()
	h := newHistory(1)
	for i := range 2 * remembered {
		h.close(then().Add(time.Duration(i) * sampleEvery))
	}
	if got := h.samples[0].at; len(h.samples) != remembered || !got.Equal(then().Add(remembered*sampleEvery)) {
		t.Errorf("%d samples, the first of %v; want the last %d", len(h.samples), got, remembered)
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	bounds := []float64{0.1, 0.2, 0.4}
	for _, test := range []struct {
		part  float64
		calls []int64
		want  float64
	}{
		{0.5, []int64{10, 0, 0, 0}, 0.05},
		{0.5, []int64{5, 5, 0, 0}, 0.1},
		{0.75, []int64{5, 5, 0, 0}, 0.15},
		{0.99, []int64{0, 0, 100, 0}, 0.398},
		{0.99, []int64{10, 0, 0, 90}, 0.4}, // more is not known
		{0.5, []int64{0, 0, 0, 0}, math.NaN()},
	} {
		got := percentile(test.part, test.calls, bounds)
		if math.Abs(got-test.want) > 1e-9 || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("%v of %v is %v, want %v", test.part, test.calls, got, test.want)
		}
	}
}

func TestWhatMustHold(t *testing.T) {
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
	want := []string{"Every service answers", "The orders on record can be counted"}
	if diff := cmp.Diff(want, failing()); diff != "" {
		t.Errorf("before anything is known (-want +got):\n%s", diff)
	}
	w.busy()
	want = []string{
		"No order requires an operator", "No order is on its way for more than a minute", "No order is turned away",
	}
	if diff := cmp.Diff(want, failing()); diff != "" {
		t.Errorf("in a busy hour (-want +got):\n%s", diff)
	}
}

func TestAnotherProcessCountsFromItsStartOnlyWhenThatWasJustNow(t *testing.T) {
	t.Parallel()
	h, at := newHistory(1), then()
	h.take(0, told(at.Add(-time.Hour), 100, "a", 0), at)
	h.take(0, told(at.Add(-72*time.Hour), 1_000_000, "a", 0), at.Add(time.Second)) // the stream leads to another replica now
	h.close(at.Add(time.Second))
	if s := sum(h.samples); len(s.ends) != 0 || s.calls != nil {
		t.Errorf("of a process that has run for days, %v and %v count as of one second; want nothing", s.ends, s.calls)
	}
}

func TestLatenciesThatAreNoHistogramAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bounds []float64
		calls  []int64
	}{
		"more calls than bounds":  {[]float64{0.1, 1}, []int64{1, 2, 3, 4, 5}},
		"fewer":                   {[]float64{0.1, 1}, []int64{1}},
		"no bounds":               {nil, []int64{1, 2}},
		"nothing":                 {nil, nil},
		"bounds that do not rise": {[]float64{1, 0.1}, []int64{1, 2, 3}},
		"a bound that is none":    {[]float64{math.NaN(), 1}, []int64{1, 2, 3}},
		"a bound without end":     {[]float64{0.1, math.Inf(1)}, []int64{1, 2, 3}},
	} {
		for _, first := range []bool{true, false} { // whether the good ones come first
			h, at := newHistory(1), then()
			if first {
				h.take(0, told(at, 0, "a", 0), at)
			}
			for i := range 2 {
				m := told(at, int64(i), "a", 0)
				m.Latency = &checkoutv1.Figures_Latency{Bounds: test.bounds, Calls: test.calls}
				h.take(0, m, at)
			}
			h.close(at)
			m := momentOf(h.samples, h.bounds)
			if m.P50.Known() || sum(h.samples).ends["placed"] != 1 {
				t.Errorf("%s: half of the calls are told to take %v, and %v count; want it unknown, and 1", name, m.P50, sum(h.samples).ends)
			}
		}
	}
}

func TestNewBoundsAreTakenWhenNobodyHasTheOldOnesAnyMore(t *testing.T) {
	t.Parallel()
	renewed := func(calls int64) *checkoutv1.Figures {
		m := told(then(), calls, "a", 0)
		m.Latency = &checkoutv1.Figures_Latency{Bounds: []float64{2}, Calls: []int64{0, calls}}
		return m
	}
	h, at := newHistory(2), then()
	h.take(1, &checkoutv1.Figures{}, at) // that has none
	h.take(0, told(at, 0, "a", 0), at)
	h.take(0, told(at, 5, "a", 0), at)
	h.take(1, renewed(0), at)
	h.close(at)
	if p50 := momentOf(h.samples, h.bounds).P50; !(p50 <= 0.1) {
		t.Errorf("with another version beside it, half of the calls are told to take %v; want the old bounds", p50)
	}
	h.take(0, renewed(0), at)
	h.take(0, renewed(5), at)
	h.close(at.Add(time.Second))
	if p50 := momentOf(h.samples, h.bounds).P50; p50 != 2 {
		t.Errorf("after both are renewed, half of the calls are told to take %v; want more than 2", p50)
	}
}
