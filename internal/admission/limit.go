package admission

import (
	"context"
	"errors"
	"math"
	"time"

	"checkout/internal/order"
)

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

// result is what an order says of the shop.
type result int

const (
	served   result = iota // it was answered, if only with a no
	failed                 // what it needed did not answer in time, or wrongly
	noMatter               // it ended for reasons of its caller's, and says nothing
)

func judge(outcome error) result {
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
