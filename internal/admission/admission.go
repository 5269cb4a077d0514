// Package admission limits the orders in progress to what the shop and this process can finish in time.
//
// A service that gets more calls than it can serve makes its callers wait, and its work for callers that have left is lost. So
// the limit starts small and grows only while orders finish well within the target; when most are late or fail, it falls to
// what was finished recently (Little's law: L = λ·W). Other orders wait in a queue, where they cost little, if their turn comes
// before their deadline; otherwise they are refused at once.
package admission

import (
	"context"
	"sync"
	"time"

	"checkout/internal/fair"
	"checkout/internal/wait"
)

// Options of a Limiter. What is not positive has the default. Start is brought between Floor and Ceiling; where those
// disagree, Ceiling counts.
type Options struct {
	Target  time.Duration // how long an order should take at most: 2 s. The memory of the Limiter is as long
	Floor   int           // orders under way that are let in however slow the shop is: 4
	Start   int           // orders under way while nothing is known of the shop: 16
	Ceiling int           // orders under way that are never exceeded: 512
	Queue   int           // orders that wait, at most: 512

	// Runnable is how many goroutines wait for a processor, such as WaitingForProcessor. While they are many, fewer orders
	// are under way. Nil: the processors do not matter.
	Runnable func() int
}

// Stats is the state of a Limiter.
type Stats struct {
	Limit    int   // how many orders may be under way
	UnderWay int   // how many are
	Waiting  int   // how many wait for their turn
	Refused  int64 // how many were refused so far
}

// Limiter is an order.Admission. It is made by New and safe for concurrent use.
type Limiter struct {
	target, stride        time.Duration // stride is the length of a step
	floor, start, ceiling float64
	longest               int // queue
	born                  time.Time

	mu         sync.Mutex
	processors *processors // nil: they do not matter
	looks      wait.Timer  // looks at them while orders wait
	limit      float64     // by what the shop can do
	underWay   int
	queue      fair.Queue[*waiter]
	queueing   time.Time // since when orders have waited for their turn; zero: none does
	refused    int64
	service    time.Duration // mean time that an order is under way; 0: not known yet
	prompt     float64       // the share of the latest orders that were finished within target
	brisk      float64       // and of those within half of it
	step       int64         // the present one, counted from born
	steps      [steps]tally  // the last ones, each at its number modulo steps
	ended      int           // in all of them
	done       int           // in all of them
	rejected   int           // in all of them
}

// place is that of an order under way.
type place struct {
	step  int64 // in which it was let in
	since time.Time
}

// New makes a Limiter with nothing under way.
func New(o Options) *Limiter {
	target := positive(o.Target, 2*time.Second)
	ceiling := positive(o.Ceiling, 512)
	floor := positive(o.Floor, 4)
	start := min(max(positive(o.Start, 16), floor), ceiling)
	l := &Limiter{
		target:  target,
		stride:  max(target/steps, 1),
		floor:   float64(min(floor, ceiling)),
		start:   float64(start),
		ceiling: float64(ceiling),
		longest: positive(o.Queue, 512),
		born:    time.Now(),
		limit:   float64(start),
		prompt:  1,
		brisk:   1,
	}
	if o.Runnable != nil {
		l.processors = newProcessors(o.Runnable, float64(ceiling))
	}
	return l
}

func positive[T int | time.Duration](x, otherwise T) T {
	if x > 0 {
		return x
	}
	return otherwise
}

// Admit admits an order, until done is called for the first time, with its outcome. It waits for the order's turn if
// that comes in time for the deadline of ctx, and otherwise fails at once with an order.ErrOverloaded that says when to ask
// again.
func (l *Limiter) Admit(ctx context.Context) (done func(error), err error) {
	mine, ok := l.arrive()
	if !ok {
		if mine, err = l.wait(ctx); err != nil {
			return nil, err
		}
	}
	var once sync.Once
	return func(outcome error) { once.Do(func() { l.finish(mine, outcome) }) }, nil
}

// arrive lets an order in if there is a place and no queue.
func (l *Limiter) arrive() (mine place, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	if l.queue.Len() > 0 || l.underWay >= l.places() {
		return place{}, false
	}
	return l.enter(), true
}

// UnderWay is how many orders are under way.
func (l *Limiter) UnderWay() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.underWay
}

// enter counts an order as under way.
func (l *Limiter) enter() place {
	now := &l.steps[l.step%steps]
	now.open++
	l.underWay++
	now.peak = max(now.peak, l.underWay)
	return place{l.step, time.Now()}
}

// leave counts an order out, and lets in whose turn it is.
func (l *Limiter) leave(mine place) {
	l.underWay--
	l.ended++
	l.steps[l.step%steps].ended++
	if !l.late(mine) {
		l.steps[mine.step%steps].open--
	}
	l.letIn()
}

// Stats is the present state, for metrics.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	return Stats{Limit: int(l.limit), UnderWay: l.underWay, Waiting: l.queue.Len(), Refused: l.refused}
}
