package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/order"
)

func TestTheBacklogIsWhatIsNotFinished(t *testing.T) {
	t.Parallel()
	everywhere(t, countsTheUnfinished)
}

// countsTheUnfinished has orders of every state, some with deliveries done, each an hour older than the one before.
func countsTheUnfinished(t *testing.T, s record) {
	if got := backlogOf(t, s); len(got) != 0 {
		t.Errorf("of no orders: %v", got)
	}
	for i, o := range []struct {
		state order.State
		done  order.Delivery
		hold  time.Duration
	}{
		{order.Charging, 0, time.Minute},
		{order.Charging, 0, -time.Minute},
		{order.InDoubt, 0, order.UntilResolved},
		{order.Refunding, 0, time.Minute},
		{order.Charged, 0, time.Minute},
		{order.Placed, order.CartSettled, time.Minute},
		{order.Placed, order.CartSettled | order.EmailSent, time.Minute},
		{order.Placed, order.CartSettled, -time.Minute},
		{order.Parked, 0, order.UntilResolved},
		{order.Completed, 7, time.Minute},
		{order.Declined, 0, time.Minute},
		{order.Refunded, 0, time.Minute},
		{order.Cancelled, 0, time.Minute},
	} {
		opened := &order.Order{
			ID: order.ID(fmt.Sprint("id-", i)), UserID: fmt.Sprint("user-", i), Epoch: 1, State: o.state, Delivered: o.done,
			Currency: "USD", Created: time.Now().Add(-time.Duration(i+1) * time.Hour),
		}
		if _, err := s.Open(t.Context(), order.Opening{Order: opened, Hold: o.hold, CartRead: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	givenUp := &order.Order{
		ID: "given-up", UserID: "given-up", Epoch: 1, State: order.Placed, Currency: "USD", Created: time.Now().Add(-20 * time.Hour),
		Delivered: order.CartSettled, Undeliverable: order.EmailSent,
	}
	if _, err := s.Open(t.Context(), order.Opening{Order: givenUp, Hold: time.Minute, CartRead: time.Now()}); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"charging 0, oldest 2h":  2,
		"in_doubt 0, oldest 3h":  1,
		"refunding 0, oldest 4h": 1,
		"charged 0, oldest 5h":   1,
		"placed 1, oldest 8h":    2,
		"placed 3, oldest 20h":   2, // the e-mail of one is sent, that of the other cannot be
		"parked 0, oldest 9h":    1,
	}
	if diff := cmp.Diff(want, backlogOf(t, s)); diff != "" {
		t.Errorf("backlog (-want +got):\n%s", diff)
	}
}

// backlogOf is the backlog, by state and deliveries; ages are in whole hours.
func backlogOf(t *testing.T, s record) map[string]int {
	t.Helper()
	got := map[string]int{}
	if err := s.Backlog(t.Context(), func(state order.State, done order.Delivery, orders int, oldest time.Duration) {
		got[fmt.Sprintf("%v %d, oldest %dh", state, done, oldest/time.Hour)] += orders
	}); err != nil {
		t.Fatal(err)
	}
	return got
}
