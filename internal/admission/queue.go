package admission

import (
	"context"
	"math/rand/v2"
	"time"

	"checkout/internal/arrival"
	"checkout/internal/fair"
	"checkout/internal/order"
)

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

// refusal counts an order that is refused, and tells it so.
func (l *Limiter) refusal(cause error) error {
	return &order.Error{Kind: order.ErrOverloaded, RetryAfter: l.Reject(), Err: cause}
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
	if l.processors != nil && l.queue.Len() > 0 {
		l.looks.Start(lookEvery, l.look)
	}
}

func (l *Limiter) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks.Fired()
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
