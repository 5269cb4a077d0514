package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/store/storetest"
)

// TestWorkThatWasLeftBehindWritesWhatItWasGiven: a caller whose time is over leaves its work behind, and does with its
// order as it likes before the work is done.
func TestWorkThatWasLeftBehindWritesWhatItWasGiven(t *testing.T) {
	t.Parallel()
	opened := storetest.Order("1")
	in := func(state order.State) *order.Order {
		o := *opened
		o.State = state
		return &o
	}
	cancelled := in(order.Cancelled)
	cancelled.Key = ""
	for name, write := range map[string]struct {
		recorded, written *order.Order
		write             func(orders, *order.Order) error
	}{
		"open": {nil, in(order.Completed), func(s orders, o *order.Order) error {
			_, err := s.Open(t.Context(), order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now()})
			return err
		}},
		"save": {opened, in(order.Declined), func(s orders, o *order.Order) error {
			return s.Save(t.Context(), o, order.Charging, time.Hour)
		}},
		"cancel": {opened, cancelled, func(s orders, o *order.Order) error {
			return s.Cancel(t.Context(), o, time.Hour)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := memory(t)
			if write.recorded != nil {
				if conflict, err := s.Open(t.Context(), order.Opening{Order: write.recorded, Hold: time.Hour, CartRead: time.Now()}); conflict != nil || err != nil {
					t.Fatal(conflict, err)
				}
			}
			var left func(context.Context, session) error
			leaving := orders{do: func(_ context.Context, _ kind, work func(context.Context, session) error) error {
				left = work
				return context.DeadlineExceeded
			}}
			o := *write.written
			if err := write.write(leaving, &o); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			o = order.Order{State: order.Charging}
			if err := s.do(t.Context(), other, left); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(write.written, got, cmp.Comparer(func(a, b money.Amount) bool { return a == b })); diff != "" {
				t.Errorf("the record differs from what was given (-want +got):\n%s", diff)
			}
			next := storetest.Order("2")
			next.UserID = opened.UserID
			if conflict, err := s.Open(t.Context(), order.Opening{Order: next, Hold: time.Hour, CartRead: time.Now().Add(time.Hour)}); conflict != nil || err != nil {
				t.Errorf("an order that is over keeps out the next of its user: %v, %v", conflict, err)
			}
		})
	}
}
