package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/order"
)

func TestInAFloodTheShopWorksAtItsCapacity(t *testing.T) {
	t.Parallel()
	const (
		capacity = 100.
		deadline = 5 * time.Second
	)
	for _, times := range []float64{2, 5, 10} {
		t.Run(fmt.Sprintf("of %.0f times its capacity", times), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(Options{})
				s.flow(0.7*capacity, 20*time.Second)
				from, to := s.flow(times*capacity, time.Minute)
				_, settled := s.flow(0.7*capacity, 3*time.Second)
				_, end := s.flow(0.7*capacity, 20*time.Second)
				s.orders.Wait()

				sum := s.between(from, to, deadline)
				t.Logf("%+v", sum)
				if sum.goodput < 0.95*capacity {
					t.Errorf("%.1f orders a second are finished in time, of a capacity of %.0f", sum.goodput, capacity)
				}
				if limit := deadline * 65 / 100; sum.p99 > limit {
					t.Errorf("one order in a hundred takes longer than %v, wanted %v", sum.p99, limit)
				}
				if sum.late > 0 {
					t.Errorf("%d orders were finished after their customers had given up", sum.late)
				}
				if sum := s.between(from.Add(20*time.Second), to, deadline); sum.p99 > 2400*time.Millisecond {
					t.Errorf("once settled one order in a hundred takes longer than %v, the target is 2 s", sum.p99)
				}
				s.wantRecovered(t, settled, end, deadline)
			})
		})
	}
}

func TestInABrownOutTheShopWorksAtWhatCapacityIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const deadline = 10 * time.Second
		s := open(Options{})
		s.flow(70, 20*time.Second)
		s.set(500*time.Millisecond, 0, 0)
		from, to := s.flow(70, time.Minute)
		s.set(100*time.Millisecond, 0, 0)
		_, settled := s.flow(70, 3*time.Second)
		_, end := s.flow(70, 20*time.Second)
		s.orders.Wait()

		sum := s.between(from, to, deadline)
		t.Logf("%+v", sum)
		if sum.goodput < 0.9*20 {
			t.Errorf("%.1f orders a second are finished in time, of a capacity of 20", sum.goodput)
		}
		if sum.late > 0 {
			t.Errorf("%d orders were finished after their customers had given up", sum.late)
		}
		s.wantRecovered(t, settled, end, deadline)
	})
}

func TestAfterAStandstillTheShopIsSoonOpenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.flow(70, 20*time.Second)
		s.set(30*time.Second, 0, 0)
		s.flow(70, 20*time.Second)
		if stats := s.Stats(); stats.Limit != 8 {
			t.Errorf("at the standstill %d may be under way, want the floor", stats.Limit)
		}
		s.set(100*time.Millisecond, 0, 0)
		s.flow(70, 40*time.Second) // the workers come back within 30 s, and find their queue
		from, to := s.flow(70, 20*time.Second)
		s.orders.Wait()
		s.wantRecovered(t, from, to, time.Second)
	})
}

func TestSlowOrdersAmongPromptOnesAreNoQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.set(100*time.Millisecond, 0.25, 10*time.Second)
		from, to := s.flow(50, 5*time.Minute)
		s.orders.Wait()
		if sum := s.between(from, to, time.Minute); sum.refused > 0 {
			t.Errorf("of %d orders %d were refused by a shop that had nothing to do", sum.came, sum.refused)
		}
	})
}

func TestALowLimitGrowsAmongSlowOrdersToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{Start: 8})
		s.set(100*time.Millisecond, 0.25, 10*time.Second)
		s.flow(30, 5*time.Minute)
		from, to := s.flow(30, time.Minute)
		s.orders.Wait()
		s.wantRecovered(t, from, to, time.Minute)
	})
}

func TestQuickOrdersDoNotHideAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		closing := make(chan struct{})
		s.orders.Go(func() {
			every := time.NewTicker(5 * time.Millisecond) // a third of all
			defer every.Stop()
			for {
				select {
				case <-closing:
					return
				case <-every.C:
				}
				if release, err := s.Admit(context.Background()); err == nil {
					time.AfterFunc(time.Millisecond, release)
				}
			}
		})
		from, to := s.flow(400, time.Minute)
		close(closing)
		s.orders.Wait()
		sum := s.between(from, to, 5*time.Second)
		t.Logf("%+v", sum)
		if sum.goodput < 95 || sum.late > 0 {
			t.Errorf("%.1f orders a second are finished in time, of a capacity of 100; %d are late", sum.goodput, sum.late)
		}
	})
}

func TestAColdShopLetsACrowdIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		for i := range 256 {
			if err := s.come(); err != nil {
				t.Fatalf("customer %d of a crowd: %v", i+1, err)
			}
		}
		if err := s.come(); !errors.Is(err, order.ErrOverloaded) {
			t.Errorf("one more than a shop starts with: %v, want ErrOverloaded", err)
		}
		s.orders.Wait()
	})
}

func TestAnOldLimitIsForgotten(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]func(*shop){
		"when few come":    func(s *shop) { s.flow(10, 3*time.Minute) },
		"when nobody does": func(*shop) { time.Sleep(3 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(Options{})
				s.set(time.Second, 0, 0)
				s.flow(70, 20*time.Second)
				s.orders.Wait()
				if stats := s.Stats(); stats.Limit > 30 {
					t.Fatalf("in the bad hour %d may be under way", stats.Limit)
				}
				s.set(100*time.Millisecond, 0, 0)
				s.flow(10, 10*time.Second)
				pause(s)
				if stats := s.Stats(); stats.Limit < 200 || stats.Limit > 256 {
					t.Errorf("much later %d may be under way, want about 256 as at the start", stats.Limit)
				}
				for i := range 200 {
					if err := s.come(); err != nil {
						t.Fatalf("customer %d of a crowd: %v", i+1, err)
					}
				}
				s.orders.Wait()
			})
		})
	}
}

func TestTheLimitGrowsWithAShopThatIsFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{Start: 10})
		s.workers = make(chan struct{}, 1000)
		s.flow(1000, 5*time.Second)
		from, to := s.flow(1000, 10*time.Second)
		s.orders.Wait()
		s.wantRecovered(t, from, to, time.Second)
	})
}

func TestWhoComesBackWhenToldToIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const crowd = 2000 // 20 s of work
		s := open(Options{})
		began := time.Now()
		var customers sync.WaitGroup
		var mu sync.Mutex
		tries := 0
		for range crowd {
			customers.Go(func() {
				for {
					err := s.come()
					mu.Lock()
					tries++
					mu.Unlock()
					var refusal *order.Error
					if !errors.As(err, &refusal) {
						return
					}
					time.Sleep(refusal.RetryAfter)
				}
			})
		}
		customers.Wait()
		s.orders.Wait()
		took := time.Since(began)
		t.Logf("%d customers, %d tries, %v", crowd, tries, took)
		if tries > 7*crowd/2 {
			t.Errorf("%d customers had to try %d times", crowd, tries)
		}
		if took > 60*time.Second {
			t.Errorf("20 s of work took %v", took)
		}
	})
}
