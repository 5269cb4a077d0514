package order

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What this process alone knows is recorded sooner or later, however long the record is away.

func TestAReceiptWhoseRecordIsMadeAndNotAnsweredIsOnRecord(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		var once atomic.Bool
		s.after = func(ctx context.Context, step Step) error {
			if step == "save charged" && !once.Swap(true) { // its answer takes longer than recordTime
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		p := s.open(t)
		o, err := ask(t, p, request())
		if err != nil || o.State != Placed {
			t.Errorf("the caller gets %v, %v; want the placed order", o, err)
		}
		p.runs.Wait()
		if got := s.the(t); got.State != Completed || got.ShipAttempts != 1 {
			t.Errorf("on record it is %v after %d attempts to ship, want completed after 1", got.State, got.ShipAttempts)
		}
		if len(s.reports) > 0 {
			t.Errorf("reported: %v, and nothing was wrong", s.reports)
		}
	})
}

func TestAReceiptOnWhichAnotherProcessHasActedIsOnRecord(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p, other := s.open(t), s.open(t)
		var once atomic.Bool
		s.after = func(_ context.Context, step Step) error {
			if step == "save charged" && !once.Swap(true) { // it is made, and its answer lost after its lease is over
				time.Sleep(lease + time.Second)
				recovering(t, other, 2*time.Second)
				return errAway
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if o, err := p.Place(ctx, request()); err != nil || o.State != Completed {
			t.Errorf("the caller gets %v, %v; want the order, which somebody else has completed", o, err)
		}
		p.runs.Wait()
		s.wantMoved(t, [4]int{1, 1, 1, 1})
		for _, err := range s.reports {
			if !errors.Is(err, ErrFenced) || errors.Is(err, ErrInDoubt) || strings.Contains(err.Error(), "not recorded") {
				t.Errorf("reported: %v, which is not so", err)
			}
		}
	})
}

func TestAReceiptIsNotActedUponBeforeItsLeaseIsRenewed(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		back := time.Now().Add(lease - time.Second)
		var made atomic.Bool
		s.after = func(ctx context.Context, step Step) error {
			if step == "save charged" && time.Now().Before(back) { // it is made at once, and answered when its lease is nearly over
				made.Store(true)
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		s.before = func(_ context.Context, step Step) error {
			if step == "save charged" && made.Load() && time.Now().Before(back) {
				return errAway
			}
			if step == StepShip {
				time.Sleep(10 * time.Second)
			}
			return nil
		}
		p, other := s.open(t), s.open(t)
		go func() { _, _ = ask(t, p, request()) }()
		recovering(t, other, 2*time.Minute)
		p.runs.Wait()
		s.wantMoved(t, [4]int{1, 1, 1, 1})
	})
}

func TestAnOrderThatWasNeverChargedIsCancelledHoweverLongTheRecordIsAway(t *testing.T) {
	for name, test := range map[string]struct {
		opened bool // before the record went away
		late   bool // it is opened when everybody has given up
	}{"opened": {opened: true}, "not opened": {}, "opened in the end": {late: true}} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				back := time.Now().Add(10 * time.Minute)
				var late *Order
				s.before = func(_ context.Context, step Step) error {
					if recordSteps(step) && step != "look" && time.Now().Before(back) && (step != "open" || !test.opened) {
						return errAway
					}
					return nil
				}
				s.after = func(_ context.Context, step Step) error {
					if step == "open" && time.Now().Before(back) {
						return errAway
					}
					return nil
				}
				s.opening = func(o *Order) { copied := *o; late = &copied }
				p := s.open(t)
				if _, err := ask(t, p, keyed("k1")); !errors.Is(err, ErrUnavailable) {
					t.Errorf("Place says %v, want unavailable", err)
				}
				recovering(t, s.open(t), 11*time.Minute)
				p.runs.Wait()
				if test.late {
					_, _ = s.Open(t.Context(), Opening{Order: late, Hold: lease, CartRead: time.Now()})
				}
				recovering(t, s.open(t), time.Minute)
				if got := s.the(t); got.State != Cancelled || got.Key != "" {
					t.Errorf("on record it is %v with key %q, want cancelled, and the key free", got.State, got.Key)
				}
				if len(s.reports) > 0 && !errors.Is(s.reports[0], errAway) {
					t.Errorf("reported: %v", s.reports)
				}
				if n := s.count("save cancelled"); n > 0 { // of an order that is not on record that is fenced, and logged as taken over
					t.Errorf("saved as cancelled %d times, want that it is cancelled wherever it is", n)
				}
				if o, err := ask(t, p, keyed("k1")); err != nil || o.State != Placed {
					t.Errorf("the customer who tries again gets %v, %v; want an order", o, err)
				}
			})
		})
	}
}

func TestARefusalIsRecordedHoweverLongTheRecordIsAway(t *testing.T) {
	for refusal, want := range map[error]State{ErrUnsent: Cancelled, ErrRefused: Declined} {
		t.Run(want.String(), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				back := time.Now().Add(10 * time.Minute)
				away := func(_ context.Context, step Step) error {
					if recordSteps(step) && step != "open" && time.Now().Before(back) {
						return errAway
					}
					return nil
				}
				s.before = both(away, failing(StepCharge, 1, refusal))
				p := s.open(t)
				if _, err := ask(t, p, request()); err == nil {
					t.Error("Place says that the order was placed")
				}
				recovering(t, s.open(t), 11*time.Minute)
				p.runs.Wait()
				if got := s.the(t).State; got != want {
					t.Errorf("on record it is %v, want %v", got, want)
				}
			})
		})
	}
}

func TestAReceiptOutlivesAnOutageOfTheRecord(t *testing.T) {
	for name, test := range map[string]struct {
		outage time.Duration
		answer error
	}{
		"shorter than the caller's patience": {10 * time.Second, nil},
		"shorter than the lease":             {20 * time.Second, ErrInDoubt},
		"longer than the lease":              {5 * time.Minute, ErrInDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				back := time.Now().Add(test.outage)
				s.before = func(_ context.Context, step Step) error {
					if step != "open" && recordSteps(step) && time.Now().Before(back) {
						return errAway
					}
					return nil
				}
				p := s.open(t)
				if _, err := ask(t, p, request()); !errors.Is(err, test.answer) {
					t.Errorf("the caller gets %v, want %v", err, test.answer)
				}
				recovering(t, p, test.outage+time.Minute)
				if got := s.the(t).State; got != Completed {
					t.Errorf("once the record is back the order is %v, want completed", got)
				}
				s.wantMoved(t, [4]int{1, 1, 1, 1})
			})
		})
	}
}

// The disk is full for longer than an order is left to its process.
func TestRecoveryLeavesAnOrderToTheRunThatKnowsItsOutcome(t *testing.T) {
	for outcome, test := range map[Step]struct {
		charge error
		want   State
	}{
		"save charged":   {nil, Completed},
		"save placed":    {nil, Completed},
		"save declined":  {ErrRefused, Declined},
		"save cancelled": {ErrUnsent, Cancelled},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				began := time.Now()
				refuse := failing(StepCharge, 1, test.charge)
				s.before = func(ctx context.Context, step Step) error {
					age := time.Since(began)
					if step == "claim" && age < 40*time.Second || step == outcome && age < 100*time.Second {
						return errors.New("disk full")
					}
					return refuse(ctx, step)
				}
				p := s.open(t)
				var caller sync.WaitGroup
				caller.Go(func() { _, _ = ask(t, p, request()) })
				recovering(t, p, 4*time.Minute)
				caller.Wait()
				o := s.the(t)
				if o.State != test.want {
					t.Errorf("it is %v, want %v", o.State, test.want)
				}
				for _, entry := range o.History {
					if entry.State == InDoubt || strings.Contains(entry.Problem, "ended") {
						t.Errorf("its history says %q, %q: its process has not ended", entry.State, entry.Problem)
					}
				}
				if s.parcels[o.ID] > 1 {
					t.Errorf("%d parcels were sent", s.parcels[o.ID])
				}
				for _, report := range s.reports {
					if strings.Contains(report.Error(), "ended") || errors.Is(report, ErrFenced) {
						t.Errorf("reported: %v", report)
					}
				}
			})
		})
	}
}
