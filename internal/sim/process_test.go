package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"checkout/internal/order"
	"checkout/internal/pricing"
)

// process is a process of a replica. What it holds in memory dies with it. A dead process is not stopped: every call of it fails,
// without any effect, so that its goroutines end by themselves.
type process struct {
	w       *world
	replica int
	name    string
	placer  *order.Placer
	life    context.Context // ends with the process
	end     context.CancelFunc
	work    sync.WaitGroup // what it does for callers

	// guarded by w.mu
	closing bool            // refuses calls
	calls   map[purpose]int // how often each was made
	wakes   time.Time       // asleep until then
	dozed   bool            // has ever been asleep
	cut     window          // cannot reach the store
	admits  int             // orders in progress
}

// purpose is what a call is for. With how often it was made before, it decides what happens to the call.
type purpose struct{ name, about string }

// replica runs one process after another.
type replica struct{ process *process } // nil while there is none

// boot starts a process that runs its recovery.
func (w *world) boot(replica, lives int) (p *process, recovered func()) {
	if w.reopen != nil {
		w.mu.Lock()
		w.record = w.reopen()
		w.mu.Unlock()
	}
	p = &process{w: w, replica: replica, name: fmt.Sprintf("%c.%d", 'A'+replica, lives), calls: map[purpose]int{}}
	p.life, p.end = context.WithCancel(context.Background())
	with := order.Dependencies{
		Pricer: pricing.New(p, p, p, p, pricing.DefaultLimits()),
		Store:  p, Payment: p, Shipping: p, ShipAttempts: w.plan.attempts, Cart: p, Email: p, Admission: p,
		Report: p.report, Random: p.random,
	}
	if w.plan.keyed {
		with.Ledger = p
	}
	if w.plan.broker {
		with.Events = p
	}
	p.placer = order.NewPlacer(with)
	ctx, stop := context.WithCancel(p.life)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.placer.Recover(ctx)
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace.add(w.age(), p.name, "starts", "", "")
	w.replicas[replica].process = p
	return p, func() { stop(); <-done }
}

// close ends the process, gracefully if it runs.
func (p *process) close(recovered func()) {
	p.w.mu.Lock()
	p.closing = true
	p.w.mu.Unlock()
	p.work.Wait()
	recovered()
	ctx, cancel := context.WithTimeout(p.life, 8*time.Second)
	defer cancel()
	p.placer.Close(ctx)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.life.Err() != nil {
		return
	}
	if p.admits != 0 {
		p.w.violated("I11", p.name, "%d places were not given back", p.admits)
	}
	p.w.trace.add(p.w.age(), p.name, "ends", "", "")
	p.end()
}

// die kills the process.
func (p *process) die() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.trace.add(p.w.age(), p.name, "dies", "", "")
	p.end()
}

// supervise keeps a process alive in the replica until the schedule is over.
func (w *world) supervise(replica int) {
	for lives := 1; ; lives++ {
		d := w.plan.hash("supervisor").number(int64(replica)).number(int64(lives)).dice()
		p, recovered := w.boot(replica, lives)
		over := w.watch(p)
		if p.life.Err() != nil {
			w.dead.Go(func() { p.close(recovered) }) // the next one does not wait for goroutines of the dead one
		} else {
			p.close(recovered)
		}
		if over {
			return
		}
		rest := d.between(time.Second, 10*time.Second)
		if !w.sleep(rest + w.plan.dark(w.age()+rest)) {
			return
		}
	}
}

// watch returns when the process is dead, has to end, or the schedule is over.
func (w *world) watch(p *process) (over bool) {
	ends := p.life.Done()
	again, dark := w.at(w.plan.restarts[p.replica]), w.at(w.plan.blackout)
	defer again.Stop()
	defer dark.Stop()
	select {
	case <-ends:
	case <-again.C:
		w.logFault(p.name, "is restarted", restart)
	case <-dark.C:
		w.logFault(p.name, "loses power", blackout)
		p.die()
	case <-w.over:
		return true
	}
	return false
}

// at fires at that time of the schedule, or never if that is past.
func (w *world) at(age time.Duration) *time.Timer {
	if age <= w.age() {
		age = 1000 * time.Hour
	}
	return time.NewTimer(age - w.age())
}

// sleep waits, and tells whether the schedule goes on.
func (w *world) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.over:
		return false
	}
}

// logFault adds a fault that is none of a call.
func (w *world) logFault(who, does string, f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw(f.String())
	w.trace.add(w.age(), who, does, "", f.String())
}

// random depends on the time, and not on which goroutine draws first.
func (p *process) random(n int64) int64 {
	return p.w.plan.hash("random").text(p.name).number(int64(p.w.age())).number(n).dice().Int64N(n)
}

// report takes errors that no caller waits for.
func (p *process) report(_ context.Context, id order.ID, err error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.life.Err() == nil && id != "" {
		p.w.saw("reported")
		p.w.checkPrivacy(p.w.name(id), err.Error())
	}
}
