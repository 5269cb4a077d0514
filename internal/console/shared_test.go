package console

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyWhoAskAreAnsweredTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		var mu sync.Mutex
		asked := 0
		ask := func(context.Context) (int, error) {
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			asked++
			return asked, nil
		}
		for range 5 {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := s.get(t.Context(), "a question", ask); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			time.Sleep(sharedFor)
		}
		if asked != 5 {
			t.Errorf("asked %d times by twenty in five rounds, want 5", asked)
		}
	})
}

func TestASlowAnswerIsWaitedForByAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		asked := 0
		ask := func(ctx context.Context) (int, error) { asked++; time.Sleep(3 * time.Second); return asked, ctx.Err() }
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if n, err := s.get(t.Context(), "a question", ask); n != 1 || err != nil {
					t.Errorf("got answer %d, %v; want the first", n, err)
				}
			})
			time.Sleep(600 * time.Millisecond)
		}
		all.Wait()
	})
}

func TestAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		for i := range 100 {
			_, _ = s.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) { return i, nil })
			time.Sleep(sharedFor)
		}
		if len(s.answers) > 1 {
			t.Errorf("%d answers are kept, want only the last", len(s.answers))
		}
	})
}

func TestWhoGoesDoesNotTakeTheAnswerAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[string]
		ask := func(ctx context.Context) (string, error) {
			time.Sleep(100 * time.Millisecond)
			return "an answer", ctx.Err()
		}
		impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var first sync.WaitGroup
		first.Go(func() { _, _ = s.get(impatient, "a question", ask) })
		synctest.Wait()
		if got, err := s.get(t.Context(), "a question", ask); got != "an answer" || err != nil {
			t.Errorf("the second is answered %q, %v", got, err)
		}
		first.Wait()
	})
}

func TestAnAnswerThatNeverComesIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		var all sync.WaitGroup
		all.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic went no further")
				}
			}()
			_, _ = s.get(t.Context(), "a question", func(context.Context) (int, error) { time.Sleep(time.Second); panic("asking") })
		})
		synctest.Wait()
		if n, err := s.get(t.Context(), "a question", nil); err == nil {
			t.Errorf("who waited is answered %d, want an error", n)
		}
		all.Wait()
	})
}

func TestAPageThatAsksAgainIsAnsweredAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		asked := 0
		tick := time.NewTicker(freshEvery)
		defer tick.Stop()
		for i := range 10 {
			got, _ := s.get(t.Context(), "a question", func(context.Context) (int, error) {
				asked++
				time.Sleep(50 * time.Millisecond)
				return asked, nil
			})
			if got != i+1 {
				t.Errorf("in second %d the page has answer %d, want a new one", i, got)
			}
			<-tick.C
		}
	})
}
