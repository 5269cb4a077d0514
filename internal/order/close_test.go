package order

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a before that never returns by itself from the steps named.
func stuck(steps ...Step) func(context.Context, Step) error {
	return func(ctx context.Context, step Step) error {
		if slices.Contains(steps, step) {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// What hangs does not keep the service from ending: an order that is cut off is recorded as it is and, if the record hangs,
// too, left as by a crash.
func TestTheServiceEndsInTimeWhateverHangs(t *testing.T) {
	const drain = 4 * time.Second
	for name, test := range map[string]struct {
		hang  []Step
		want  time.Duration
		state State
	}{
		"nothing":                {nil, 0, Completed},
		"payment":                {[]Step{StepCharge}, drain, InDoubt},
		"shipping":               {[]Step{StepShip}, drain, Charged},
		"payment and the record": {[]Step{StepCharge, "save in_doubt"}, drain + closeTime, Charging},
		"the record":             {[]Step{"save charged"}, drain, Charging}, // given up by itself
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = stuck(test.hang...)
				p := s.open(t)
				go func() { _, _ = p.Place(t.Context(), request()) }()
				synctest.Wait() // it hangs, or is over
				patience, cancel := context.WithTimeout(t.Context(), drain)
				defer cancel()
				began := time.Now()
				p.Close(patience)
				if took := time.Since(began); took != test.want {
					t.Errorf("Close took %v, want %v", took, test.want)
				}
				if got := s.the(t).State; got != test.state {
					t.Errorf("on record the order is %v, want %v", got, test.state)
				}
			})
		})
	}
}
