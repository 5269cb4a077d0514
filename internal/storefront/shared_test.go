package storefront

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPagesThatShowTheSameShareIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared
		made := map[string]*atomic.Int64{"/books": new(atomic.Int64), "/topic": new(atomic.Int64)}
		look := func(path string) func(context.Context) (any, error) {
			return func(context.Context) (any, error) {
				made[path].Add(1)
				time.Sleep(shareTime / 4)
				return path, nil
			}
		}
		var tabs sync.WaitGroup
		for _, path := range []string{"/books", "/books", "/books", "/topic"} {
			tabs.Go(func() {
				for start := time.Now(); time.Since(start) < 10*shareTime; time.Sleep(shareTime / 2) {
					if data, err := s.get(t.Context(), path, look(path)); data != path || err != nil {
						t.Errorf("%s shows %v, error %v", path, data, err)
					}
				}
			})
			time.Sleep(time.Millisecond) // so that who shares is never in doubt
		}
		tabs.Wait()
		for path, times := range made {
			if n := times.Load(); n < 5 || n > 10 {
				t.Errorf("%s was made %d times in ten seconds, want at most once a second", path, n)
			}
		}
		if len(s.looks) > 2 {
			t.Errorf("%d looks are kept", len(s.looks))
		}
	})
}

func TestWhoGoesAwayTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		var first sync.WaitGroup
		first.Go(func() {
			_, _ = s.get(gone, "/books", func(ctx context.Context) (any, error) {
				select {
				case <-time.After(time.Second / 2):
					return "books", nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})
		})
		synctest.Wait() // the first one is making it
		data, err := s.get(t.Context(), "/books", func(context.Context) (any, error) { return nil, errors.New("made twice") })
		if data != "books" || err != nil {
			t.Errorf("the second one sees %v, error %v", data, err)
		}
		first.Wait()
	})
}
