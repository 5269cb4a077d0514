package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
)

var (
	schedules = flag.Int("schedules", 0, "how many schedules to run; 0: 20,000, or 1 with -seed")
	seed      = flag.Uint64("seed", 0, "the first schedule's seed")
	failures  = flag.Int("failures", 3, "how many schedules may fail before no more are run")
	without   set
)

func TestMain(m *testing.M) {
	flag.Var(&without, "without", "faults to leave out, separated by commas")
	flag.Parse()
	os.Exit(m.Run())
}

// defaultSchedules reach all of mustHappen.
const defaultSchedules = 20_000

// count is how many schedules are to be run.
func count() int {
	switch {
	case *schedules > 0:
		return *schedules
	case *seed > 0:
		return 1
	case raced:
		return 1_000
	case testing.Short():
		return 2_000
	}
	return defaultSchedules
}

func TestSchedules(t *testing.T) {
	s := batch{first: max(*seed, 1), n: count(), seen: map[string]int{}}
	began := time.Now()
	workers := runtime.GOMAXPROCS(0)
	t.Run("seeds", func(t *testing.T) {
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				s.play(t, worker, workers)
			})
		}
	})
	t.Logf("%d schedules in %v", s.n, time.Since(began).Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(s.seen)) {
		t.Logf("%9d %s", s.seen[what], what)
	}
	if s.n >= defaultSchedules && without == 0 && s.failed == 0 {
		for _, what := range mustHappen() {
			if s.seen[what] == 0 {
				t.Errorf("it never happened: %s", what)
			}
		}
	}
	if s.n == 1 && testing.Verbose() {
		p := newPlan(s.first, without)
		p.print = func(line string) { t.Log(line) }
		run(t, p)
	}
}

// batch is a number of schedules.
type batch struct {
	first uint64
	n     int

	mu     sync.Mutex
	seen   map[string]int
	failed int
}

// play runs every so-many-th schedule.
func (s *batch) play(t *testing.T, worker, workers int) {
	for n := worker; n < s.n; n += workers {
		o := run(t, newPlan(s.first+uint64(n), without))
		s.mu.Lock()
		for what, times := range o.seen {
			s.seen[what] += times
		}
		if len(o.wrong) > 0 {
			s.failed++
			explain(t, s.first+uint64(n), o)
		}
		enough := s.failed >= *failures
		s.mu.Unlock()
		if enough {
			return
		}
	}
}

// explain reports a schedule that failed, with as few kinds of faults as it takes.
func explain(t *testing.T, seed uint64, o outcome) {
	t.Helper()
	left := without
	for f := fault(1); f < faults && *failures > 1; f++ {
		if fewer := run(t, newPlan(seed, left|of(f))); len(fewer.wrong) > 0 {
			left |= of(f)
			o = fewer
		}
	}
	replay := fmt.Sprintf("go test ./internal/sim -run TestSchedules -seed %d -v", seed)
	if left != 0 {
		replay += " -without " + left.String()
	}
	t.Errorf("seed %d:\n  %s\nreplay: %s", seed, strings.Join(o.wrong, "\n  "), replay)
}

// sometimes is what must have happened in so many schedules: what never happens is not tested.
func mustHappen() []string {
	return append(slices.Clone(faultNames[1:]),
		"taken over by the other replica", "fenced", "a conflict", "a receipt came late",
		"a charge after the order was in doubt", "a late charge after its reversal", "looked up and found", "reversed a charge",
		"charging", "charged", "placed", "completed", "declined", "cancelled", "in_doubt", "refunding", "refunded", "parked",
		"perhaps paid by an earlier call", "OK without a parcel", "refunded after an OK", "joined by key", "joined by no key",
		"an empty cart was answered with the last order", "a cart filled later was left alone", "a cart was left as it was",
		"e-mail refused for good", "event refused for good", "undelivered", "certainly not shipped", "perhaps shipped", "a second parcel refused", "reported",
		"an operator retries", "an operator says paid", "an operator says not paid", "an operator says paid back", "a wrong resolution refused",
		"an operator says ship again", "an operator says shipped of a shipment", "an operator says paid back of a shipment",
		"an operator refunds", "an order is refunded in part", "refunded by an operator", "an operator retries a delivery", "an operator skips a delivery",
		string(order.ErrEmptyCart), string(order.ErrUnavailable), string(order.ErrOverloaded), string(order.ErrDeclined),
		string(order.ErrPaymentUnreachable), string(order.ErrInDoubt), string(order.ErrUnshippable), string(order.ErrRefunded),
		string(order.ErrKeyReused), string(order.ErrBusy), string(order.ErrPriceChanged),
	)
}

func TestASeedRepeatsExactly(t *testing.T) {
	t.Parallel()
	n := uint64(400)
	if raced || testing.Short() {
		n = 40
	}
	for s := range n {
		first, second := replay(t, s), replay(t, s)
		if first.hash == second.hash {
			continue
		}
		for i := range min(len(first.lines), len(second.lines)) {
			if first.lines[i] != second.lines[i] {
				t.Errorf("seed %d differs:\n%s\n\n%s", s, strings.Join(first.lines[max(0, i-5):i+1], "\n"), second.lines[i])
				break
			}
		}
	}
}

// recording is a trace and its lines: those of one moment are sorted.
type recording struct {
	hash  hash
	lines []string
}

func replay(t *testing.T, seed uint64) (s recording) {
	p := newPlan(seed, 0)
	p.print = func(line string) { s.lines = append(s.lines, line) }
	s.hash = run(t, p).hash
	slices.SortStableFunc(s.lines, func(a, b string) int {
		if a[:12] == b[:12] {
			return strings.Compare(a, b)
		}
		return 0
	})
	return s
}
