package console

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// sharedFor is how long an answer may be given again, from when it came. It is shorter than an open page waits, or what the
// page shows would be fresh every other time only.
const sharedFor = freshEvery * 9 / 10

// errNoAnswer is what others are told who wait for an answer that never comes, because asking has panicked.
var errNoAnswer = errors.New("the question was not answered")

// shared are answers to questions that many ask. The zero value has none.
type shared[T any] struct {
	mu      sync.Mutex
	answers map[string]*answer[T] // no older than sharedFor, or under way
}

type answer[T any] struct {
	came  time.Time     // zero as long as it is under way
	done  chan struct{} // closed when the rest is there
	value T
	err   error
}

// get is the answer to the question, which is asked unless somebody else does, or just did.
func (s *shared[T]) get(ctx context.Context, question string, ask func(context.Context) (T, error)) (T, error) {
	a, first := s.find(question)
	if first {
		// Whoever else waits for it does not go when this one does; the services have their own time limits.
		func() {
			defer s.came(a)
			a.value, a.err = ask(context.WithoutCancel(ctx))
		}()
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (s *shared[T]) find(question string) (_ *answer[T], first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.answers, func(_ string, a *answer[T]) bool { return !a.came.IsZero() && now.Sub(a.came) >= sharedFor })
	if a := s.answers[question]; a != nil {
		return a, false
	}
	if s.answers == nil {
		s.answers = make(map[string]*answer[T])
	}
	a := &answer[T]{done: make(chan struct{}), err: errNoAnswer}
	s.answers[question] = a
	return a, true
}

// came tells those who wait for the answer, whether it came or asking has panicked.
func (s *shared[T]) came(a *answer[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.came = time.Now()
	close(a.done)
}
