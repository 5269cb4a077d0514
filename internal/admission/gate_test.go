package admission

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/order"
)

// calm is a process whose goroutines never wait for a processor.
func calm() int { return 0 }

// load is how busy a process is, as a test says.
type load struct {
	mu       sync.Mutex
	runnable int
}

func (l *load) get() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runnable
}

func (l *load) set(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runnable = n
}

// inside is how many orders are past the gate.
func inside(l *Limiter) int {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	return l.gate.inside
}

func TestOrdersThatWaitForANeighbourAreAllInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const orders = 200
		l := New(Options{Runnable: calm})
		began := time.Now()
		var all sync.WaitGroup
		for range orders {
			all.Go(func() {
				release, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				time.Sleep(time.Second)
			})
		}
		time.Sleep(200 * time.Millisecond)
		if got := inside(l); got != orders {
			t.Errorf("after 0.2 s %d orders are inside, want all %d: nobody competes for a processor", got, orders)
		}
		all.Wait()
		if took := time.Since(began); took > 1200*time.Millisecond {
			t.Errorf("orders of 1 s took %v", took)
		}
	})
}

func TestOrdersWaitAtTheDoorWhileTheProcessorsAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &load{runnable: 1000}
		l := New(Options{Runnable: busy.get})
		var served []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i)) // they come in this order
				release, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				served = append(served, i)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				release()
			})
		}
		time.Sleep(5 * time.Millisecond)
		if got := inside(l); got != gateFloor {
			t.Errorf("%d orders are inside, want %d while the processors are busy", got, gateFloor)
		}
		all.Wait()
		for i, order := range served {
			if i != order {
				t.Fatalf("order %d was served as number %d, want first come, first served", order, i)
			}
		}
	})
}

func TestTheGateOpensWhenTheProcessorsAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &load{runnable: 1000}
		l := New(Options{Runnable: busy.get})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				release, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Minute)
				release()
			})
		}
		time.Sleep(time.Second)
		busy.set(0)
		time.Sleep(100 * time.Millisecond)
		if got := inside(l); got != 100 {
			t.Errorf("%d orders are inside, want 100: nobody comes or goes, and still those at the door are seen to", got)
		}
		all.Wait()
	})
}

func TestWhoGivesUpAtTheDoorLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &load{runnable: 1000}
		l := New(Options{Runnable: busy.get})
		var releases []func()
		for range gateFloor {
			release, err := l.Admit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Admit(ctx); !errors.Is(err, order.ErrOverloaded) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the door until the deadline: %v, want overloaded", err)
		}
		if l.done != 0 {
			t.Errorf("who gave up counts as %d orders finished", l.done)
		}
		for _, release := range releases {
			release()
			release()
		}
		if got, waiting := inside(l), l.gate.queue.Len(); got != 0 || waiting != 0 || l.Stats().UnderWay != 0 {
			t.Errorf("%d inside, %d at the door, %d under way; want none", got, waiting, l.Stats().UnderWay)
		}
	})
}

func TestTheRuntimeTellsHowManyGoroutinesWait(t *testing.T) {
	var stop atomic.Bool
	var all sync.WaitGroup
	defer all.Wait()
	defer stop.Store(true)
	for range 50 + runtime.GOMAXPROCS(0) { // so 50 of them wait
		all.Go(func() {
			for !stop.Load() {
				runtime.Gosched()
			}
		})
	}
	for late := time.Now().Add(time.Minute); waitingForProcessor() < 40; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("the runtime does not see goroutines that wait for a processor")
		}
	}
}

// calmly is o in a calm process.
func calmly(o Options) Options {
	o.Runnable = calm
	return o
}
