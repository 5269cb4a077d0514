package storefront

import (
	"context"
	"maps"
	"sync"
	"time"
)

// shareTime is how long what one page shows is good for all others that show the same.
const shareTime = time.Second

// shared is what pages show that cost much to make, by their paths. The zero value holds nothing.
type shared struct {
	mu    sync.Mutex
	looks map[string]*sharedLook // begun no longer ago than shareTime
}

type sharedLook struct {
	begun time.Time
	made  chan struct{} // closed when the rest is there
	data  any
	err   error
}

// get is what the page of that path shows, which is made unless somebody else makes it, or just did.
func (s *shared) get(ctx context.Context, path string, look func(context.Context) (any, error)) (any, error) {
	one, mine := s.find(path)
	if mine {
		making, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime) // others wait for it, even when this one goes
		defer cancel()
		one.data, one.err = look(making)
		close(one.made)
	}
	select {
	case <-one.made:
		return one.data, one.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// find is the look at that path, and whether it is the caller's to make.
func (s *shared) find(path string) (_ *sharedLook, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.looks, func(_ string, one *sharedLook) bool { return now.Sub(one.begun) >= shareTime })
	if one := s.looks[path]; one != nil {
		return one, false
	}
	if s.looks == nil {
		s.looks = make(map[string]*sharedLook)
	}
	one := &sharedLook{begun: now, made: make(chan struct{})}
	s.looks[path] = one
	return one, true
}
