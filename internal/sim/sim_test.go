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
	schedules = flag.Int("schedules", 0, "how many schedules to play; 0: 20,000, or 1 with -seed")
	seed      = flag.Uint64("seed", 0, "the first schedule's seed")
	failures  = flag.Int("failures", 3, "how many schedules may go wrong before no more are played")
	without   set
)

func TestMain(m *testing.M) {
	flag.Var(&without, "without", "faults to leave out, separated by commas")
	flag.Parse()
	os.Exit(m.Run())
}

// usual is how many schedules are played if nobody says. They reach all of sometimes.
const usual = 20_000

// many is how many schedules are to be played.
func many() int {
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
	return usual
}

func TestSchedules(t *testing.T) {
	s := season{first: max(*seed, 1), n: many(), seen: map[string]int{}}
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
	if s.n >= usual && without == 0 && s.failed == 0 {
		for _, what := range sometimes() {
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

// season is a number of schedules.
type season struct {
	first uint64
	n     int

	mu     sync.Mutex
	seen   map[string]int
	failed int
}

// play plays every so-many-th schedule.
func (s *season) play(t *testing.T, worker, workers int) {
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

// explain reports a schedule that went wrong, with as few kinds of faults as it takes.
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
func sometimes() []string {
	return append(slices.Clone(faultNames[1:]),
		"taken over by the other replica", "fenced", "a conflict", "a receipt came late",
		"a charge after the order was in doubt", "a late charge after its reversal", "looked up and found", "reversed a charge",
		"charging", "charged", "placed", "completed", "declined", "cancelled", "in_doubt", "refunding", "refunded", "parked",
		"OK without a parcel", "refunded after an OK", "joined by key", "joined by no key",
		"an empty cart was answered by the order before", "a cart filled later was left alone", "a cart was left as it was",
		"e-mail refused for good", "event refused for good", "undelivered", "certainly not shipped", "perhaps shipped", "a second parcel refused", "reported",
		"a person retries", "a person says paid", "a person says not paid", "a person says paid back", "a wrong verdict refused",
		"an operator says ship again", "an operator says shipped of a shipment", "an operator says paid back of a shipment",
		"an operator refunds", "an order is refunded in part", "refunded by an operator", "an operator has a delivery tried again", "an operator skips a delivery",
		string(order.ErrEmptyCart), string(order.ErrUnavailable), string(order.ErrOverloaded), string(order.ErrDeclined),
		string(order.ErrPaymentUnreachable), string(order.ErrInDoubt), string(order.ErrUnshippable), string(order.ErrRefunded),
		string(order.ErrKeyReused), string(order.ErrBusy), string(order.ErrPriceChanged),
	)
}

func TestAStoryRepeatsExactly(t *testing.T) {
	t.Parallel()
	n := uint64(400)
	if raced || testing.Short() {
		n = 40
	}
	for s := range n {
		first, second := tell(t, s), tell(t, s)
		if first.hash == second.hash {
			continue
		}
		for i := range min(len(first.lines), len(second.lines)) {
			if first.lines[i] != second.lines[i] {
				t.Errorf("seed %d tells two stories:\n%s\n\n%s", s, strings.Join(first.lines[max(0, i-5):i+1], "\n"), second.lines[i])
				break
			}
		}
	}
}

// told is a story and its lines: those of one moment are sorted.
type told struct {
	hash  hash
	lines []string
}

func tell(t *testing.T, seed uint64) (s told) {
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
