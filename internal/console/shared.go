package console

import (
	"context"
	"maps"
	"sync"
	"time"
)

// sharedFor is how long an answer may be given again: as often, at most, open pages that show the same have it asked for.
const sharedFor = time.Second

// shared are answers to questions that many ask. The zero value has none.
type shared[T any] struct {
	mu      sync.Mutex
	answers map[string]*answer[T] // no older than sharedFor, or under way
}

type answer[T any] struct {
	asked time.Time
	done  chan struct{} // closed when the rest is there
	value T
	err   error
}

// get is the answer to the question, which is asked unless somebody else does, or just did.
func (s *shared[T]) get(ctx context.Context, question string, ask func(context.Context) (T, error)) (T, error) {
	a, first := s.find(question)
	if first {
		// Whoever else waits for it does not go when this one does; the services have their own time limits.
		a.value, a.err = ask(context.WithoutCancel(ctx))
		close(a.done)
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
	if a := s.answers[question]; a != nil && now.Sub(a.asked) < sharedFor {
		return a, false
	}
	maps.DeleteFunc(s.answers, func(_ string, a *answer[T]) bool { return now.Sub(a.asked) >= sharedFor })
	if s.answers == nil {
		s.answers = make(map[string]*answer[T])
	}
	a := &answer[T]{asked: now, done: make(chan struct{})}
	s.answers[question] = a
	return a, true
}
