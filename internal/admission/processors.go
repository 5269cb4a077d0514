package admission

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// processors bounds the orders under way to what the processors get through. Orders that compete for a processor finish no
// sooner for having been started, but each holds its goroutines, buffers and connections: in a small container that is
// what the garbage collector then chokes on. Orders that wait for another service compete for nothing, and any number of them
// may be under way. The Limiter guards it.
type processors struct {
	runnable   func() int // goroutines that wait for a processor
	saturation int        // how many of those are too many
	ceiling    float64
	limit      float64 // how many orders may be under way
	adjusted   time.Time
}

const (
	processorsFloor = 12 // orders under way, however busy the processors are
	lookEvery       = 2 * time.Millisecond
	processorsStep  = 0.1
)

func newProcessors(runnable func() int, ceiling float64) *processors {
	return &processors{
		runnable:   runnable,
		saturation: 4 * runtime.GOMAXPROCS(0),
		ceiling:    max(ceiling, processorsFloor),
		limit:      processorsFloor,
	}
}

// WaitingForProcessor makes an Options.Runnable: how many goroutines could run if there was a processor. It takes 0.1 µs.
func WaitingForProcessor() func() int {
	sample := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}} // once: the Limiter's lock is held while it is read
	return func() int {
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int(sample[0].Value.Uint64()) //nolint:gosec // a count of goroutines
	}
}

// adjust moves the limit by what the processors have to do now, at most once in a while, and reports whether it did.
func (p *processors) adjust(underWay int) bool {
	now := time.Now()
	if now.Sub(p.adjusted) < lookEvery {
		return false
	}
	p.adjusted = now
	switch {
	case p.runnable() > p.saturation:
		p.limit -= processorsStep * p.limit
	case underWay >= int(p.limit):
		p.limit += max(1, processorsStep*p.limit)
	}
	p.limit = min(max(p.limit, processorsFloor), p.ceiling)
	return true
}
