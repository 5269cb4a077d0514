package order

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/wait"
)

// recovering runs the recovery loop of p for d.
func recovering(t *testing.T, p *Placer, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	p.Recover(ctx)
	p.runs.Wait()
}

func TestRecoveryMakesPendingDeliveries(t *testing.T) {
	for _, state := range []State{Charged, Placed} {
		t.Run(state.String(), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = failing(StepShip, shipTries, errAway)
				if state == Placed {
					s.before = failing(StepPublish, 1, errAway)
				}
				p := s.placed(t)
				if got := s.the(t).State; got != state {
					t.Fatalf("the order is %v, want %v", got, state)
				}
				synctest.Wait()
				s.before = nil
				recovering(t, p, time.Minute)
				if got := s.the(t).State; got != Completed {
					t.Errorf("after a minute the order is %v, want completed", got)
				}
				if got := s.books(); got[0] != 1 || got[3] != 1 {
					t.Errorf("charges, parcels, mails, events: %v, want one charge and one event", got)
				}
			})
		})
	}
}

func TestAnOrderFoundInChargingIsInDoubt(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		opened(t, p) // and here the process dies
		recovering(t, p, time.Minute)
		if got := s.the(t); got.State != InDoubt || got.Reason == "" {
			t.Errorf("the order is %v (%q), want in doubt and why", got.State, got.Reason)
		}
		if got := s.books(); got != [4]int{} {
			t.Errorf("moved: %v, want nothing: nobody has the card", got)
		}
	})
}

func TestAZombieStopsWhenItsOrderHasBeenTakenOver(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		var asleep atomic.Bool
		s.before = func(_ context.Context, step Step) error {
			if step == StepShip && !asleep.Swap(true) { // we sleep through the lease
				time.Sleep(lease + time.Second)
				recovering(t, s.open(t), 2*time.Second)
			}
			return nil
		}
		if o, err := p.Place(t.Context(), request()); err != nil || o.State != Charged {
			t.Errorf("the zombie says %v, %v; want the order charged, as it last knew it", o, err)
		}
		p.runs.Wait()
		if got := s.the(t); got.State != Completed || got.ShipAttempts != 2 || got.TrackingID != "parcel 1 of "+string(got.ID) {
			t.Errorf("on record it is %v, shipped as %q in %d attempts; want it completed with the parcel of the other replica, and both attempts", got.State, got.TrackingID, got.ShipAttempts)
		}
		s.wantMoved(t, [4]int{1, 1, 1, 1})
	})
}

func TestAZombieThatHasChargedTakesItsOrderBack(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		s.after = func(_ context.Context, step Step) error {
			if step == StepCharge { // we sleep through the lease
				time.Sleep(lease + time.Second)
				recovering(t, s.open(t), 2*time.Second)
				if got := s.the(t).State; got != InDoubt {
					t.Errorf("the other replica has found it %v, want in doubt", got)
				}
			}
			return nil
		}
		if _, err := p.Place(t.Context(), request()); err != nil {
			t.Errorf("the zombie says %v, want the order: it alone knows that it was charged", err)
		}
		p.runs.Wait()
		if got := s.the(t).State; got != Completed {
			t.Errorf("on record it is %v, want completed", got)
		}
		s.wantMoved(t, [4]int{1, 1, 1, 1})
	})
}

func TestRecoveryLeavesALaterCartAlone(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepEmptyCart, 2, errAway)
		p := s.placed(t)
		s.carts["ada"] = append(s.carts["ada"], Line{"lens", 5})
		recovering(t, p, time.Minute)
		if len(s.carts["ada"]) == 0 {
			t.Error("recovery emptied a cart that the customer has put something into since")
		}
		if got := s.the(t).State; got != Completed {
			t.Errorf("the order is %v, want completed", got)
		}
	})
}

func TestBackOffGrowsAndIsBounded(t *testing.T) {
	for attempts, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 6: 32 * time.Second, 1000: 32 * time.Second} {
		for range 100 {
			if d := NewPlacer(Dependencies{}).backoff(attempts); d < want*3/4 || d > want*5/4 {
				t.Errorf("backoff(%d) = %v, want %v give or take a quarter", attempts, d, want)
			}
		}
	}
}

func TestRecoveryIsInNoHurryWhileNothingGetsFurther(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		away := time.Now().Add(10 * time.Minute)
		s.before = func(_ context.Context, step Step) error {
			if step == StepPublish && time.Now().Before(away) {
				return errAway
			}
			return nil
		}
		const orders = 2000
		for i := range orders {
			id := ID(fmt.Sprint("placed ", i))
			s.rows[id] = &row{Order: Order{ID: id, State: Placed, UserID: "eve", Changed: time.Now(), Delivered: CartSettled | EmailSent}, due: time.Now()}
		}
		p := s.open(t)
		recovering(t, p, 10*time.Minute)
		if got := s.count(StepPublish); got > 20*10*60 {
			t.Errorf("in ten minutes %d events were tried, want at most 20 a second", got)
		}
		recovering(t, p, time.Minute)
		if got := s.books()[3]; got != orders {
			t.Errorf("a minute after the broker is back %d of %d events are out", got, orders)
		}
	})
}

func TestDeliveriesBeyondTheBoundAreTakenUpSoon(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		for range p.Background {
			p.deliveries <- struct{}{}
		}
		if _, err := p.Place(t.Context(), request()); err != nil {
			t.Fatal(err)
		}
		p.runs.Wait()
		if got := s.the(t).State; got != Placed {
			t.Fatalf("the order is %v, want placed and waiting for its deliveries", got)
		}
		recovering(t, p, 5*time.Second)
		if got := s.the(t).State; got != Completed {
			t.Errorf("after five seconds the order is %v, want completed", got)
		}
	})
}

func TestAPaidOrderDoesNotWaitBehindEmails(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = func(ctx context.Context, step Step) error {
			if step != StepEmail {
				return nil
			}
			wait.For(ctx, 5*time.Second) // a mail service that hangs
			return errAway
		}
		p := s.open(t)
		now := time.Now()
		for i := range 2000 {
			id := ID(fmt.Sprint("placed ", i))
			s.rows[id] = &row{Order: Order{ID: id, State: Placed, UserID: "eve", Changed: now, Delivered: CartSettled | EventPublished}, due: now}
		}
		s.rows["paid"] = &row{Order: Order{ID: "paid", State: Charged, UserID: "ada", Changed: now}, due: now}
		recovering(t, p, 10*time.Second)
		if s.parcels["paid"] != 1 {
			t.Errorf("after ten seconds %d parcels have left, want the one that is paid for", s.parcels["paid"])
		}
	})
}
