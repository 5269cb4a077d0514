package order

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errNoMailbox = fmt.Errorf("%w: answered 422 Unprocessable Entity", ErrRefused)

func TestADeliveryThatIsRefusedDoesNotHoldTheOthers(t *testing.T) {
	for step, is := range map[Step]Delivery{StepEmail: EmailSent, StepPublish: EventPublished} {
		t.Run(string(step), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = both(failing(step, 1<<30, errNoMailbox), failing(StepEmptyCart, 2, errAway))
				p := s.placed(t)
				recovering(t, p, time.Hour)
				o := s.the(t)
				if o.State != Undelivered || o.Undeliverable != is || o.Delivered != (CartSettled|EmailSent|EventPublished)&^is {
					t.Errorf("the order is %v, delivered %b, undeliverable %b; want it undelivered for %b alone", o.State, o.Delivered, o.Undeliverable, is)
				}
				if want := string(step) + ": " + errNoMailbox.Error(); o.Reason != want {
					t.Errorf("the reason is %q, want %q", o.Reason, want)
				}
				if s.count(step) != 1 || len(s.reports) == 0 || len(s.carts["ada"]) > 0 {
					t.Errorf("%d tries, reported %v, cart %v; want one try, a report and an empty cart", s.count(step), s.reports, s.carts["ada"])
				}
				if s.rows[o.ID].due != (time.Time{}) {
					t.Error("it will be taken up again, or purged")
				}
			})
		})
	}
}

func TestADeliveryThatFailsForADayIsGivenUp(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = both(failing(StepEmail, 1<<30, errAway), failing(StepPublish, 1<<30, errAway))
		p := s.placed(t)
		recovering(t, p, 23*time.Hour)
		if got := s.the(t).State; got != Placed {
			t.Errorf("after 23 hours the order is %v, want placed", got)
		}
		recovering(t, p, 2*time.Hour)
		o := s.the(t)
		if o.State != Undelivered || o.Undeliverable != EmailSent|EventPublished {
			t.Errorf("after 25 hours the order is %v, undeliverable %b; want undelivered, both", o.State, o.Undeliverable)
		}
		if want := "email: connection refused; publish: connection refused"; o.Reason != want {
			t.Errorf("the reason is %q, want %q", o.Reason, want)
		}
		tries := s.count(StepEmail)
		recovering(t, p, time.Hour)
		if got := s.count(StepEmail); got != tries {
			t.Errorf("%d more tries since", got-tries)
		}
	})
}

func TestACartThatCannotBeEmptiedDoesNotMakeAnOrderUndelivered(t *testing.T) {
	for name, err := range map[string]error{"away": errAway, "refused": ErrRefused} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = failing(StepEmptyCart, 1<<30, err)
				p := s.placed(t)
				recovering(t, p, cartTime+time.Hour)
				if got := s.the(t).State; got != Completed {
					t.Errorf("the order is %v, want completed", got)
				}
			})
		})
	}
}

func TestAnOperatorDecidesAboutWhatCouldNotBeDelivered(t *testing.T) {
	skip := func(d Delivery) func(*Placer, ID) (*Order, error) {
		return func(p *Placer, id ID) (*Order, error) {
			return p.Resolve(p.life, id, Resolution{Kind: SkipDeliveries, Skip: d, By: "grace", Why: "told her by phone"})
		}
	}
	for name, test := range map[string]struct {
		step    Step // is refused
		works   bool // by then
		act     func(*Placer, ID) (*Order, error)
		refused bool
		state   State // a minute later
		skipped Delivery
		mails   int
	}{
		"skipped":                           {StepEmail, false, skip(EmailSent), false, Completed, EmailSent, 0},
		"tried again":                       {StepEmail, true, (*Placer).retry, false, Completed, 0, 1},
		"tried again, and refused again":    {StepEmail, false, (*Placer).retry, false, Undelivered, 0, 0},
		"skipped, both":                     {"both", false, skip(EmailSent | EventPublished), false, Completed, EmailSent | EventPublished, 0},
		"skipped, one of two":               {"both", false, skip(EmailSent), false, Undelivered, EmailSent, 0},
		"tried again, both":                 {"both", true, (*Placer).retry, false, Completed, 0, 1},
		"nothing is skipped":                {StepEmail, false, skip(0), true, Undelivered, 0, 0},
		"what was delivered is skipped":     {StepEmail, false, skip(EventPublished), true, Undelivered, 0, 0},
		"and more than could not be made":   {StepEmail, false, skip(EmailSent | EventPublished), true, Undelivered, 0, 0},
		"the money is said to be paid back": {StepEmail, false, resolve(PaidBack, ""), true, Undelivered, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = func(_ context.Context, step Step) error {
					if step == test.step || test.step == "both" && (step == StepEmail || step == StepPublish) {
						return errNoMailbox
					}
					return nil
				}
				p := s.placed(t)
				if test.works {
					synctest.Wait()
					s.before = nil
				}
				if _, err := test.act(p, s.the(t).ID); errors.Is(err, ErrRefused) != test.refused {
					t.Errorf("the operator gets %v", err)
				}
				recovering(t, p, time.Minute)
				o := s.the(t)
				if o.State != test.state || o.Skipped != test.skipped || s.books()[2] != test.mails {
					t.Errorf("a minute later the order is %v, skipped %b, with %d e-mails; want %v, %b and %d", o.State, o.Skipped, s.books()[2], test.state, test.skipped, test.mails)
				}
				if o.State == Completed && o.Delivered|o.Skipped != CartSettled|EmailSent|EventPublished {
					t.Errorf("completed with delivered %b and skipped %b", o.Delivered, o.Skipped)
				}
			})
		})
	}
}

func TestTheHistoryNamesWhatCouldNotBeDelivered(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepEmail, 1, errNoMailbox)
		s.placed(t)
		var lines []string
		for _, e := range s.the(t).History {
			lines = append(lines, fmt.Sprint(e.State, " ", e.Step, " ", e.Problem))
		}
		want := "placed email " + errNoMailbox.Error() + "\nundelivered  email: " + errNoMailbox.Error()
		if got := strings.Join(lines, "\n"); !strings.HasSuffix(got, want) {
			t.Errorf("the history is\n%s\nwant it to end with\n%s", got, want)
		}
	})
}

func TestAServiceThatWasAwayForADayGivesOthersTimeToComeBack(t *testing.T) {
	for _, step := range []Step{StepShip, StepEmail} {
		t.Run(string(step), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = failing(step, shipTries, ErrUnsent)
				if step == StepEmail {
					s.before = failing(step, 1, errAway)
				}
				s.placed(t)
				time.Sleep(25 * time.Hour)
				synctest.Wait()
				s.before = failing(step, 2, fmt.Errorf("%w: connection refused", ErrUnsent))
				recovering(t, s.open(t), time.Minute)
				if got := s.the(t).State; got != Completed {
					t.Errorf("a minute after its return the order is %v, want completed", got)
				}
			})
		})
	}
}

func TestADeliveryThatFailsForADayWaitsForAnOperator(t *testing.T) {
	for _, step := range []Step{StepShip, StepLookup} {
		t.Run(string(step), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.keyed = true
				s.before = failing(step, 1<<30, errAway)
				if step == StepLookup {
					s.after = failing(StepCharge, 1, errAway)
				}
				p := s.open(t)
				_, _ = ask(t, p, request())
				recovering(t, p, 25*time.Hour)
				got := s.the(t)
				if got.State != Parked || got.Reason == "" {
					t.Fatalf("a day later the order is %v (%q), want parked, and why", got.State, got.Reason)
				}
				if len(got.History) > historyLength || got.History[0].State != Charging {
					t.Errorf("its history has %d lines from %v on, want at most %d from the beginning", len(got.History), got.History[0], historyLength)
				}
				synctest.Wait()
				s.before = nil
				if _, err := p.retry(got.ID); err != nil {
					t.Fatal(err)
				}
				recovering(t, p, time.Minute)
				if got := s.the(t).State; got != Completed {
					t.Errorf("sent on its way again the order is %v, want completed", got)
				}
			})
		})
	}
}

func TestASlowCartThatIsSettledDoesNotKeepTheNextOrderWaitingForAnEmail(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		empties := failing(StepEmptyCart, 1, errAway) // so that it is left to the deliveries
		s.before = func(ctx context.Context, step Step) error {
			switch step {
			case StepEmail:
				time.Sleep(10 * time.Second)
			case StepEmptyCart:
				if err := empties(ctx, step); err != nil {
					return err
				}
				time.Sleep(2 * slow)
			}
			return nil
		}
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * slow)
		if got := s.the(t); !got.Settled() {
			t.Errorf("on record is %v with %v delivered, want its cart settled", got.State, got.Delivered)
		}
	})
}
