package sim

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

// records is an order.Store in memory: as little code as its contract allows.
type records struct {
	mu     sync.Mutex
	rows   []*row // as opened
	latest map[string]order.ID
	closed bool
}

// row is an order on record.
type row struct {
	order   order.Order
	due     time.Time
	waits   bool
	settled time.Time // when it became so; zero before
}

func newRecords() *records { return &records{latest: map[string]order.ID{}} }

var (
	errClosed = errors.New("the store is closed")
	errExists = errors.New("another order has this id")
)

// copied is o, sharing nothing with it that may change, and with its texts as a database takes them.
func copied(o *order.Order) order.Order {
	c := *o
	c.Items, c.History, c.Trace = slices.Clone(o.Items), slices.Clone(o.History), maps.Clone(o.Trace)
	c.Reason = text(o.Reason)
	for k, v := range c.Trace {
		c.Trace[k] = text(v)
	}
	for i := range c.History {
		c.History[i].Problem = text(c.History[i].Problem)
	}
	return c
}

func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// do runs f alone, unless its caller has left.
func (s *records) do(ctx context.Context, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.closed:
		return errClosed
	}
	return f()
}

func (s *records) row(id order.ID) *row {
	for _, r := range s.rows {
		if r.order.ID == id {
			return r
		}
	}
	return nil
}

func (s *records) byKey(user, key string) *row {
	for _, r := range s.rows {
		if key != "" && r.order.UserID == user && r.order.Key == key {
			return r
		}
	}
	return nil
}

// put writes an order into its row.
func (r *row) put(o *order.Order, hold time.Duration) {
	r.order = copied(o)
	r.hold(hold)
	if o.Settled() && r.settled.IsZero() { // and so it stays
		r.settled = time.Now()
	}
}

func (r *row) hold(hold time.Duration) {
	r.due, r.waits = time.Now().Add(hold), hold == order.UntilResolved
}

func (r *row) copy() *order.Order {
	o := copied(&r.order)
	return &o
}

// same reports whether o states what is on record, whenever and for whatever reason it came to be so.
func (r *row) same(o *order.Order) bool { return reflect.DeepEqual(facts(&r.order), facts(o)) }

func facts(o *order.Order) order.Order {
	f := copied(o)
	f.Changed, f.Reason, f.History, f.Attempts = time.Time{}, "", nil, 0
	return f
}

// Open implements order.Store.
func (s *records) Open(ctx context.Context, opening order.Opening) (conflict *order.Order, err error) {
	o := opening.Order
	err = s.do(ctx, func() error {
		if known := s.row(o.ID); known != nil {
			if known.same(o) {
				return nil
			}
			return errExists
		}
		if r := s.conflict(opening); r != nil {
			conflict = r.copy()
			return nil
		}
		r := &row{}
		r.put(o, opening.Hold)
		s.rows = append(s.rows, r)
		s.latest[o.UserID] = o.ID
		return nil
	})
	return conflict, err
}

// conflict is the order that keeps another from being opened, or nil.
func (s *records) conflict(opening order.Opening) *row {
	o := opening.Order
	if r := s.byKey(o.UserID, o.Key); r != nil {
		return r
	}
	r := s.row(s.latest[o.UserID])
	switch {
	case r == nil, r.order.ID == opening.Supersede:
		return nil
	case !r.settled.IsZero() && r.settled.Before(opening.CartRead):
		return nil
	}
	return r
}

// Save implements order.Store.
func (s *records) Save(ctx context.Context, o *order.Order, from order.State, hold time.Duration) error {
	return s.do(ctx, func() error {
		r := s.row(o.ID)
		switch {
		case r == nil:
			return order.ErrFenced
		case r.order.Epoch == o.Epoch && r.order.State == from:
			r.put(o, hold)
		case !r.same(o):
			return order.ErrFenced
		}
		return nil
	})
}

// Cancel implements order.Store.
func (s *records) Cancel(ctx context.Context, o *order.Order, hold time.Duration) error {
	return s.do(ctx, func() error {
		r := s.row(o.ID)
		switch {
		case r == nil:
			r = &row{}
			r.put(o, hold)
			s.rows = append(s.rows, r)
		case r.order.State == order.Charging || r.order.State == order.InDoubt:
			epoch := r.order.Epoch
			r.put(o, hold)
			r.order.Epoch = epoch
		case r.order.State != order.Cancelled:
			return order.ErrFenced
		}
		return nil
	})
}

// Claim implements order.Store.
func (s *records) Claim(ctx context.Context, queue order.Queue, limit int, hold time.Duration) (claimed []*order.Order, err error) {
	err = s.do(ctx, func() error {
		var due []*row
		for _, r := range s.rows {
			if r.order.State.Queue() == queue && !r.waits && !r.due.After(time.Now()) {
				due = append(due, r)
			}
		}
		slices.SortStableFunc(due, func(a, b *row) int { return a.due.Compare(b.due) })
		for _, r := range due[:min(max(limit, 0), len(due))] {
			r.order.Epoch++
			r.hold(hold)
			claimed = append(claimed, r.copy())
		}
		return nil
	})
	return claimed, err
}

// Take implements order.Store.
func (s *records) Take(ctx context.Context, id order.ID) (o *order.Order, err error) {
	err = s.do(ctx, func() error {
		r := s.row(id)
		switch {
		case r == nil:
			return order.ErrNotFound
		case !r.waits && r.order.State != order.Completed:
			return order.ErrFenced
		}
		r.order.Epoch++
		o = r.copy()
		return nil
	})
	return o, err
}

// read copies the row that find finds.
func (s *records) read(ctx context.Context, find func() *row) (o *order.Order, err error) {
	err = s.do(ctx, func() error {
		r := find()
		if r == nil {
			return order.ErrNotFound
		}
		o = r.copy()
		return nil
	})
	return o, err
}

// Get implements order.Store.
func (s *records) Get(ctx context.Context, id order.ID) (*order.Order, error) {
	return s.read(ctx, func() *row { return s.row(id) })
}

// Find implements order.Store.
func (s *records) Find(ctx context.Context, user, key string) (*order.Order, error) {
	return s.read(ctx, func() *row {
		if key != "" {
			return s.byKey(user, key)
		}
		return s.row(s.latest[user])
	})
}

// List returns the orders that q selects, the largest id first, and where the next page begins.
func (s *records) List(ctx context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error) {
	err = s.do(ctx, func() error {
		rows := slices.Clone(s.rows)
		slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(b.order.ID, a.order.ID) })
		for _, r := range rows {
			switch {
			case !q.Selects(&r.order) || q.Before != "" && r.order.ID >= q.Before:
			case len(found) < q.Limit:
				found = append(found, r.copy())
			case len(found) > 0:
				next = found[len(found)-1].ID
			}
		}
		return nil
	})
	return found, next, err
}

// Purge deletes at most limit orders that are final and no longer held, and returns how many.
func (s *records) Purge(ctx context.Context, limit int) (n int, err error) {
	err = s.do(ctx, func() error {
		s.rows = slices.DeleteFunc(s.rows, func(r *row) bool {
			gone := n < limit && r.order.State.Final() && !r.due.After(time.Now())
			if gone {
				n++
				maps.DeleteFunc(s.latest, func(_ string, id order.ID) bool { return id == r.order.ID })
			}
			return gone
		})
		return nil
	})
	return n, err
}

// Close makes every later call fail.
func (s *records) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
