package order

import (
	"sync"
	"time"
)

// latency predicts how long a call to a service takes: so long alone, and so much longer for each call that is under way. A service
// that answers calls in parallel takes no longer for the others; one that answers them one after another takes as long again for each.
// Each call that ends corrects both times, the second in proportion to the calls that it waited behind (normalised least mean squares).
type latency struct {
	mu          sync.Mutex
	alone, each float64 // ns
	excess      float64 // how much longer than predicted calls took lately, on average
	underWay    int
	busy        time.Time // since when there have been calls under way
	asked       time.Time // when the latest call was reserved
	ended       time.Time // the latest call
	newest      time.Time // when the newest of those that have ended began
}

// latencyTime is how long a service that is too slow is not called; then one call finds out whether it still is. A call that ends
// is ignored if another one has ended that began so much later: the service has recovered since.
const latencyTime = 3 * time.Second

// timing is that of a call that is under way, or about to be.
type timing struct {
	expected time.Duration
	others   int       // calls under way when it was reserved
	began    time.Time // zero: it was not made
}

// reserve counts a call as under way, unless it is expected to take longer than that.
func (l *latency) reserve(most time.Duration) (t timing, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t = timing{expected: l.expected(), others: l.underWay}
	if t.expected > most {
		return t, false
	}
	l.asked = time.Now()
	if l.underWay++; l.underWay == 1 {
		l.busy = l.asked
	}
	return t, true
}

// end ends a call that was reserved.
func (l *latency) end(t timing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	if t.began.IsZero() || l.newest.Sub(t.began) > latencyTime {
		return
	}
	took, others := float64(time.Since(t.began)), float64(t.others)
	if l.ended.IsZero() {
		l.alone, l.excess = took, took/8
	}
	wrong := took - l.alone - l.each*others
	step := wrong / (1 + others*others)
	if wrong > 0 { // others may not take so long
		step /= 2
	}
	l.alone, l.each = max(l.alone+step, 0), max(l.each+step*others, 0)
	l.excess += (max(wrong, 0) - l.excess) / 4
	l.ended = time.Now()
	if t.began.After(l.newest) {
		l.newest = t.began
	}
}

// expected is how long a call takes at most, in all likelihood, if it begins now; 0 when nothing is known. While no call ends, that is at
// least the time since the last one did.
func (l *latency) expected() time.Duration {
	if time.Since(l.asked) >= latencyTime {
		return 0
	}
	expected := l.alone + l.each*float64(l.underWay) + 4*l.excess
	if l.underWay > 0 {
		expected = max(expected, float64(min(time.Since(l.ended), time.Since(l.busy))))
	}
	return time.Duration(expected)
}
