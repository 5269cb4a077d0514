package order

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"
)

// The record of the shop.

type row struct {
	Order

	due     time.Time // zero: the order rests
	latest  bool      // of its user
	settled time.Time
}

func (s *shop) Open(ctx context.Context, opening Opening) (conflict *Order, err error) {
	o := opening.Order
	if s.opening != nil {
		s.opening(o)
	}
	err = s.call(ctx, "open", func() error {
		if r, again := s.rows[o.ID]; again {
			if r.State != o.State {
				return errors.New("the order exists already")
			}
			return nil
		}
		for _, r := range s.rows {
			same := r.UserID == o.UserID
			late := r.settled.IsZero() || !r.settled.Before(opening.CartRead)
			if same && (o.Key != "" && r.Key == o.Key || r.latest && late && r.ID != opening.Supersede) {
				copied := r.Order
				conflict = &copied
				return nil
			}
		}
		for _, r := range s.rows {
			r.latest = r.latest && r.UserID != o.UserID
		}
		s.rows[o.ID] = &row{Order: *o, due: dueIn(opening.Hold), latest: true}
		return nil
	})
	return conflict, err
}

func dueIn(hold time.Duration) time.Time {
	if hold == UntilResolved {
		return time.Time{}
	}
	return time.Now().Add(hold)
}

func (s *shop) Save(ctx context.Context, o *Order, from State, hold time.Duration) error {
	return s.call(ctx, Step("save "+o.State.String()), func() error {
		r, ok := s.rows[o.ID]
		switch {
		case ok && r.State == from && r.Epoch == o.Epoch:
		case ok && reflect.DeepEqual(facts(r.Order), facts(*o)): // an earlier Save was made, and its answer lost
			return nil
		default:
			return ErrFenced
		}
		r.Order, r.due = *o, dueIn(hold)
		if r.settled.IsZero() && o.Settled() {
			r.settled = time.Now()
		}
		return nil
	})
}

// facts are what two records of one write have in common.
func facts(o Order) Order {
	o.Changed, o.Reason, o.History, o.Attempts = time.Time{}, "", nil, 0
	return o
}

func (s *shop) Cancel(ctx context.Context, o *Order, hold time.Duration) error {
	return s.call(ctx, "cancel", func() error {
		r, ok := s.rows[o.ID]
		switch {
		case !ok:
			s.rows[o.ID] = &row{Order: *o, due: dueIn(hold), settled: time.Now()}
		case r.State == Charging || r.State == InDoubt:
			epoch := r.Epoch
			r.Order, r.due, r.settled = *o, dueIn(hold), time.Now()
			r.Epoch = epoch
		case r.State != Cancelled:
			return ErrFenced
		}
		return nil
	})
}

func (s *shop) Claim(ctx context.Context, queue Queue, limit int, hold time.Duration) (claimed []*Order, err error) {
	err = s.call(ctx, "claim", func() error {
		for _, r := range s.rows {
			if len(claimed) < limit && r.State.Queue() == queue && !r.due.IsZero() && r.due.Before(time.Now()) {
				r.Epoch++
				r.due = time.Now().Add(hold)
				o := r.Order
				claimed = append(claimed, &o)
			}
		}
		return nil
	})
	return claimed, err
}

func (s *shop) Take(ctx context.Context, id ID) (taken *Order, err error) {
	err = s.call(ctx, "take", func() error {
		r, ok := s.rows[id]
		switch {
		case !ok:
			return ErrNotFound
		case !r.due.IsZero() && r.State != Completed:
			return ErrFenced
		}
		r.Epoch++
		o := r.Order
		taken = &o
		return nil
	})
	return taken, err
}

func (s *shop) Get(ctx context.Context, id ID) (*Order, error) {
	return s.look(ctx, func(r *row) bool { return r.ID == id })
}

func (s *shop) Find(ctx context.Context, user, key string) (*Order, error) {
	return s.look(ctx, func(r *row) bool {
		return r.UserID == user && (key != "" && r.Key == key || key == "" && r.latest)
	})
}

func (s *shop) look(ctx context.Context, is func(*row) bool) (found *Order, err error) {
	err = s.call(ctx, "look", func() error {
		for _, r := range s.rows {
			if is(r) {
				o := r.Order
				found = &o
				return nil
			}
		}
		return ErrNotFound
	})
	return found, err
}

// recordSteps reports whether a step is one of the store's.
func recordSteps(s Step) bool {
	return s == "open" || s == "claim" || s == "take" || s == "look" || s == "cancel" || strings.HasPrefix(string(s), "save ")
}
