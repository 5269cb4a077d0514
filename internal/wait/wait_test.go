package wait

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWaitEndsWithItsTimeOrItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if !For(ctx, time.Second) || time.Since(began) != time.Second {
			t.Errorf("a second took %v", time.Since(began))
		}
		if For(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("it lasted %v, longer than its context", time.Since(began))
		}
	})
}

type key struct{}

func TestAContextWithinALifeEndsWithItAndKeepsTheValuesOfAnother(t *testing.T) {
	t.Parallel()
	life, end := context.WithCancel(t.Context())
	caller, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	child, cancel := context.WithCancel(Within(life, caller))
	defer cancel()
	leave()
	if child.Err() != nil || child.Value(key{}) != "value" {
		t.Errorf("without its caller it has ended (%v), or lost its value: %v", child.Err(), child.Value(key{}))
	}
	end()
	if child.Err() == nil { // at once: no goroutine has to tell it
		t.Error("it goes on after the end of its life")
	}
}

func TestATimerFiresOnceHoweverOftenItIsStartedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var timer Timer
		var mu sync.Mutex
		fired := 0
		fire := func() {
			mu.Lock()
			defer mu.Unlock()
			timer.Fired()
			fired++
		}
		times := func() int {
			mu.Lock()
			defer mu.Unlock()
			return fired
		}
		for round := range 3 {
			for range 4 { // of which the first counts
				mu.Lock()
				timer.Start(time.Second, fire)
				mu.Unlock()
				time.Sleep(time.Second/4 - 1)
			}
			if n := times(); n != round {
				t.Errorf("it has fired %d times before its time, want %d", n, round)
			}
			time.Sleep(5 * time.Nanosecond)
			if n := times(); n != round+1 {
				t.Errorf("it has fired %d times, want %d", n, round+1)
			}
		}
	})
}
