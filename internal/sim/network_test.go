package sim

import (
	"context"
	"errors"
	"time"
)

// The simulated network: every call of the service goes through it.

var (
	errDead    = errors.New("the process is dead")
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

// call is one call of a port.
type call[T any] struct {
	to    service
	name  string
	about string            // which order, user or request
	limit time.Duration     // timeout of the gateway; 0: as long as the caller has
	not   set               // faults that cannot happen to it
	quiet func(T) bool      // whether the answer is left out of the trace
	sent  func()            // checks the world when the call is sent
	act   func() (T, error) // its effect on the world
}

// trip is what the network has decided about a call.
type trip struct {
	dice
	to    service
	fault fault
	there time.Duration // latency of the call
	back  time.Duration // latency of the answer
}

// askKey is the key of a request's name in a context.
type askKey struct{}

func askOf(ctx context.Context) string {
	name, _ := ctx.Value(askKey{}).(string)
	return name
}

// invoke makes a call.
func invoke[T any](ctx context.Context, p *process, c call[T]) (result T, err error) {
	t := p.decide(c.to, purpose{c.name, c.about}, c.not)
	if c.limit > 0 && t.fault != none { // or it would never be felt
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	result, err = transmit(ctx, p, c, t)
	if t.fault == asleep && t.back > t.there {
		p.doze(t)
	}
	if dead := p.awake(t); dead != nil {
		return *new(T), dead
	}
	return result, err
}

// travel takes a call to its service, and the answer back.
func transmit[T any](ctx context.Context, p *process, c call[T], t trip) (nothing T, err error) {
	if t.fault == crashBefore || t.fault == asleep { // calls that start together see each other start
		_ = p.wait(ctx, t, t.between(1, 50*time.Microsecond))
	}
	if t.fault == asleep && t.back <= t.there {
		p.doze(t)
	}
	if dead := p.awake(t); dead != nil {
		return nothing, dead
	}
	if t.fault == crashBefore {
		p.logFault(c.name, c.about, t.fault)
		p.die()
		return nothing, errDead
	}
	if ctx.Err() != nil { // it may have been asleep
		return nothing, errors.Join(errRefused, ctx.Err())
	}
	p.send(c.sent)
	switch t.fault {
	case lost:
		p.logFault(c.name, c.about, t.fault)
		_ = p.wait(ctx, t, t.there)
		return nothing, errRefused
	case hung:
		p.logFault(c.name, c.about, t.fault)
		return nothing, p.hang(ctx, t)
	case late:
		p.logFault(c.name, c.about, t.fault)
		later(p, c, t.between(time.Millisecond, 100*time.Second))
		_ = p.wait(ctx, t, t.between(time.Millisecond, 10*time.Second))
		return nothing, errReset
	}
	left := time.Now()
	if err := p.wait(ctx, t, t.there); err != nil { // what has left may arrive all the same
		if rest := t.there - time.Since(left); t.chance(0.5) && rest > 0 {
			later(p, c, rest)
		}
		return nothing, err
	}
	result, err := apply(p, c, t.fault)
	switch t.fault {
	case doubled:
		later(p, c, t.between(time.Millisecond, one(t.dice, 50*time.Millisecond, 100*time.Second)))
	case crashAfter:
		p.die()
	case unanswered:
		return nothing, errReset
	case hungAfter:
		return nothing, p.hang(ctx, t)
	}
	if t.fault == slow && t.back > 0 {
		if err := p.wait(ctx, t, t.back); err != nil {
			return nothing, err
		}
	}
	return result, err
}

// apply lets a call have its effect.
func apply[T any](p *process, c call[T], f fault) (T, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	result, err := c.act()
	if f != none || err != nil || c.quiet == nil || !c.quiet(result) {
		p.log(c.name, c.about, f, err)
	}
	return result, err
}

// later gives a call its effect after its caller has left.
func later[T any](p *process, c call[T], after time.Duration) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := time.Now().Add(after); at.After(w.lastEffect) {
		w.lastEffect = at
	}
	time.AfterFunc(after, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, err := c.act()
		p.log(c.name, c.about, late, err)
	})
}

// endless is more calls than any schedule takes.
const endless = 20_000

// decide draws what happens to a call.
func (p *process) decide(to service, what purpose, not set) trip {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	p.calls[what]++
	if w.calls++; w.calls > endless {
		if w.calls == endless+1 {
			w.violated("I8", p.name, "calls without end")
		}
		p.end()
	}
	d := w.plan.hash(p.name).text(what.name).text(what.about).number(int64(p.calls[what])).dice()
	t := trip{dice: d, to: to, there: d.between(200*time.Microsecond, 3*time.Millisecond)}
	t.fault = p.draw(d, to, what)
	if (not | w.plan.without).has(t.fault) {
		t.fault = none
	}
	switch t.fault {
	case cutOff:
		p.cut = window{w.age() + 1, w.age() + d.between(5*time.Second, 90*time.Second)} // not for who calls just now
		p.log(what.name, what.about, cutOff, nil)
		t.fault = none
	case slow:
		if delay := d.between(100*time.Millisecond, one(d, time.Second, 12*time.Second)); d.chance(0.5) {
			t.there = delay
		} else {
			t.back = delay
		}
	case asleep: // before or after it
		t.back = d.between(0, 2*t.there)
	}
	return t
}

// draw is the fault of a call to a service.
func (p *process) draw(d dice, to service, what purpose) fault {
	w := p.w
	if w.plan.kill != nil {
		return w.plan.kill(w.calls)
	}
	if w.healed() {
		return none
	}
	rare := 1.0
	if what.name == "claim" { // there are so many
		rare = 0.02
	}
	switch x := d.Float64() / rare; {
	case x < w.plan.crash:
		return one(d, crashBefore, crashAfter)
	case x < w.plan.crash+w.plan.asleep:
		return asleep
	case x < w.plan.crash+w.plan.asleep+w.plan.cut:
		return cutOff
	}
	if to == theStore && p.cut.holds(w.age()) {
		return one(d, lost, hung)
	}
	if w.plan.outages[to].holds(w.age()) && d.chance(0.9) {
		w.saw(outage.String())
		return one(d, lost, lost, hung, unanswered)
	}
	if d.chance(w.plan.fault) {
		if often := w.plan.often; often != none && d.chance(0.7) {
			return often
		}
		return one(d, lost, unanswered, hung, hungAfter, slow, slow, late, doubled)
	}
	return none
}

// wait waits, while ctx lasts and the process lives.
func (p *process) wait(ctx context.Context, t trip, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.life.Done():
		return errDead
	case <-ctx.Done():
		// Others wake by the same clock; each goes on at a moment of its own.
		moment := time.NewTimer(t.between(1, 50*time.Microsecond))
		<-moment.C
		return ctx.Err()
	}
}

// hang waits until ctx or the process ends.
func (p *process) hang(ctx context.Context, t trip) error { return p.wait(ctx, t, 1000*time.Hour) }

// awake waits until the process is awake, or dead.
func (p *process) awake(t trip) error {
	for {
		p.w.mu.Lock()
		rest := time.Until(p.wakes)
		p.w.mu.Unlock()
		switch {
		case p.life.Err() != nil:
			return errDead
		case rest <= 0:
			return nil
		}
		timer := time.NewTimer(rest + t.between(1, 50*time.Microsecond))
		select {
		case <-timer.C:
		case <-p.life.Done():
		}
		timer.Stop()
	}
}

// doze puts the process to sleep.
func (p *process) doze(t trip) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.life.Err() == nil {
		p.wakes, p.dozed = time.Now().Add(t.between(time.Second, one(t.dice, 20*time.Second, 80*time.Second))), true
		p.log("sleeps", "", asleep, nil)
	}
}

// send runs the checks of a call that is sent.
func (p *process) send(sent func()) {
	if sent == nil {
		return
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	sent()
}

// logFault adds a call that has had no effect so far.
func (p *process) logFault(name, about string, f fault) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.log(name, about, f, nil)
}

// log adds a call to the trace. The world must be locked.
func (p *process) log(name, about string, f fault, err error) {
	how := ""
	if f != none {
		how = f.String()
		p.w.saw(how)
	}
	if err != nil {
		how += " " + err.Error()
	}
	p.w.trace.add(p.w.age(), p.name, name, about, how)
}
