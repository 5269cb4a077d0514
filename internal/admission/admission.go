// Package admission bounds how many orders are under way to what the shop can finish in good time.
//
// A neighbour that is asked for more than it can do makes its callers wait, and what it does for those who have given up
// is lost. So when most orders take longer than they should, no more are let in than were finished in the time that one
// should take: by Little's law (L = λ·W) the wait then comes down to that time, whatever the neighbour can do. A few slow
// orders among others, such as parcels to far countries, are no queue and do not count as one.
package admission

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"checkout/internal/order"
)

// Options of a Limiter. What is not positive has the default. Start is brought between Floor and Ceiling; where those
// disagree, Ceiling counts.
type Options struct {
	Target  time.Duration // how long an order should take at most: 2 s. The memory of the Limiter is as long
	Floor   int           // orders under way that are let in however slow the shop is: 8
	Start   int           // orders under way while nothing is known of the shop: 256
	Ceiling int           // orders under way that are never exceeded: 512

	// Runnable is how many goroutines wait for a processor; nil asks the runtime.
	Runnable func() int
}

// Stats is the state of a Limiter.
type Stats struct {
	Limit    int   // how many orders may be under way
	UnderWay int   // how many are
	Refused  int64 // how many were refused so far
}

// Limiter is an order.Admission. It is made by New and safe for concurrent use.
type Limiter struct {
	target, stride        time.Duration // stride is the length of a step
	floor, start, ceiling float64
	born                  time.Time
	gate                  *gate

	mu       sync.Mutex
	limit    float64
	underWay int
	refused  int64
	prompt   float64      // the share of the latest orders that were finished within target
	step     int64        // the present one, counted from born
	steps    [steps]tally // the last ones, each at its number modulo steps
	done     int          // in all of them
	turned   int          // away, in all of them
}

// steps make up the target, and the memory of a Limiter.
const steps = 40

// tally is what happened in a step.
type tally struct {
	open   int // orders let in then, and under way since
	done   int // orders finished
	turned int // orders turned away
}

// New makes a Limiter with nothing under way.
func New(o Options) *Limiter {
	target := positive(o.Target, 2*time.Second)
	ceiling := positive(o.Ceiling, 512)
	floor := positive(o.Floor, 8)
	start := min(max(positive(o.Start, 256), floor), ceiling)
	return &Limiter{
		target:  target,
		stride:  max(target/steps, 1),
		floor:   float64(floor),
		start:   float64(start),
		ceiling: float64(ceiling),
		born:    time.Now(),
		gate:    newGate(o.Runnable, float64(ceiling)),
		limit:   float64(start),
		prompt:  1,
	}
}

func positive[T int | time.Duration](x, otherwise T) T {
	if x > 0 {
		return x
	}
	return otherwise
}

// Admit lets an order in, until release is called for the first time. When enough are under way it fails at once with an
// order.ErrOverloaded that says when to ask again; otherwise it waits until a processor can be spared for the order, and
// fails when ctx ends before that.
func (l *Limiter) Admit(ctx context.Context) (release func(), err error) {
	finish, err := l.admit()
	if err != nil {
		return nil, err
	}
	if err := l.gate.enter(ctx); err != nil {
		finish(false)
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, &order.Error{Kind: order.ErrOverloaded, RetryAfter: l.retryAfter(), Err: err}
	}
	return sync.OnceFunc(func() { l.gate.leave(); finish(true) }), nil
}

// admit counts an order in, or turns it away.
func (l *Limiter) admit() (finish func(served bool), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	now := &l.steps[l.step%steps]
	if l.underWay >= int(l.limit) {
		now.turned++
		l.turned++
		l.refused++
		return nil, &order.Error{Kind: order.ErrOverloaded, RetryAfter: l.retryAfter()}
	}
	now.open++
	l.underWay++
	admitted := l.step
	return func(served bool) { l.finish(admitted, served) }, nil
}

// finish notes the end of an order that was let in at a step. One that was not served, because it gave up at the gate,
// says nothing of what the shop can do.
func (l *Limiter) finish(admitted int64, served bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	l.underWay--
	remembered := l.step-admitted < steps // otherwise it has been noted as late, and its step forgotten
	if remembered {
		l.steps[admitted%steps].open--
	}
	if !served {
		return
	}
	l.done++
	l.steps[l.step%steps].done++
	if remembered {
		l.prompt += (1 - l.prompt) * weight
	}
}

// Stats is the present state, for metrics.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	return Stats{Limit: int(l.limit), UnderWay: l.underWay, Refused: l.refused}
}

const (
	// weight is that of the latest order in the share of the prompt: it takes 22 in a row to turn all into half.
	weight = 1. / 32
	// room is left between what was finished and what is let in, because neither comes evenly.
	room = 0.1
	// drift is the part of itself by which the limit moves in a step that nothing is learnt from: 5 % a second by default.
	drift = 1. / 400
)

// advance brings the memory up to the present step, and adjusts the limit when that is a new one.
func (l *Limiter) advance() {
	now := int64(time.Since(l.born) / l.stride)
	passed := now - l.step
	if passed == 0 {
		return
	}
	for i := range min(passed, steps) {
		forgotten := &l.steps[(l.step+1+i)%steps] // is target ago by now: what is open from then is late
		l.prompt *= math.Pow(1-weight, float64(forgotten.open))
		l.done -= forgotten.done
		l.turned -= forgotten.turned
		*forgotten = tally{}
	}
	l.step = now
	l.adjust(float64(passed))
}

// adjust moves the limit, after so many steps.
func (l *Limiter) adjust(passed float64) {
	// With as many orders under way as were finished within target, each takes target.
	sustainable := (1 - room) * float64(l.done)
	switch {
	case l.prompt < 0.5:
		l.limit = sustainable
	case float64(l.underWay) > 0.8*l.limit:
		l.limit = max(sustainable, (1+drift)*l.limit)
	default: // a limit that nothing comes near is soon a thing of the past, and nothing is known again
		l.limit += min(1, drift*passed) * (l.start - l.limit)
	}
	l.limit = min(max(l.limit, l.floor), l.ceiling)
}

// retryAfter is how long the shop takes to serve all that were turned away lately, should they come back; with some chance
// in it, so that they do not come back together.
func (l *Limiter) retryAfter() time.Duration {
	wait := l.target
	if l.done > 0 {
		wait = l.target * time.Duration(l.turned) / time.Duration(l.done)
	}
	wait = min(max(wait, l.target/20), 5*l.target)
	return wait + rand.N(wait/2+1) //nolint:gosec // it spreads customers, and hides nothing
}
