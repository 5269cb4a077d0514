package web

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const kept = 900 * time.Millisecond

func TestManyReadersShareOneAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Shared[int]
		asked, problem := 0, errors.New("an error is an answer, too")
		ask := func(context.Context) (int, error) { time.Sleep(100 * time.Millisecond); asked++; return asked, problem }
		for round := range 5 {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if n, err := s.Get(t.Context(), "a question", kept, ask); n != round+1 || !errors.Is(err, problem) {
						t.Errorf("round %d is answered %d, %v", round, n, err)
					}
				})
			}
			all.Wait()
			time.Sleep(kept)
		}
	})
}

func TestEveryQuestionHasItsOwnAnswerAndOldOnesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Shared[int]
		for i := range 100 {
			if n, _ := s.Get(t.Context(), fmt.Sprint(i), kept, func(context.Context) (int, error) { return i, nil }); n != i {
				t.Errorf("question %d is answered %d", i, n)
			}
			time.Sleep(kept)
		}
		if len(s.answers) > 1 {
			t.Errorf("%d answers are kept, want only the last", len(s.answers))
		}
	})
}

func TestAReaderThatLeavesDoesNotCancelTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Shared[string]
		ask := func(ctx context.Context) (string, error) {
			time.Sleep(100 * time.Millisecond)
			return "an answer", ctx.Err()
		}
		leaving, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var first sync.WaitGroup
		first.Go(func() { _, _ = s.Get(leaving, "a question", kept, ask) })
		synctest.Wait()
		if got, err := s.Get(t.Context(), "a question", kept, ask); got != "an answer" || err != nil {
			t.Errorf("the second is answered %q, %v", got, err)
		}
		first.Wait()
	})
}

func TestAPanicWhileAskingIsNotAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Shared[int]
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic went no further")
				}
			}()
			_, _ = s.Get(t.Context(), "a question", kept, func(context.Context) (int, error) { panic("asking") })
		}()
		if n, err := s.Get(t.Context(), "a question", kept, func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
			t.Errorf("asked again: %d, %v; want 7", n, err)
		}
	})
}
