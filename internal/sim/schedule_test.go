package sim

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/order"
)

// outcome is the result of a schedule.
type outcome struct {
	hash  hash           // of its trace
	wrong []string       // violations
	seen  map[string]int // what happened, how often
}

// run plays one schedule, in a bubble of its own.
func run(t *testing.T, p plan) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(p, newRecords())
		w.play()
		o = outcome{w.trace.hash(), w.wrong, w.seen}
	})
	return o
}

// play runs replicas, customers and operators, and checks the outcome.
func (w *world) play() {
	var customers, others sync.WaitGroup
	for r := range w.replicas {
		others.Go(func() { w.supervise(r) })
	}
	for n := range w.plan.users {
		customers.Go(newCustomer(w, n+1).run)
	}
	others.Go(newOperator(w, "mary").run)
	others.Go(newOperator(w, "john").run)
	customers.Wait()
	w.settle()
	close(w.over)
	others.Wait()
	w.dead.Wait()
	w.check()
}

// recovery is how long after the last fault every order must be final, or wait for an operator: a lease, the longest pause
// between two tries, and time to do it.
const recovery = 2 * time.Minute

// settle waits until the faults have ended and all orders are final.
func (w *world) settle() {
	w.sleep(w.plan.heal - w.age())
	w.until("settled", recovery, func(o *order.Order) bool { return o.State.Final() || w.waitsForOperator(o.State) })
	w.sleep(time.Until(w.lastEffect) + time.Millisecond)
	w.until("final", 20*time.Minute, func(o *order.Order) bool { return o.State.Final() })
}

// until waits until all orders are as done says, or patience is over.
func (w *world) until(what string, patience time.Duration, done func(*order.Order) bool) {
	for end := time.Now().Add(patience); ; {
		var left []string
		w.mu.Lock()
		for _, o := range w.orders() {
			if !done(o) {
				left = append(left, fmt.Sprintf("%s (%s)", w.name(o.ID), o.State))
			}
		}
		if len(left) > 0 && time.Now().After(end) {
			w.violated("I8", fmt.Sprint(left), "not %s %v after the last fault", what, patience)
			left = nil
		}
		w.mu.Unlock()
		if len(left) == 0 || !w.sleep(time.Second) {
			return
		}
	}
}
