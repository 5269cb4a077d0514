// Package admission limits the orders in progress to what the shop and this process can finish in time.
//
// A service that gets more calls than it can serve makes its callers wait, and its work for callers that have left is lost. So
// the limit starts small and grows only while orders finish well within the target; when most are late or fail, it falls to
// what was finished recently (Little's law: L = λ·W). Other orders wait in a queue, where they cost little, if their turn comes
// before their deadline; otherwise they are refused at once.
package admission

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"checkout/internal/arrival"
	"checkout/internal/fair"
	"checkout/internal/order"
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
	looks      *time.Timer // looks at them while orders wait
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

// steps make up the target, and the memory of a Limiter.
const steps = 40

// tally is what happened in a step.
type tally struct {
	open     int // orders let in then, and under way since
	ended    int // orders that are not under way any more
	done     int // those of them that were served
	rejected int // orders rejected
	peak     int // orders under way, at most
}

// place is that of an order under way.
type place struct {
	step  int64 // in which it was let in
	since time.Time
}

// waiter is an order that waits for its turn.
type waiter struct {
	whole budget
	turn  chan place // holds one; closed when its turn would come too late, or is another's
}

// budget is the time of an order.
type budget struct{ arrival, deadline time.Time } // deadline is zero when there is none

// spent is the part of the time that is over once an order has been finished which takes so much longer from now on.
func (b budget) spent(expected float64) float64 {
	if b.deadline.IsZero() {
		return 0
	}
	return (float64(time.Since(b.arrival)) + expected) / float64(b.deadline.Sub(b.arrival))
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

// enqueue has an order wait for its turn, unless that would come too late.
func (l *Limiter) enqueue(w *waiter, rank float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	if l.queue.Len() >= l.longest || l.tooLate(l.queue.Ahead(rank), w.whole, admissible) {
		return false
	}
	l.queue.Add(w, rank)
	l.letIn()
	l.someQueue()
	return true
}

// GiveWay refuses the last of those who wait, if its rank is much higher: by more than a call of an unknown client.
func (l *Limiter) GiveWay(rank float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.Len() == 0 {
		return false
	}
	last, its := l.queue.Last()
	if its <= rank+1 {
		return false
	}
	l.queue.Remove(last)
	close(last.turn)
	return true
}

// someQueue notes that there is a queue.
func (l *Limiter) someQueue() {
	if l.queueing.IsZero() && l.queue.Len() > 0 {
		l.queueing = time.Now()
	}
	l.lookAgain()
}

// Waiting is how many orders wait for their turn.
func (l *Limiter) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	return l.queue.Len()
}

// UnderWay is how many orders are under way.
func (l *Limiter) UnderWay() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.underWay
}

// TooLate reports whether an order that arrives now, and stands behind so many others, would be finished too late.
func (l *Limiter) TooLate(ahead int, deadline time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	return l.tooLate(ahead, budget{time.Now(), deadline}, admissible)
}

// The part of the time from its arrival to its deadline that an order may be expected to take, so that it may wait for its
// turn; and so that it may go on waiting: less is refused at once, and more is not refused for every change of speed.
const (
	admissible = 0.5
	tolerable  = 0.9
)

// tooLate reports whether an order that stands behind so many others would be finished too late, as far as is known.
func (l *Limiter) tooLate(ahead int, whole budget, share float64) bool {
	interval := l.interval()
	service := max(float64(l.service), interval*float64(l.places())) // with so many under way it will take longer than it did
	return whole.spent(float64(ahead+1)*interval+service) > share
}

// inService is for an order that waits no longer.
const inService = -1

// interval is the time from the end of one order to that of the next, while there are more than can be under way. It follows
// from how long an order takes, unless orders have queued for long enough to count those that ended.
func (l *Limiter) interval() float64 {
	places := float64(l.places())
	if l.queueing.IsZero() {
		return float64(l.service) / places
	}
	queueing, ended := min(time.Since(l.queueing), l.target), 0
	for i := range int64(queueing / l.stride) {
		ended += l.steps[(l.step-i+steps)%steps].ended
	}
	switch {
	case queueing < l.target/10:
		return float64(l.service) / places
	case float64(ended) < places/4: // so few say nothing: the process may have been stopped
		return float64(max(l.service, queueing)) / places
	}
	return float64(queueing) / float64(ended)
}

// wait waits for the turn of an order. It leaves the queue when less than a quarter of the time is left that ctx had.
func (l *Limiter) wait(ctx context.Context) (place, error) {
	deadline, _ := ctx.Deadline()
	w := &waiter{budget{arrival.Of(ctx, time.Now()), deadline}, make(chan place, 1)}
	if !l.enqueue(w, fair.Rank(ctx)) {
		return place{}, l.refusal(nil)
	}
	var patience <-chan time.Time
	if !w.whole.deadline.IsZero() {
		timer := time.NewTimer(time.Until(w.whole.deadline) * 3 / 4)
		defer timer.Stop()
		patience = timer.C
	}
	var cause error
	select {
	case mine, ok := <-w.turn:
		if ok {
			return mine, nil
		}
	case <-patience:
		cause = context.DeadlineExceeded
	case <-ctx.Done():
		cause = ctx.Err()
	}
	l.dequeue(w)
	return place{}, l.refusal(cause)
}

// dequeue has an order wait no longer.
func (l *Limiter) dequeue(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case mine, ok := <-w.turn: // it was dismissed, or its turn came at the same moment
		if ok {
			l.leave(mine)
		}
	default:
		l.queue.Remove(w)
	}
}

// Reject counts an order that is refused, here or before it came here, and returns when to ask again.
func (l *Limiter) Reject() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	l.steps[l.step%steps].rejected++
	l.rejected++
	l.refused++
	return l.retryAfter()
}

// refusal counts an order that is refused, and tells it so.
func (l *Limiter) refusal(cause error) error {
	return &order.Error{Kind: order.ErrOverloaded, RetryAfter: l.Reject(), Err: cause}
}

// enter counts an order as under way.
func (l *Limiter) enter() place {
	now := &l.steps[l.step%steps]
	now.open++
	l.underWay++
	now.peak = max(now.peak, l.underWay)
	return place{l.step, time.Now()}
}

// letIn lets in whose turn it is, and has come in time.
func (l *Limiter) letIn() {
	for l.queue.Len() > 0 && l.underWay < l.places() {
		w := l.queue.First()
		l.queue.Remove(w)
		if l.tooLate(inService, w.whole, tolerable) {
			close(w.turn)
			continue
		}
		w.turn <- l.enter()
	}
	if l.queue.Len() == 0 {
		l.queueing = time.Time{}
	}
}

// finish notes the end of an order. Only what succeeded within half the target lets more orders in.
func (l *Limiter) finish(mine place, outcome error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	if came := judge(outcome); came != noMatter {
		l.learn(mine, came == served)
	}
	l.leave(mine)
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

// late reports whether an order has been under way for longer than the target. It was counted as late then.
func (l *Limiter) late(mine place) bool { return l.step-mine.step >= steps }

// learn takes in how long an order was under way, and whether it was served.
func (l *Limiter) learn(mine place, served bool) {
	took := time.Since(mine.since)
	brisk := served && took <= l.target/2
	if l.service == 0 {
		l.service = took
	}
	l.service += time.Duration(weight * float64(took-l.service))
	l.brisk += weight * (share(brisk) - l.brisk)
	if !l.late(mine) {
		l.prompt += weight * (share(served) - l.prompt)
	}
	if !served {
		return
	}
	l.done++
	l.steps[l.step%steps].done++
	inUse := float64(l.underWay) > used*l.limit
	proven := l.brisk > 0.5 && l.prompt > 0.5 && l.limit*l.interval() < headroom*float64(l.target)
	if brisk && inUse && proven {
		l.limit = min(l.limit+1, l.ceiling)
	}
}

func share(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// verdict is what an order says of the shop.
type verdict int

const (
	served   verdict = iota // it was answered, if only with a no
	failed                  // what it needed did not answer in time, or wrongly
	noMatter                // it ended for reasons of its caller's, and says nothing
)

func judge(outcome error) verdict {
	var kind order.Kind
	switch {
	case outcome == nil:
		return served
	case errors.Is(outcome, context.Canceled):
		return noMatter
	case !errors.As(outcome, &kind):
		return failed
	}
	switch kind {
	case order.ErrUnavailable, order.ErrImplausible, order.ErrPaymentUnreachable, order.ErrInDoubt, order.ErrInternal:
		return failed
	case order.ErrBusy, order.ErrOverloaded:
		return noMatter
	case order.ErrInvalid, order.ErrEmptyCart, order.ErrBadCart, order.ErrUnknownProduct, order.ErrDeclined, order.ErrUnshippable,
		order.ErrRefunded, order.ErrKeyReused, order.ErrPriceChanged:
	}
	return served
}

// Stats is the present state, for metrics.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	return Stats{Limit: int(l.limit), UnderWay: l.underWay, Waiting: l.queue.Len(), Refused: l.refused}
}

// places is how many orders may be under way now.
func (l *Limiter) places() int {
	if l.processors == nil {
		return int(l.limit)
	}
	return int(min(l.limit, l.processors.limit))
}

const (
	// weight is that of the latest order in what is known of the latest ones: it takes 22 in a row to turn all into half.
	weight = 1. / 32
	// headroom is the part of the target that orders may be under way, by Little's law, for more of them to be tried: they
	// take as long only later, when it would be too late to stop.
	headroom = 0.4
	// used is the part of the limit from which on it counts as in use, so that more can be tried.
	used = 0.8
	// drift is the part of the way that a limit that is not in use goes in a step: two thirds of it in a target, down, and
	// in ten targets, up.
	driftDown, driftUp = 1. / steps, 1. / (10 * steps)
)

// advance brings the memory up to the present step, and adjusts the limits when that is a new one.
func (l *Limiter) advance() {
	if l.processors != nil && l.processors.adjust(l.underWay) {
		l.letIn()
	}
	now := int64(time.Since(l.born) / l.stride)
	passed := now - l.step
	if passed == 0 {
		return
	}
	for i := range min(passed, steps) {
		forgotten := &l.steps[(l.step+1+i)%steps] // is target ago by now: what is open from then is late
		l.prompt *= math.Pow(1-weight, float64(forgotten.open))
		l.ended -= forgotten.ended
		l.done -= forgotten.done
		l.rejected -= forgotten.rejected
		*forgotten = tally{peak: l.underWay}
	}
	l.step = now
	l.adjust(float64(passed))
	l.letIn()
	l.dismiss()
}

// adjust moves the limit, after so many steps.
func (l *Limiter) adjust(passed float64) {
	peak := 0
	for _, step := range l.steps {
		peak = max(peak, step.peak)
	}
	needed := max(2*float64(peak), l.start)
	if l.underWay == 0 && l.queue.Len() == 0 { // the bad time is soon a thing of the past, and nothing is known again
		forget := min(1, driftUp*passed)
		l.prompt += forget * (1 - l.prompt)
		l.brisk += forget * (1 - l.brisk)
		l.service -= time.Duration(forget * float64(l.service))
	}
	switch {
	case l.prompt < 0.5:
		// With as many orders under way as were finished in half the target, each takes that long.
		l.limit = float64(l.done) / 2
	case l.limit > needed: // what is not in use is not proven any more
		l.limit = max(l.limit*(1-min(driftDown*passed, 1)), needed)
	case l.limit < l.start && l.queue.Len() == 0:
		l.limit += min(1, driftUp*passed) * (l.start - l.limit)
	}
	l.limit = min(max(l.limit, l.floor), l.ceiling)
}

// dismiss refuses those at the end of the queue whose turn would come too late by now, rather than have them wait for it.
func (l *Limiter) dismiss() {
	for l.queue.Len() > 0 {
		w, _ := l.queue.Last()
		if !l.tooLate(l.queue.Len()-1, w.whole, tolerable) {
			return
		}
		l.queue.Remove(w)
		close(w.turn)
	}
	l.queueing = time.Time{}
}

// lookAgain sees to those who wait while no order comes or goes.
func (l *Limiter) lookAgain() {
	if l.processors == nil || l.processors.looking || l.queue.Len() == 0 {
		return
	}
	l.processors.looking = true
	if l.looks == nil {
		l.looks = time.AfterFunc(lookEvery, l.look)
	} else {
		l.looks.Reset(lookEvery)
	}
}

func (l *Limiter) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processors.looking = false
	l.advance()
	l.lookAgain()
}

// retryAfter is how long the shop takes to serve all that were rejected lately, should they come back; with some chance
// in it, so that they do not come back together.
func (l *Limiter) retryAfter() time.Duration {
	wait := l.target
	if l.done > 0 {
		wait = l.target * time.Duration(l.rejected) / time.Duration(l.done)
	}
	wait = min(max(wait, l.target/20), 5*l.target)
	return wait + rand.N(wait/2+1) //nolint:gosec // it spreads customers, and hides nothing
}
