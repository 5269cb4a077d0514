package order

import (
	"sync"
	"time"
)

// latency is how long calls to a service have taken lately: the mean, and how far from it they were (RFC 6298, §2).
type latency struct {
	mu              sync.Mutex
	mean, deviation time.Duration
	observed        time.Time // the latest
}

// latencyTime is how long a latency is believed: a service that is not called may have recovered.
const latencyTime = 3 * time.Second

func (l *latency) observe(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known() {
		l.deviation += ((took - l.mean).Abs() - l.deviation) / 4
		l.mean += (took - l.mean) / 8
	} else {
		l.mean, l.deviation = took, took/2
	}
	l.observed = time.Now()
}

func (l *latency) known() bool { return !l.observed.IsZero() && time.Since(l.observed) < latencyTime }

// expected is what hardly any call takes longer than; 0 when nothing is known.
func (l *latency) expected() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known() {
		return 0
	}
	return l.mean + 4*l.deviation
}
