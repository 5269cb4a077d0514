package web

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Shared answers many readers who ask the same question with one answer, which stays good for a time. The zero value has none.
type Shared[T any] struct {
	calls   singleflight.Group
	mu      sync.Mutex
	answers map[string]answer[T]
}

type answer[T any] struct {
	value T
	err   error
	until time.Time
}

// Get returns the answer to the question. It calls ask unless another caller is asking, or the last answer, an error included,
// is younger than keep. A caller that leaves does not cancel ask for the others, so ask needs a time limit of its own.
func (s *Shared[T]) Get(ctx context.Context, question string, keep time.Duration, ask func(context.Context) (T, error)) (T, error) {
	got, err, _ := s.calls.Do(question, func() (any, error) {
		if a, ok := s.find(question); ok {
			return a.value, a.err
		}
		value, err := ask(context.WithoutCancel(ctx))
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.answers == nil {
			s.answers = make(map[string]answer[T])
		}
		s.answers[question] = answer[T]{value, err, time.Now().Add(keep)}
		return value, err
	})
	value, _ := got.(T) // nil: T is an interface, or ask has not returned
	return value, err
}

// find returns an answer that is still good, and forgets those that are not.
func (s *Shared[T]) find(question string) (answer[T], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.answers, func(_ string, a answer[T]) bool { return !time.Now().Before(a.until) })
	a, ok := s.answers[question]
	return a, ok
}
