package admission

import (
	"container/list"
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// gate starts orders no faster than the processors get through them. Orders that compete for a processor finish no
// sooner for having been started, but each holds its goroutines, buffers and connections: in a small container that is
// what the garbage collector then chokes on. So while too many goroutines wait for a processor fewer orders are inside,
// and the others wait at the door, where they cost next to nothing. Orders that wait for a neighbour compete for nothing,
// and any number of them may be inside.
type gate struct {
	runnable   func() int // goroutines that wait for a processor
	saturation int        // how many of those are too many
	ceiling    float64

	mu       sync.Mutex
	limit    float64 // how many may be inside
	inside   int
	queue    list.List // of chan struct{}: who waits, longest first
	adjusted time.Time
	waking   bool // wake has been set to run
}

const (
	gateFloor    = 12 // orders inside, however busy the processors are
	gateInterval = 2 * time.Millisecond
	gateStep     = 0.1
)

func newGate(runnable func() int, ceiling float64) *gate {
	if runnable == nil {
		runnable = waitingForProcessor
	}
	return &gate{
		runnable:   runnable,
		saturation: 4 * runtime.GOMAXPROCS(0),
		ceiling:    max(ceiling, gateFloor),
		limit:      gateFloor,
	}
}

// waitingForProcessor asks the runtime, which takes 0.1 µs.
func waitingForProcessor() int {
	sample := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int(sample[0].Value.Uint64()) //nolint:gosec // a count of goroutines
}

// enter waits for its turn, first come, first served. It fails when less than a quarter of the time is left that ctx has.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	g.adjust()
	if g.queue.Len() == 0 && g.inside < int(g.limit) {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := g.queue.PushBack(turn)
	g.wakeLater()
	g.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/4))
		defer cancel()
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // at the same moment; let the next one in
		g.inside--
		g.admit()
	default:
		g.queue.Remove(place)
	}
	return ctx.Err()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.adjust()
	g.admit()
}

// admit lets in whose turn it is.
func (g *gate) admit() {
	for g.queue.Len() > 0 && g.inside < int(g.limit) {
		g.inside++
		close(g.queue.Remove(g.queue.Front()).(chan struct{}))
	}
}

// adjust moves the limit by what the processors have to do now, at most once an interval.
func (g *gate) adjust() {
	now := time.Now()
	if now.Sub(g.adjusted) < gateInterval {
		return
	}
	g.adjusted = now
	switch {
	case g.runnable() > g.saturation:
		g.limit -= gateStep * g.limit
	case g.inside >= int(g.limit):
		g.limit += max(1, gateStep*g.limit)
	}
	g.limit = min(max(g.limit, gateFloor), g.ceiling)
}

// wakeLater sees to those who wait while nobody comes or goes.
func (g *gate) wakeLater() {
	if g.waking || g.queue.Len() == 0 {
		return
	}
	g.waking = true
	time.AfterFunc(gateInterval, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waking = false
		g.adjust()
		g.admit()
		g.wakeLater()
	})
}
