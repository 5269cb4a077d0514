package admission

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/fair"
	"checkout/internal/order"
)

var _ order.Admission = struct {
	*Limiter
	*Customers
}{}

// enter lets so many orders in.
func enter(t *testing.T, l *Limiter, orders int) (all []func(error)) {
	t.Helper()
	for i := range orders {
		done, err := l.Admit(within(t, time.Minute))
		if err != nil {
			t.Fatalf("order %d of %d: %v", i+1, orders, err)
		}
		all = append(all, done)
	}
	return all
}

func leave(all []func(error)) {
	for _, done := range all {
		done(nil)
	}
}

func TestASlowShopThatIsIdleAdmitsOrders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		for range 50 {
			all := enter(t, l, 4)
			time.Sleep(20 * time.Second)
			leave(all)
		}
		if stats := l.Stats(); stats.Limit != 4 {
			t.Errorf("a shop that is always slow may have %d under way, want the floor", stats.Limit)
		}
	})
}

func TestTheLimitStaysBelowTheCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{Ceiling: 50})
		s.cart.set(10_000)
		s.payment.set(5000)
		s.flow(2000, 2*time.Second)
		if stats := s.Stats(); stats.Limit != 50 || stats.UnderWay > 50 {
			t.Errorf("%d of %d are under way, want at most 50", stats.UnderWay, stats.Limit)
		}
		s.orders.Wait()
	})
}

// What fails or takes long is no reason to let more in, however much of it there is.
func TestOnlyQuickSuccessesLetMoreOrdersIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes   time.Duration
		outcome error
		grows   bool
	}{
		"orders that are placed at once":         {100 * time.Millisecond, nil, true},
		"cards that are declined":                {100 * time.Millisecond, &order.Error{Kind: order.ErrDeclined}, true},
		"orders that take long":                  {1500 * time.Millisecond, nil, false},
		"reads that time out":                    {500 * time.Millisecond, &order.Error{Kind: order.ErrUnavailable}, false},
		"charges without an answer":              {500 * time.Millisecond, &order.Error{Kind: order.ErrInDoubt}, false},
		"customers who leave":                    {100 * time.Millisecond, context.Canceled, false},
		"orders that another one stood in for":   {100 * time.Millisecond, &order.Error{Kind: order.ErrBusy}, false},
		"failures that nobody has thought of":    {100 * time.Millisecond, errors.New("?"), false},
		"carts that turn out to be empty":        {100 * time.Millisecond, &order.Error{Kind: order.ErrEmptyCart}, true},
		"parcels that the carrier will not have": {100 * time.Millisecond, &order.Error{Kind: order.ErrUnshippable}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := New(Options{Start: 10, Floor: 10})
				for range 10 {
					all := enter(t, l, 10)
					time.Sleep(test.takes)
					for _, done := range all {
						done(test.outcome)
					}
				}
				if limit := l.Stats().Limit; (limit > 10) != test.grows {
					t.Errorf("%d may be under way after 100 of them, and 10 at the start", limit)
				}
			})
		})
	}
}

// The caller's time, and not the queue, decides who waits.
func TestWhoCannotBeServedInTimeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Start: 10})
		for range 30 { // orders take a second
			all := enter(t, l, 10)
			time.Sleep(time.Second)
			leave(all)
		}
		underWay := enter(t, l, 10)
		began := time.Now()
		if _, err := l.Admit(within(t, time.Second)); !errors.Is(err, order.ErrOverloaded) {
			t.Errorf("an order of a second with a second left: %v, want overloaded", err)
		}
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("refused after %v, want at once", took)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := l.Admit(within(t, 10*time.Second)); err != nil {
				t.Errorf("an order of a second with ten seconds left: %v", err)
			}
		})
		time.Sleep(500 * time.Millisecond)
		leave(underWay)
		all.Wait()
	})
}

func TestAnOrderWhoseTurnComesTooLateIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{})
		s.flow(70, 10*time.Second)
		s.payment.set(2)
		from, to := s.flow(70, 10*time.Second)
		s.orders.Wait()
		if sum := s.between(from, to, s.deadline); sum.refusal > s.deadline*3/5 {
			t.Errorf("after a collapse of the payment service to a fiftieth, one in a hundred is refused after %v; want it within 0.6 of %v", sum.refusal, s.deadline)
		}
	})
}

func TestARefusalSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Ceiling: 1, Queue: 1})
		all := enter(t, l, 1)
		go func() { _, _ = l.Admit(within(t, time.Minute)) }()
		synctest.Wait() // the queue is full, too
		waits := map[time.Duration]bool{}
		for range 100 {
			_, err := l.Admit(context.Background())
			var refusal *order.Error
			if !errors.As(err, &refusal) || !errors.Is(err, order.ErrOverloaded) {
				t.Fatalf("refused with %v, want an ErrOverloaded", err)
			}
			if w := refusal.RetryAfter; w < 2*time.Second || w > 3*time.Second {
				t.Errorf("with nothing known, told to come back after %v; want 2 to 3 s", w)
			}
			waits[refusal.RetryAfter] = true
		}
		if len(waits) < 90 {
			t.Errorf("100 customers were told only %d different times", len(waits))
		}
		leave(all)
		synctest.Wait()
		if stats, want := l.Stats(), (Stats{Limit: 1, UnderWay: 1, Refused: 100}); stats != want {
			t.Errorf("stats are %+v, want %+v", stats, want)
		}
	})
}

func TestTheTimeToComeBackFollowsTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const crowd = 50
		l := New(Options{Start: crowd, Ceiling: crowd})
		for round := range 3 { // what happened in the last round is forgotten in this one
			first := enter(t, l, crowd)
			time.Sleep(time.Second)
			leave(first)
			for turned := range 10 * crowd {
				want := 2 * time.Second * time.Duration(turned+1) / crowd // a crowd was finished in the last 2 s
				want = min(max(want, 100*time.Millisecond), 10*time.Second)
				if got := l.Reject(); got < want || got > want*3/2 {
					t.Fatalf("round %d: number %d turned away is told %v, want %v and up to half more", round, turned+1, got, want)
				}
			}
			time.Sleep(5 * time.Second)
		}
	})
}

func TestDoneCountsOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second, 2 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := New(Options{})
			all := enter(t, l, 2)
			time.Sleep(after)
			all[0](nil)
			all[0](nil)
			if n := l.Stats().UnderWay; n != 1 {
				t.Errorf("after %v: %d under way when one of two was released twice, want 1", after, n)
			}
			all[1](nil)
			if n := l.Stats().UnderWay; n != 0 {
				t.Errorf("after %v: %d under way when both were released, want none", after, n)
			}
			for i, step := range l.steps {
				if step.open != 0 {
					t.Errorf("after %v: %d orders of step %d are open when all are finished", after, step.open, i)
				}
			}
		})
	}
}

func TestOptionsAreBroughtIntoOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options Options
		want    int
	}{
		{Options{}, 16},
		{Options{Target: -1, Floor: -1, Start: -1, Ceiling: -1}, 16},
		{Options{Target: 1}, 16},
		{Options{Start: 3}, 4},
		{Options{Start: 7, Floor: 3}, 7},
		{Options{Start: 1000}, 512},
		{Options{Start: 1000, Ceiling: 2000}, 1000},
		{Options{Ceiling: 2}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := New(test.options).Stats().Limit; got != test.want {
				t.Errorf("%+v: %d orders may be under way, want %d", test.options, got, test.want)
			}
		})
	}
}

// In real time and from many goroutines, for the race detector.
func TestConcurrentOrdersAreCountedRight(t *testing.T) {
	t.Parallel()
	const callers, each, ceiling = 16, 500, 6
	l := New(Options{Ceiling: ceiling, Target: time.Millisecond})
	var mu sync.Mutex
	var inside, refused int
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				done, err := l.Admit(context.Background())
				mu.Lock()
				if err != nil {
					refused++
					mu.Unlock()
					continue
				}
				if inside++; inside > ceiling {
					t.Errorf("%d are under way, the ceiling is %d", inside, ceiling)
				}
				mu.Unlock()
				runtime.Gosched() // so that others come meanwhile
				mu.Lock()
				inside--
				mu.Unlock()
				done(nil)
			}
		})
	}
	group.Wait()
	if stats := l.Stats(); stats.UnderWay != 0 || stats.Waiting != 0 || stats.Refused != int64(refused) {
		t.Errorf("in the end %+v; want none under way, and %d refused", stats, refused)
	}
}

func BenchmarkAdmitAndDone(b *testing.B) {
	l := New(Options{})
	b.ReportAllocs()
	for b.Loop() {
		done, err := l.Admit(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		done(nil)
	}
}

func BenchmarkRefusal(b *testing.B) {
	l := New(Options{Ceiling: 1, Queue: 1})
	if _, err := l.Admit(context.Background()); err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = l.Admit(context.Background()) }()
	for l.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Admit(context.Background()); err == nil {
			b.Fatal("let in beyond the ceiling")
		}
	}
}

func TestWhoRanksLowerGoesFirstAndTheLastGivesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Start: 1, Ceiling: 1})
		underWay := enter(t, l, 1)
		var all sync.WaitGroup
		var served, refused []float64
		for _, rank := range []float64{3, 1, 9, 2} {
			all.Go(func() {
				done, err := l.Admit(fair.WithRank(within(t, time.Minute), rank))
				if err != nil {
					refused = append(refused, rank)
					return
				}
				served = append(served, rank)
				done(nil)
			})
			synctest.Wait()
		}
		if l.GiveWay(8.5) {
			t.Error("the last gives way to one that ranks hardly lower")
		}
		if !l.GiveWay(5) {
			t.Error("the last does not give way")
		}
		synctest.Wait()
		leave(underWay)
		all.Wait()
		if !slices.Equal(served, []float64{1, 2, 3}) || !slices.Equal(refused, []float64{9}) {
			t.Errorf("served %v, refused %v", served, refused)
		}
		if l.GiveWay(0) {
			t.Error("nobody waits, and gives way")
		}
	})
}
