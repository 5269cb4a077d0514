package order

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/wait"
)

// lossy ships the parcel, and loses the answer after so long.
func lossy(after time.Duration) func(context.Context, Step) error {
	return func(ctx context.Context, step Step) error {
		if step != StepShip {
			return nil
		}
		wait.For(ctx, after)
		return errors.New("answered 500 Internal Server Error")
	}
}

func TestAnOrderIsNotMoreParcelsThanItHasAttempts(t *testing.T) {
	for name, after := range map[string]time.Duration{"the answer is lost at once": 0, "there is no answer for 12 s": 12 * time.Second} {
		for attempts := range 4 {
			lasts := time.Hour
			if attempts == 0 { // the shipping service honours keys
				lasts = patience + time.Hour
			}
			t.Run(fmt.Sprint(name, ", attempts: ", attempts), func(t *testing.T) {
				inShop(t, func(t *testing.T, s *shop) {
					s.ships, s.after = attempts, lossy(after)
					p := s.open(t)
					if o, err := ask(t, p, request()); err != nil || o.TransactionID == "" {
						t.Errorf("the caller gets %v, %v; want the paid order", o, err)
					}
					recovering(t, p, lasts)
					o := s.the(t)
					if o.State != Parked {
						t.Errorf("after %v the order is %v, want parked", lasts, o.State)
					}
					if want := fmt.Sprintf("shipped or not? Attempts: %d, last: answered 500", attempts); attempts > 0 && !strings.HasPrefix(o.Reason, want) {
						t.Errorf("the reason is %q, want %q", o.Reason, want)
					}
					if got := s.books(); got != [4]int{1, max(attempts, 1), 0, 0} { // a shipping service that honours keys sends one
						t.Errorf("charges, parcels, mails, events: %v, want one charge and %d parcels", got, max(attempts, 1))
					}
				})
			})
		}
	}
}

func TestEveryAttemptToShipIsOnRecordBeforeItIsMade(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		began := time.Now()
		var onRecord []int
		var at []time.Duration
		s.before = func(_ context.Context, step Step) error {
			if step == StepShip {
				onRecord = append(onRecord, s.the(t).ShipAttempts)
				at = append(at, time.Since(began))
			}
			return nil
		}
		s.after = lossy(0)
		p := s.placed(t)
		recovering(t, p, time.Hour)
		if got := fmt.Sprint(onRecord); got != "[1 2 3]" {
			t.Fatalf("on record when the attempts were made: %s, want [1 2 3]", got)
		}
		if first, second := at[1]-at[0], at[2]-at[1]; first < 3*time.Second || first > 10*time.Second || second < 45*time.Second || second > 2*time.Minute {
			t.Errorf("between the attempts there were %v and %v, want some seconds, then about a minute", first, second)
		}
	})
}

func TestAnOrderThatGoesWellIsRecordedFourTimes(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		var writes []Step
		s.before = func(_ context.Context, step Step) error {
			if step == "open" || strings.HasPrefix(string(step), "save ") {
				writes = append(writes, step)
			}
			return nil
		}
		s.placed(t)
		if got := fmt.Sprint(writes); got != "[open save charged save placed save completed]" {
			t.Errorf("records: %s, want none more for the attempt to ship", got)
		}
		if got := s.the(t).ShipAttempts; got != 1 {
			t.Errorf("%d attempts are on record, want 1", got)
		}
	})
}

func TestWhatCertainlyWasNotShippedIsTriedFreely(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.ships = 1
		back := time.Now().Add(time.Hour)
		s.before = func(_ context.Context, step Step) error {
			if step == StepShip && time.Now().Before(back) {
				return fmt.Errorf("%w: connection refused", ErrUnsent)
			}
			return nil
		}
		p := s.placed(t)
		recovering(t, p, time.Hour+time.Minute)
		if got := s.the(t); got.State != Completed || got.ShipAttempts != 1 {
			t.Errorf("when the shipping service is back the order is %v after %d attempts on record, want it completed after 1", got.State, got.ShipAttempts)
		}
		if got := s.count(StepShip); got < 100 {
			t.Errorf("it was tried %d times in an hour, want about twice a minute", got)
		}
	})
}

func TestWhatCannotBeSentForADayIsParkedAsNotShipped(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepShip, 1<<30, ErrUnsent)
		p := s.placed(t)
		recovering(t, p, 25*time.Hour)
		if got := s.the(t); got.State != Parked || got.ShipAttempts != 0 || strings.Contains(got.Reason, "shipped or not") {
			t.Errorf("after a day the order is %v (%q) after %d attempts, want parked after none", got.State, got.Reason, got.ShipAttempts)
		}
	})
}

// A process that dies may have made the last attempt that is on record.
func TestAnAttemptThatACrashInterruptsCounts(t *testing.T) {
	for _, test := range []struct{ before, parcels, after int }{{1, 1, 2}, {2, 1, 3}, {3, 0, 3}, {4, 0, 4}} {
		t.Run(fmt.Sprint(test.before), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				now := time.Now()
				s.rows["1"] = &row{Order: Order{ID: "1", UserID: "ada", State: Charged, TransactionID: "tx 1", ShipAttempts: test.before, Changed: now}, due: now}
				recovering(t, s.open(t), 10*time.Second)
				o, want := s.the(t), Completed
				if test.parcels == 0 {
					want = Parked
				}
				if o.State != want || o.ShipAttempts != test.after || s.parcels["1"] != test.parcels {
					t.Errorf("the order is %v (%q) after %d attempts with %d parcels, want %v after %d with %d", o.State, o.Reason, o.ShipAttempts, s.parcels["1"], want, test.after, test.parcels)
				}
				if wantReason := fmt.Sprintf("shipped or not? Attempts: %d, last: the process that sent it ended before the answer came", test.before); want == Parked && o.Reason != wantReason {
					t.Errorf("the reason is %q, want %q", o.Reason, wantReason)
				}
			})
		})
	}
}

func TestNoAttemptIsMadeThatCannotBeRecorded(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.after = failing(StepShip, 1, errAway)
		p := s.placed(t)
		synctest.Wait()
		s.before = failing("save charged", 1<<30, errAway)
		recovering(t, p, time.Hour)
		if got := s.books()[1]; got != 1 {
			t.Errorf("%d parcels were sent, want the first alone: no other attempt is on record", got)
		}
	})
}

func TestARefusalAfterAnAttemptThatMayHaveShippedNeedsAnOperator(t *testing.T) {
	for _, ledger := range []bool{false, true} {
		t.Run(fmt.Sprint("ledger: ", ledger), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.keyed = ledger
				s.after = failing(StepShip, 1, errAway)
				p := s.placed(t)
				synctest.Wait()
				s.before = failing(StepShip, 1, ErrRefused)
				recovering(t, p, time.Minute)
				if got := s.the(t); got.State != Parked || got.ShipAttempts != 1 {
					t.Errorf("the order is %v after %d attempts, want it parked: there may be a parcel", got.State, got.ShipAttempts)
				}
				if got := s.count(StepReverse); got != 0 {
					t.Error("the money went back")
				}
			})
		})
	}
}

func TestAnOperatorSaysWhatBecameOfTheShipment(t *testing.T) {
	for name, test := range map[string]struct {
		resolution Resolution
		refused    bool
		state      State // a minute later
		parcels    int
	}{
		"shipped":                       {Resolution{Kind: Shipped, TrackingID: "T-1"}, false, Completed, 1},
		"shipped, and no tracking id":   {Resolution{Kind: Shipped}, true, Parked, 1},
		"ship again":                    {Resolution{Kind: Retry}, false, Completed, 2},
		"refunded":                      {Resolution{Kind: PaidBack}, false, Refunded, 1},
		"paid, which nobody has denied": {Resolution{Kind: Paid}, true, Parked, 1},
		"not paid":                      {Resolution{Kind: NotPaid}, true, Parked, 1},
		"skip the e-mail":               {Resolution{Kind: SkipDeliveries, Skip: EmailSent}, true, Parked, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.ships, s.after = 1, failing(StepShip, 1, errAway)
				p := s.open(t)
				first, err := ask(t, p, keyed("k1"))
				if err != nil || first.State != Parked {
					t.Fatalf("the caller gets %v, %v; want the order, which is paid and parked", first, err)
				}
				if again, err := ask(t, p, keyed("k1")); err != nil || again.ID != first.ID {
					t.Errorf("asked once more: %v, %v; want the same answer", again, err)
				}
				_, err = p.Resolve(t.Context(), first.ID, test.resolution)
				if errors.Is(err, ErrRefused) != test.refused {
					t.Errorf("the operator gets %v", err)
				}
				recovering(t, p, time.Minute)
				o := s.the(t)
				if o.State != test.state || s.parcels[o.ID] != test.parcels {
					t.Errorf("a minute later the order is %v (%q) with %d parcels, want %v with %d", o.State, o.Reason, s.parcels[o.ID], test.state, test.parcels)
				}
				if got := s.books(); o.State == Completed && (got[2] != 1 || got[3] != 1) {
					t.Errorf("charges, parcels, mails, events: %v, want one e-mail and one event", got)
				}
				if test.resolution.TrackingID != "" && o.TrackingID != test.resolution.TrackingID {
					t.Errorf("the tracking id is %q, want the operator's", o.TrackingID)
				}
			})
		})
	}
}

func TestShippedIsSaidOfPaidOrdersOnly(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepCharge, 1, errAway)
		p := s.open(t)
		_, _ = ask(t, p, request())
		if _, err := p.Resolve(t.Context(), s.the(t).ID, Resolution{Kind: Shipped, TrackingID: "T-1", By: "grace", Why: "a guess"}); !errors.Is(err, ErrRefused) {
			t.Errorf("an order in doubt is taken for shipped: %v", err)
		}
	})
}

func TestNothingIsShippedByWhoHasSleptThroughTheLease(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p, other := s.open(t), s.open(t)
		var asleep atomic.Bool
		s.after = func(_ context.Context, step Step) error {
			if step == "save charged" && !asleep.Swap(true) {
				time.Sleep(lease + time.Second)
				recovering(t, other, 2*time.Second)
			}
			return nil
		}
		_, _ = ask(t, p, request()) // nobody waits so long
		p.runs.Wait()
		if got := s.count(StepShip); got != 1 {
			t.Errorf("the shipping service was asked %d times, want once: by who has taken the order over", got)
		}
	})
}
