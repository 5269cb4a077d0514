package order

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAnOrderShowsItsHistory(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepPublish, 3, errAway)
		p := s.placed(t)
		recovering(t, p, time.Minute)
		var got []string
		for _, e := range s.the(t).History {
			got = append(got, fmt.Sprintf("%s %s %s ×%d", e.State, e.Step, e.Problem, max(e.Times, 1)))
		}
		want := []string{
			"charging   ×1", "charged   ×1", "placed   ×1",
			"placed publish publish: connection refused ×3", "completed   ×1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestTheRecordShowsNoAddressThatAServiceQuotes(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepEmail, 1<<30, fmt.Errorf("%w: no mailbox for ada@leak.example", ErrRefused))
		p := s.placed(t)
		recovering(t, p, time.Minute)
		o := s.the(t)
		if o.State != Undelivered || !strings.Contains(o.Reason, "no mailbox for ***") || strings.Contains(fmt.Sprint(o.Reason, o.History), "leak.example") {
			t.Errorf("the order is %v (%q), with the history %v; want undelivered, without the address", o.State, o.Reason, o.History)
		}
	})
}
