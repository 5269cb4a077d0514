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

// busyness is how busy a process is, as a test says.
type busyness struct{ runnable atomic.Int64 }

func (b *busyness) get() int { return int(b.runnable.Load()) }

// busy is a Limiter that would let everybody in, of a process that is that busy.
func busy(runnable int64) (*Limiter, *busyness) {
	b := new(busyness)
	b.runnable.Store(runnable)
	return New(Options{Start: 512, Runnable: b.get}), b
}

func TestOrdersThatWaitForAServiceAreAllInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const orders = 200
		l, _ := busy(0)
		began := time.Now()
		var all sync.WaitGroup
		for range orders {
			all.Go(func() {
				done, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				done(nil)
			})
		}
		time.Sleep(200 * time.Millisecond)
		if got := l.Stats().UnderWay; got != orders {
			t.Errorf("after 0.2 s %d orders are under way, want all %d: nobody competes for a processor", got, orders)
		}
		all.Wait()
		if took := time.Since(began); took > 1200*time.Millisecond {
			t.Errorf("orders of 1 s took %v", took)
		}
	})
}

func TestOrdersWaitForTheirTurnWhileTheProcessorsAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := busy(1000)
		var served []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i)) // they come in this order
				done, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				served = append(served, i)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				done(nil)
			})
		}
		time.Sleep(5 * time.Millisecond)
		if got := l.Stats().UnderWay; got != processorsFloor {
			t.Errorf("%d orders are under way, want %d while the processors are busy", got, processorsFloor)
		}
		all.Wait()
		for i, order := range served {
			if i != order {
				t.Fatalf("order %d was served as number %d, want first come, first served", order, i)
			}
		}
	})
}

func TestWhenTheProcessorsAreDoneMoreOrdersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, b := busy(1000)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				done, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Minute)
				done(nil)
			})
		}
		time.Sleep(50 * time.Millisecond)
		b.runnable.Store(0)
		time.Sleep(100 * time.Millisecond)
		if got := l.Stats().UnderWay; got != 100 {
			t.Errorf("%d orders are under way, want 100: no order comes or goes, and still those that wait are seen to", got)
		}
		all.Wait()
	})
}

func TestWhoGivesUpWaitingLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := busy(1000)
		all := enter(t, l, processorsFloor)
		if _, err := l.Admit(within(t, time.Second)); !errors.Is(err, order.ErrOverloaded) {
			t.Errorf("waiting until the deadline: %v, want overloaded", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := l.Admit(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting until the caller hangs up: %v", err)
		}
		leave(all)
		leave(all)
		if stats := l.Stats(); stats.UnderWay != 0 || stats.Waiting != 0 {
			t.Errorf("%d under way, %d waiting; want none", stats.UnderWay, stats.Waiting)
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
	waiting := WaitingForProcessor()
	for late := time.Now().Add(time.Minute); waiting() < 40; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("the runtime does not see goroutines that wait for a processor")
		}
	}
}
