package admission

import (
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
		for name, begin := range map[string]func(*shop){
			"from the start":                   func(*shop) {},
			"after normal times":               func(s *shop) { s.flow(0.7*capacity, 20*time.Second) },
			"while the collector pauses often": func(s *shop) { s.pause = 200 * time.Millisecond },
		} {
			t.Run(fmt.Sprintf("of %.0f times its capacity %s", times, name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := open(Options{})
					s.deadline = deadline
					begin(s)
					from, to := s.flow(times*capacity, 30*time.Second)
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
						t.Errorf("%d cards were charged, and their customers had given up", sum.late)
					}
					s.wantRecovered(t, settled, end, deadline)
				})
			})
		}
	}
}

func TestARefusalIsImmediate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const deadline = 5 * time.Second
		s := open(Options{})
		s.deadline = deadline
		from, to := s.flow(500, 20*time.Second)
		s.orders.Wait()
		if sum := s.between(from, to, deadline); sum.refused == 0 || sum.refusal > 10*time.Millisecond {
			t.Errorf("%d of %d are refused, one in a hundred after %v; want some, within 10 ms", sum.refused, sum.came, sum.refusal)
		}
	})
}

// A read that times out at the target must not look like one that was served. The called service works for those who left.
func TestInABrownOutTheShopWorksAtWhatCapacityIsLeft(t *testing.T) {
	t.Parallel()
	const deadline = 5 * time.Second
	for name, backend := range map[string]func(*shop) *backend{
		"of the cart":    func(s *shop) *backend { return &s.cart },
		"of the payment": func(s *shop) *backend { return &s.payment },
	} {
		for _, busy := range []float64{0.7, 2, 5} {
			t.Run(fmt.Sprintf("%s, at %.1f times the usual capacity", name, busy), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := open(Options{})
					s.deadline = deadline
					s.flow(50, 20*time.Second)
					backend(s).set(10)
					from, to := s.flow(busy*50, time.Minute)
					backend(s).set(100)
					_, settled := s.flow(50, 5*time.Second)
					_, end := s.flow(50, 20*time.Second)
					s.orders.Wait()

					sum := s.between(from, to, deadline)
					t.Logf("%+v", sum)
					if sum.goodput < 0.9*10 {
						t.Errorf("%.1f orders a second are finished in time, of a capacity of 10", sum.goodput)
					}
					if sum.late > 0 {
						t.Errorf("%d cards were charged, and their customers had given up", sum.late)
					}
					s.wantRecovered(t, settled, end, deadline)
				})
			})
		}
	}
}

func TestAfterAStandstillTheShopIsSoonOpenAgain(t *testing.T) {
	t.Parallel()
	for name, backend := range map[string]func(*shop) *backend{
		"of the cart":    func(s *shop) *backend { return &s.cart },
		"of the payment": func(s *shop) *backend { return &s.payment },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(Options{})
				s.flow(70, 20*time.Second)
				backend(s).set(0.5)
				s.flow(70, 20*time.Second)
				if stats := s.Stats(); stats.Limit > 4 {
					t.Errorf("at the standstill %d may be under way, want the floor", stats.Limit)
				}
				n := backend(s)
				n.set(100)
				n.mu.Lock()
				n.free = time.Now() // what it has queued is lost
				n.mu.Unlock()
				s.flow(70, 5*time.Second)
				from, to := s.flow(70, 20*time.Second)
				s.orders.Wait()
				s.wantRecovered(t, from, to, 2*time.Second)
			})
		})
	}
}

func TestSlowOrdersAmongPromptOnesAreNoQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.deadline = 30 * time.Second
		s.parcels(0.25, 10*time.Second)
		from, to := s.flow(50, 2*time.Minute)
		s.orders.Wait()
		if sum := s.between(from, to, time.Minute); sum.refused > 0 {
			t.Errorf("of %d orders %d were refused by a shop that had nothing to do", sum.came, sum.refused)
		}
	})
}

func TestQuickOrdersDoNotHideAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.deadline = 5 * time.Second
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
				s.orders.Go(func() {
					if done, err := s.Admit(within(t, s.deadline)); err == nil {
						time.Sleep(time.Millisecond)
						done(&order.Error{Kind: order.ErrEmptyCart})
					}
				})
			}
		})
		from, to := s.flow(400, time.Minute)
		close(closing)
		s.orders.Wait()
		sum := s.between(from, to, s.deadline)
		t.Logf("%+v", sum)
		if sum.goodput < 95 || sum.late > 0 {
			t.Errorf("%.1f orders a second are finished in time, of a capacity of 100; %d are late", sum.goodput, sum.late)
		}
	})
}

func TestAColdShopServesABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		for range 256 {
			s.orders.Go(func() {
				if err := s.come(); err != nil {
					t.Errorf("a customer of a crowd that can be served within 3 s: %v", err)
				}
			})
		}
		s.orders.Wait()
	})
}

func TestABadHourIsForgotten(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]func(*shop){
		"when few come":    func(s *shop) { s.flow(10, 2*time.Minute) },
		"when nobody does": func(*shop) { time.Sleep(2 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(Options{})
				s.payment.set(0.5)
				s.flow(70, 20*time.Second)
				s.orders.Wait()
				if stats := s.Stats(); stats.Limit > 4 {
					t.Fatalf("in the bad hour %d may be under way", stats.Limit)
				}
				s.payment.set(100)
				pause(s)
				if stats := s.Stats(); stats.Limit < 15 {
					t.Errorf("much later %d may be under way, want about 16 as at the start", stats.Limit)
				}
				for range 200 {
					s.orders.Go(func() {
						if err := s.come(); err != nil {
							t.Errorf("a customer of a crowd: %v", err)
						}
					})
				}
				s.orders.Wait()
			})
		})
	}
}

func TestTheLimitGrowsWithAShopThatIsFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.cart.set(10_000)
		s.payment.set(2000)
		s.flow(1000, 2*time.Second)
		from, to := s.flow(1000, 10*time.Second)
		s.orders.Wait()
		s.wantRecovered(t, from, to, time.Second)
	})
}

func TestALimitThatIsNotInUseShrinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.cart.set(10_000)
		s.payment.set(2000)
		s.flow(1000, 5*time.Second)
		high := s.Stats().Limit
		s.flow(50, 20*time.Second)
		if low := s.Stats().Limit; high < 100 || low > 40 {
			t.Errorf("%d may be under way in the rush, and %d when only some ten are; want over 100, and up to 40", high, low)
		}
		s.orders.Wait()
	})
}

func TestACallerThatRetriesInTimeIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const crowd = 2000 // 20 s of work
		s := open(Options{})
		s.deadline = 5 * time.Second
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
