package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTwoTalliesAddUpToTheOrdersOfBoth(t *testing.T) {
	t.Parallel()
	a, b := newTally(), newTally()
	for i := range 90 {
		a.count(time.Duration(i+1)*time.Millisecond, nil)
	}
	for range 10 {
		b.count(time.Second, nil)
	}
	b.count(time.Second, errors.New("refused"))
	a.took, b.took = time.Second, time.Second
	a.add(b)

	if a.placed() != 100 || a.failed != 1 || a.failure == nil {
		t.Errorf("placed %d, failed %d (%v), want 100 and 1", a.placed(), a.failed, a.failure)
	}
	if got := a.perSecond(); got != 50 {
		t.Errorf("%v orders a second, want 100 in two seconds", got)
	}
	for percent, want := range map[float64]time.Duration{50: 50 * time.Millisecond, 90: 90 * time.Millisecond, 99: time.Second} {
		if got := a.at(percent); got < want || got > want+want/500 {
			t.Errorf("p%v is %v, want %v to three digits", percent, got, want)
		}
	}
}

func TestALatencyBeyondTheHistogramCountsAsTheLongest(t *testing.T) {
	t.Parallel()
	tally := newTally()
	tally.count(time.Hour, nil)
	if got := tally.at(100); tally.placed() != 1 || got < longest || got > longest+longest/500 {
		t.Errorf("%d orders, the longest of %v; want one of %v", tally.placed(), got, longest)
	}
}

func TestAClosedLoopHasSoManyOrdersUnderWayAndNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var active, peak atomic.Int64
		b := burst{orders: 100, time: time.Hour, place: func(context.Context, int) error {
			peak.Store(max(peak.Load(), active.Add(1)))
			defer active.Add(-1)
			time.Sleep(time.Second)
			return nil
		}}
		tally, err := b.closed(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if tally.placed() != 100 || peak.Load() != 10 || tally.took != 10*time.Second {
			t.Errorf("%d orders, %d at once, in %v; want 100, 10 and 10s", tally.placed(), peak.Load(), tally.took)
		}
	})
}

func TestAClosedLoopBeginsNoOrderAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := burst{orders: 100, time: 2500 * time.Millisecond, place: func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}}
		tally, err := b.closed(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if tally.placed() != 3 || tally.took != 3*time.Second {
			t.Errorf("%d orders in %v, want 3 in 3s", tally.placed(), tally.took)
		}
	})
}

func TestACustomerWhoIsRefusedWaitsALittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := burst{orders: 4, time: time.Hour, place: func(context.Context, int) error { return errors.New("refused") }}
		tally, err := b.closed(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if tally.failed != 4 || tally.took != 4*patience {
			t.Errorf("%d refusals in %v, want 4 in %v", tally.failed, tally.took, 4*patience)
		}
	})
}

// A service that stands still for a second makes a closed loop wait and send less. An open loop goes on sending, and
// what was due in that second has waited for as long as it was left of it.
func TestAnOpenLoopCountsFromWhenAnOrderWasDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := burst{orders: 200, time: time.Hour, place: func(context.Context, int) error {
			time.Sleep(time.Until(began.Add(time.Second)))
			return nil
		}}
		tally, err := b.open(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if tally.placed() != 200 || tally.took < 1990*time.Millisecond {
			t.Errorf("%d orders in %v, want 200 in 1.99s", tally.placed(), tally.took)
		}
		if got := tally.at(75); got < 490*time.Millisecond || got > 510*time.Millisecond {
			t.Errorf("three quarters were answered within %v; half of them at once, the others after half a second on average", got)
		}
		if got := tally.at(100); got < 990*time.Millisecond {
			t.Errorf("the longest waited %v, want a second", got)
		}
	})
}

func TestAnOpenLoopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := burst{orders: 1000, time: time.Hour, place: func(context.Context, int) error { return nil }}
		tally, err := b.open(ctx, 10)
		if !errors.Is(err, context.DeadlineExceeded) || tally.placed() > 11 {
			t.Errorf("%d orders and %v, want some ten and the deadline", tally.placed(), err)
		}
	})
}
