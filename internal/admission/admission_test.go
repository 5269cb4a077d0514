package admission

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/order"
)

var _ order.Admission = (*Limiter)(nil)

// A standstill leaves nothing to measure a rate by: the floor alone finds out that it is over.

// Some orders end at once, such as those of empty carts. They say nothing of the queue that the others stand in.

func TestASlowShopThatIsIdleLetsPeopleIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Runnable: calm})
		for hour := range 50 {
			var releases []func()
			for i := range 8 {
				release, err := l.Admit(context.Background())
				if err != nil {
					t.Fatalf("visit %d, %d under way: %v", hour, i, err)
				}
				releases = append(releases, release)
			}
			time.Sleep(20 * time.Second)
			for _, release := range releases {
				release()
			}
		}
		if stats := l.Stats(); stats.Limit != 8 {
			t.Errorf("a shop that is always slow may have %d under way, want the floor", stats.Limit)
		}
	})
}

// What was learnt in a bad hour must not be held against the crowd of a good one.

func TestTheLimitStaysBelowTheCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(Options{Ceiling: 50})
		s.set(10*time.Millisecond, 0, 0)
		s.flow(5000, 2*time.Second)
		if stats := s.Stats(); stats.Limit != 50 || stats.UnderWay > 50 {
			t.Errorf("%d of %d are under way, want at most 50", stats.UnderWay, stats.Limit)
		}
		s.orders.Wait()
	})
}

func TestARefusalSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Runnable: calm, Ceiling: 1})
		release, err := l.Admit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
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
		release()
		if release, err = l.Admit(context.Background()); err != nil {
			t.Errorf("after a release: %v", err)
		}
		release()
		if stats, want := l.Stats(), (Stats{Limit: 1, Refused: 100}); stats != want {
			t.Errorf("stats are %+v, want %+v", stats, want)
		}
	})
}

func TestTheTimeToComeBackFollowsTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const crowd = 50
		l := New(Options{Runnable: calm, Ceiling: crowd})
		enter := func() (releases []func()) {
			for range crowd {
				release, err := l.Admit(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				releases = append(releases, release)
			}
			return releases
		}
		leave := func(releases []func()) {
			for _, release := range releases {
				release()
			}
		}
		for round := range 3 { // what happened in the last round is forgotten in this one
			first := enter()
			time.Sleep(time.Second)
			leave(first)
			second := enter()
			for turned := range 10 * crowd {
				_, err := l.Admit(context.Background())
				var refusal *order.Error
				if !errors.As(err, &refusal) {
					t.Fatalf("number %d beyond the ceiling: %v", turned+1, err)
				}
				want := 2 * time.Second * time.Duration(turned+1) / crowd // a crowd was finished in the last 2 s
				want = min(max(want, 100*time.Millisecond), 10*time.Second)
				if got := refusal.RetryAfter; got < want || got > want*3/2 {
					t.Fatalf("round %d: number %d turned away is told %v, want %v and up to half more", round, turned+1, got, want)
				}
			}
			leave(second)
			time.Sleep(5 * time.Second)
		}
	})
}

func TestReleaseCountsOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second, 2 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := New(Options{Runnable: calm})
			first, err := l.Admit(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			second, err := l.Admit(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			first()
			first()
			if n := l.Stats().UnderWay; n != 1 {
				t.Errorf("after %v: %d under way when one of two was released twice, want 1", after, n)
			}
			second()
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
		{Options{}, 256},
		{Options{Target: -1, Floor: -1, Start: -1, Ceiling: -1}, 256},
		{Options{Target: 1}, 256},
		{Options{Start: 7}, 8},
		{Options{Start: 7, Floor: 3}, 7},
		{Options{Start: 1000}, 512},
		{Options{Start: 1000, Ceiling: 2000}, 1000},
		{Options{Ceiling: 4}, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := New(test.options)
			for i := range test.want {
				if _, err := l.admit(); err != nil {
					t.Fatalf("%+v: order %d: %v", test.options, i+1, err)
				}
			}
			if _, err := l.Admit(context.Background()); !errors.Is(err, order.ErrOverloaded) {
				t.Errorf("%+v: order %d: %v, want ErrOverloaded", test.options, test.want+1, err)
			}
		})
	}
}

// In real time and from many goroutines, for the race detector.

func TestConcurrentOrdersAreCountedRight(t *testing.T) {
	t.Parallel()
	const callers, each, ceiling = 16, 500, 6
	l := New(Options{Runnable: calm, Ceiling: ceiling, Target: time.Millisecond})
	var mu sync.Mutex
	var inside, refused int
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				release, err := l.Admit(context.Background())
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
				release()
			}
		})
	}
	group.Wait()
	if stats := l.Stats(); stats.UnderWay != 0 || stats.Refused != int64(refused) {
		t.Errorf("in the end %d are under way and %d were refused, want 0 and %d", stats.UnderWay, stats.Refused, refused)
	}
}

func BenchmarkAdmitAndRelease(b *testing.B) {
	l := New(Options{Runnable: calm})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			release, err := l.Admit(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			release()
		}
	})
}

func BenchmarkRefusal(b *testing.B) {
	l := New(Options{Runnable: calm, Ceiling: 1})
	if _, err := l.Admit(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Admit(context.Background()); err == nil {
			b.Fatal("let in beyond the ceiling")
		}
	}
}
