package order

import (
	"errors"
	"testing"
	"time"
)

func TestAnOrderThatBeginsToRequireAnOperatorIsReportedOnceAsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*shop)
		step   Step
	}{
		"shipped or not":        {func(s *shop) { s.ships, s.after = 3, lossy(0) }, StepShip},
		"the e-mail is refused": {func(s *shop) { s.before = failing(StepEmail, 1<<30, ErrRefused) }, StepEmail},
		"no broker for a day":   {func(s *shop) { s.before = failing(StepPublish, 1<<30, errAway) }, StepPublish},
		"no shipping for a day": {func(s *shop) { s.before = failing(StepShip, 1<<30, ErrUnsent) }, StepShip},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				test.change(s)
				p := s.placed(t)
				recovering(t, p, patience+time.Hour)
				var steps []Step
				for _, err := range s.reports {
					if failure := (*Error)(nil); errors.Is(err, ErrGivenUp) && errors.As(err, &failure) {
						steps = append(steps, failure.Step)
					}
				}
				if len(steps) != 1 || steps[0] != test.step {
					t.Errorf("given up: %v of %d reports, want %s once", steps, len(s.reports), test.step)
				}
				if !p.requiresOperator(s.the(t).State) {
					t.Errorf("the order is %v, want it to require an operator", s.the(t).State)
				}
			})
		})
	}
}
