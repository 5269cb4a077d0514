// Package store keeps the record of orders in SQL: one table, one row an order, every transition one compare-and-set on
// the row's state and epoch. The row is the order's journal, the outbox of what it owes and the lease of who works on
// it. SQLite does it, in a file that one process has to itself; the statements are those of PostgreSQL too.
//
// What a method has returned nil for is on the disk. An error that is none of those named here says that the outcome is
// not known: a disk may fail after it has taken the write. Asking again is safe, because a write that turns out to be
// made already is done, and not somebody else's.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"checkout/internal/order"
)

var (
	// ErrNotFound: there is no order of that id. It never was, or it has been purged.
	ErrNotFound = errors.New("no such order")
	// ErrExists: there is an order of that id, and it is another one.
	ErrExists = errors.New("the order exists already")
)

var _ order.Store = (*SQLite)(nil)

// Open records a new order, held for as long as given. It returns ErrExists when the id is taken. After a write of any
// order has failed, no new one is taken until the disk has been seen to work again.
func (s *SQLite) Open(ctx context.Context, o *order.Order, hold time.Duration) error {
	r, err := encode(o, hold)
	if err != nil {
		return fmt.Errorf("open order %s: %w", o.ID, err)
	}
	var done bool
	err = s.owner.do(ctx, opening, func(c *conn) (err error) {
		done, err = c.insert(r)
		return err
	})
	if err == nil && !done {
		err = ErrExists
	}
	return describe("open", r.id, err)
}

// Save records o, which was in state from, and leaves it alone for as long as hold says. It returns order.ErrFenced when
// the record is of another state or epoch. When ctx ends first, the write may still be made.
func (s *SQLite) Save(ctx context.Context, o *order.Order, from order.State, hold time.Duration) error {
	r, err := encode(o, hold)
	if err != nil {
		return fmt.Errorf("save order %s: %w", o.ID, err)
	}
	var done bool
	err = s.owner.do(ctx, other, func(c *conn) (err error) {
		done, err = c.update(r, from)
		return err
	})
	if err == nil && !done {
		err = order.ErrFenced
	}
	return describe("save", r.id, err)
}

// Claim takes over at most limit orders of the lane that nobody holds any more, those that have waited longest, and raises
// their epoch. They come in the order in which they were created. Orders that cannot be read are reported in the error,
// and do not keep back the others: both results count. When ctx ends first, orders may be held that nobody works on;
// they are due again after hold.
func (s *SQLite) Claim(ctx context.Context, lane order.Lane, limit int, hold time.Duration) ([]*order.Order, error) {
	claim := claimUnshipped
	if lane == order.Undelivered {
		claim = claimUndelivered
	}
	var claimed []record
	err := s.owner.do(ctx, other, func(c *conn) (err error) {
		claimed, err = c.records(claim, dueIn(hold), dueIn(0), max(limit, 0))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim orders: %w", err)
	}
	slices.SortFunc(claimed, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id))
	})
	orders := make([]*order.Order, 0, len(claimed))
	var unreadable []error
	for i := range claimed {
		o, err := claimed[i].decode()
		if err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		orders = append(orders, o)
	}
	return orders, errors.Join(unreadable...)
}

// Get is the order of that id as it is recorded now, or ErrNotFound.
func (s *SQLite) Get(ctx context.Context, id order.ID) (*order.Order, error) {
	var found []record
	err := s.owner.do(ctx, other, func(c *conn) (err error) {
		found, err = c.records(selectOrder, id)
		return err
	})
	switch {
	case err != nil:
		return nil, describe("get", id, err)
	case len(found) == 0:
		return nil, describe("get", id, ErrNotFound)
	}
	return found[0].decode()
}

// Purge deletes at most limit orders that are final and have been kept for as long as their last Save said. It returns
// how many there were.
func (s *SQLite) Purge(ctx context.Context, limit int) (int, error) {
	var deleted int64
	err := s.owner.do(ctx, other, func(c *conn) (err error) {
		deleted, err = c.exec(deleteOrders, dueIn(0), max(limit, 0))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purge orders: %w", err)
	}
	return int(deleted), nil
}

// Ready is nil when new orders can be recorded, as far as is known.
func (s *SQLite) Ready(ctx context.Context) error {
	return s.owner.do(ctx, opening, func(*conn) error { return nil })
}

func describe(verb string, id order.ID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s order %s: %w", verb, id, err)
}

// insert tells whether r is recorded, by this call or by an earlier one whose answer was lost.
func (c *conn) insert(r *record) (done bool, err error) {
	n, err := c.exec(insertOrder, r.id, r.state, r.epoch, r.due, r.userID, r.delivered, r.attempts, r.created, r.changed, r.body)
	if n > 0 || err != nil {
		return n > 0, err
	}
	return c.holds(r)
}

// update tells whether r is recorded, by this call or by an earlier one whose answer was lost: whoever takes an order
// over raises its epoch, so a row of this epoch that says what r says was written by the caller.
func (c *conn) update(r *record, from order.State) (done bool, err error) {
	n, err := c.exec(updateOrder, r.state, r.due, r.delivered, r.attempts, r.changed, r.body, r.id, r.epoch, from)
	if n > 0 || err != nil {
		return n > 0, err
	}
	return c.holds(r)
}

func (c *conn) holds(r *record) (bool, error) {
	found, err := c.records(selectOrder, r.id)
	return len(found) > 0 && found[0].same(r), err
}
