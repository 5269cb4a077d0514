package order

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The moments at which what a caller is told, and what is true, could part.

func TestTheAnswerGoesBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.before = failing(StepCharge, 1000, ErrRefused)
	p := s.open(t)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		r := opened(t, p)
		r.caller.release = func(error) { cancel() } // right before the answer
		if _, err := r.finish(ctx); !errors.Is(err, ErrDeclined) {
			t.Fatalf("a declined order is answered with %v", err)
		}
	}
}

func TestABugAroundTheChargeIsInDoubt(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.after = func(_ context.Context, step Step) error {
			if step == StepCharge {
				panic("bug")
			}
			return nil
		}
		_, err := s.open(t).Place(t.Context(), request())
		if failure, ok := errors.AsType[*Error](err); !ok || failure.Kind != ErrInDoubt || failure.OrderID != s.the(t).ID {
			t.Errorf("Place says %v after %d charges, want that order in doubt", err, s.books()[0])
		}
	})
}

func TestABugInTheStoreIsThatOrdersAlone(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = func(_ context.Context, step Step) error {
			switch step {
			case "open":
				return errAway
			case "cancel":
				panic("bug")
			}
			return nil
		}
		p := s.open(t)
		if _, err := p.Place(t.Context(), request()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Place says %v, want unavailable", err)
		}
		p.runs.Wait()
		if len(s.reports) != 1 || !errors.Is(s.reports[0], ErrInternal) {
			t.Errorf("reported: %v, want the bug", s.reports)
		}
	})
}

func TestNoChargeFollowsASlowRecord(t *testing.T) {
	for name, test := range map[string]struct{ record, callers time.Duration }{
		"the caller's time is over": {record: 995 * time.Millisecond, callers: time.Second},
		"the lease is over":         {record: 29 * time.Second, callers: time.Minute},
		"the lease would not do":    {record: lease - stepTime - recordTime + time.Millisecond, callers: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.after = taking("open", test.record)
				ctx, cancel := context.WithTimeout(t.Context(), test.callers)
				defer cancel()
				p := s.open(t)
				_, err := p.Place(ctx, request())
				p.runs.Wait()
				if !errors.Is(err, ErrUnavailable) || s.books()[0] != 0 {
					t.Errorf("Place says %v after %d charges, want unavailable and none", err, s.books()[0])
				}
				if got := s.the(t).State; got != Cancelled {
					t.Errorf("on record it is %v, want cancelled", got)
				}
			})
		})
	}
}

func TestASlowDiskDoesNotMakeTwoMasters(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.after = func(_ context.Context, step Step) error {
			switch step {
			case "save charged":
				time.Sleep(recordTime - 100*time.Millisecond)
			case StepShip:
				time.Sleep(stepTime - 100*time.Millisecond)
			}
			return nil
		}
		s.before = taking("save placed", recordTime-500*time.Millisecond)
		p := s.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go p.Recover(ctx)
		if _, err := p.Place(ctx, request()); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		synctest.Wait()
		p.runs.Wait()
		if got := s.books()[1]; got != 1 {
			t.Errorf("%d parcels, want one: recovery took the order while it was being shipped", got)
		}
	})
}

// An attempt to ship is recorded at the beginning of a step, which is a record the more, and a later beginning of the lease.
func TestTheStepsFitIntoTheLease(t *testing.T) {
	t.Parallel()
	if longest := recordTime + cartHaste + stepTime + recordTime; longest >= lease {
		t.Errorf("from record to record an order may take %v, and its lease is %v", longest, lease)
	}
}

func TestACartThatHangsDoesNotHoldTheOrder(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = hanging(StepEmptyCart)
		began := time.Now()
		if _, err := s.open(t).Place(t.Context(), request()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > cartHaste {
			t.Errorf("the answer came after %v, want it within %v however long the cart takes", took, cartHaste)
		}
	})
}

func TestWhatIsPutIntoTheCartMeanwhileStays(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.after = func(_ context.Context, step Step) error {
			if step == StepShip {
				time.Sleep(10 * time.Second)
				s.mu.Lock()
				s.carts["ada"] = append(s.carts["ada"], Line{"lens", 5})
				s.mu.Unlock()
			}
			return nil
		}
		s.placed(t)
		if len(s.carts["ada"]) == 0 {
			t.Error("what the customer put into the cart while the parcel was sent is gone")
		}
	})
}

func TestARefusalThatNoCallerHearsIsReported(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = func(_ context.Context, step Step) error {
			if step == StepShip {
				time.Sleep(2 * time.Second)
				return ErrRefused
			}
			return nil
		}
		p := s.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Place(ctx, request()); err != nil {
			t.Fatal(err)
		}
		p.runs.Wait()
		if len(s.reports) != 1 || !errors.Is(s.reports[0], ErrUnshippable) {
			t.Errorf("reported: %v, want that shipping was refused", s.reports)
		}
	})
}

func TestAReasonEndsWithItsState(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepPublish, 1, errAway)
		p := s.placed(t)
		if got := s.the(t); got.Reason == "" {
			t.Errorf("the order is %v and does not say why", got.State)
		}
		recovering(t, p, time.Minute)
		if got := s.the(t); got.State != Completed || got.Reason != "" {
			t.Errorf("the order is %v, because of %q", got.State, got.Reason)
		}
	})
}
