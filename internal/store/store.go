// Package store keeps the record of orders in SQL: one table, one row per order, and every transition is one compare-and-set on
// the row's state and epoch. The row is the order's journal, its outbox, the lease of its process, and the target of its
// idempotency key. It is SQLite, in a file that one process owns, or PostgreSQL, for any number of replicas; the statements are
// the same.
//
// When a method returns nil, its write is on the disk. An error that is not among those named here means that the outcome is
// not known: a disk may fail after it has taken the write. Repeating a call is safe, because a write that was made already is
// recognized.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"checkout/internal/order"
)

// ErrExists: there is an order of that id, and it is another one.
var ErrExists = errors.New("the order exists already")

var (
	_ order.Store = (*SQLite)(nil)
	_ order.Store = (*Postgres)(nil)
)

// session carries out statements, each atomic by itself at least.
type session interface {
	// exec returns how many rows the statement changed.
	exec(ctx context.Context, query string, args ...any) (int64, error)
	// rows are what the statement returns, to be closed.
	rows(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// atomically has work done in one transaction.
	atomically(ctx context.Context, work func(session) error) error
}

// read returns all rows of a statement. fields are what a row is scanned into.
func read[T any](ctx context.Context, t session, fields func(*T) []any, query string, args ...any) (all []T, err error) {
	rows, err := t.rows(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		all = append(all, *new(T))
		if err := rows.Scan(fields(&all[len(all)-1])...); err != nil {
			return nil, err
		}
	}
	return all, rows.Err()
}

// records are the rows of orders that a statement returns.
func records(ctx context.Context, t session, query string, args ...any) ([]record, error) {
	return read(ctx, t, (*record).fields, query, args...)
}

// orders is the table of orders, wherever it lies.
//
// do has work done by a session. It may do it more than once, and may leave it behind when ctx ends: what work sets may be
// read after nil only.
type orders struct {
	do     func(ctx context.Context, k kind, work func(context.Context, session) error) error
	secret []byte // the record's, for hashes
}

// Open records a new order as its user's latest, or returns the order that is in its way, as order.Store says. It returns
// ErrExists when the id is taken. While the store is known not to take writes, it fails at once.
func (s orders) Open(ctx context.Context, o order.Opening) (*order.Order, error) {
	r, err := encode(o.Order)
	if err != nil {
		return nil, describe("open", o.Order.ID, err)
	}
	i := insertion{r, o.Order.Settled(), millis(o.Hold), o.CartRead, o.Supersede}
	var conflict *record
	err = s.do(ctx, opening, func(ctx context.Context, t session) (err error) {
		conflict, err = i.insert(ctx, t)
		return err
	})
	if err != nil || conflict == nil {
		return nil, describe("open", r.id, err)
	}
	return conflict.decode()
}

// Save records o, which was in state from, and leaves it alone for as long as hold says. It returns order.ErrFenced when
// the record is of another state or epoch. The user of an order stays the same, and so does its key, unless o has none.
// When ctx ends first, the write may still be made.
func (s orders) Save(ctx context.Context, o *order.Order, from order.State, hold time.Duration) error {
	r, err := encode(o)
	if err != nil {
		return describe("save", o.ID, err)
	}
	var found terms
	if time.Since(o.Created) > indexAge/2 && o.State != from {
		found = s.termsOf(o)
	}
	update, args := updateOrder(r, found)
	args = append([]any{r.state, r.attempts, r.delivered, millis(hold), r.changed, r.body, o.Settled(), r.id, r.epoch, from}, args...)
	err = s.do(ctx, other, func(ctx context.Context, t session) error {
		n, err := t.exec(ctx, update, args...)
		if n > 0 || err != nil {
			return err
		}
		// A takeover raises the epoch, so a row of this epoch that states what r states was written by the caller, and the
		// answer was lost.
		found, err := records(ctx, t, selectOrder, r.id)
		if err == nil && (len(found) == 0 || !found[0].same(r)) {
			err = order.ErrFenced
		}
		return err
	})
	return describe("save", r.id, err)
}

// Cancel records o, which is cancelled and was never charged, whether or not it is on record already; an Open of it that
// comes later records nothing. It returns order.ErrFenced when the record is of a state other than charging, in doubt and
// cancelled. When ctx ends first, the write may still be made.
func (s orders) Cancel(ctx context.Context, o *order.Order, hold time.Duration) error {
	r, err := encode(o)
	if err != nil {
		return describe("cancel", o.ID, err)
	}
	err = s.do(ctx, other, func(ctx context.Context, t session) error {
		n, err := t.exec(ctx, cancelOrder, r.id, order.Cancelled, r.epoch, millis(hold), r.userID,
			r.delivered, r.attempts, r.created, r.changed, r.body)
		if n > 0 || err != nil {
			return err
		}
		found, err := records(ctx, t, selectOrder, r.id)
		if err == nil && (len(found) == 0 || found[0].state != order.Cancelled) {
			err = order.ErrFenced
		}
		return err
	})
	return describe("cancel", r.id, err)
}

// Claim takes over at most limit orders of the queue whose hold is over, those that have waited longest, and raises their
// epoch. They are returned in the order in which they were created. Orders that cannot be read are reported in the error,
// together with the others. When ctx ends first, orders may be held that are not returned; they are due again after hold.
func (s orders) Claim(ctx context.Context, queue order.Queue, limit int, hold time.Duration) ([]*order.Order, error) {
	claim := claimShipping
	if queue == order.DeliveryQueue {
		claim = claimDelivery
	}
	claimed, err := s.find(ctx, claim, max(limit, 0), millis(hold))
	if err != nil {
		return nil, fmt.Errorf("claim orders: %w", err)
	}
	slices.SortFunc(claimed, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id))
	})
	return decodeAll(claimed)
}

// Take takes over one order that requires an operator, which it goes on doing, or is completed, and raises its epoch. It returns
// order.ErrFenced when the order is in another state, and order.ErrNotFound when there is none.
func (s orders) Take(ctx context.Context, id order.ID) (*order.Order, error) {
	var taken []record
	err := s.do(ctx, other, func(ctx context.Context, t session) (err error) {
		taken, err = records(ctx, t, takeOrder, id)
		if len(taken) > 0 || err != nil {
			return err
		}
		found, err := records(ctx, t, selectOrder, id)
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return order.ErrNotFound
		}
		return order.ErrFenced
	})
	if err != nil {
		return nil, describe("take", id, err)
	}
	return taken[0].decode()
}

// Get is the order of that id as it is recorded now, or order.ErrNotFound.
func (s orders) Get(ctx context.Context, id order.ID) (*order.Order, error) {
	found, err := s.one(ctx, selectOrder, id)
	if err != nil {
		return nil, describe("get", id, err)
	}
	return found.decode()
}

// Find is the user's order of that key or, without a key, the user's latest, or order.ErrNotFound.
func (s orders) Find(ctx context.Context, userID, key string) (*order.Order, error) {
	query, args := selectLatest, []any{userID}
	if key != "" {
		query, args = selectKey, []any{userID, key}
	}
	found, err := s.one(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("find the order of a user: %w", err)
	}
	return found.decode()
}

// Purge deletes at most limit orders that are final and have been kept for as long as their last Save said. It returns
// how many there were.
func (s orders) Purge(ctx context.Context, limit int) (int, error) {
	deleted, err := s.change(ctx, deleteOrders, max(limit, 0))
	if err != nil {
		return 0, fmt.Errorf("purge orders: %w", err)
	}
	return int(deleted), nil
}

// erasePart is how many orders are looked through at a time, so that no order waits long for it.
const erasePart = 200

// Erase deletes the finished orders of a user at once, and with them what their keys led to. It returns how many there
// were, and which orders of the user are not finished and therefore kept. Interrupted, it may be repeated.
func (s orders) Erase(ctx context.Context, userID string) (erased int, open []order.ID, err error) {
	for last := order.ID(""); ; {
		part, err := s.find(ctx, selectPart, last, erasePart, userID)
		if err != nil {
			return erased, open, fmt.Errorf("find the orders of a user: %w", err)
		}
		if len(part) == 0 {
			return erased, open, nil
		}
		for i := range part {
			if part[i].userID != userID {
				continue
			}
			gone, err := s.change(ctx, eraseOrder, part[i].id)
			if err != nil {
				return erased, open, describe("erase", part[i].id, err)
			}
			if erased += int(gone); gone == 0 {
				open = append(open, part[i].id)
			}
		}
		last = part[len(part)-1].id
	}
}

// change carries out one statement, and returns how many rows it has changed.
func (s orders) change(ctx context.Context, statement string, args ...any) (int64, error) {
	var rows int64 // the work's alone until do returns nil
	err := s.do(ctx, other, func(ctx context.Context, t session) (err error) {
		rows, err = t.exec(ctx, statement, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return rows, nil
}

// query is read as work of its own.
func query[T any](ctx context.Context, s orders, fields func(*T) []any, statement string, args ...any) ([]T, error) {
	var found []T // the work's alone until do returns nil
	err := s.do(ctx, other, func(ctx context.Context, t session) (err error) {
		found, err = read(ctx, t, fields, statement, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// find are the orders' rows that one statement returns.
func (s orders) find(ctx context.Context, statement string, args ...any) ([]record, error) {
	return query(ctx, s, (*record).fields, statement, args...)
}

// one is the row that one statement returns, or order.ErrNotFound.
func (s orders) one(ctx context.Context, statement string, args ...any) (*record, error) {
	found, err := s.find(ctx, statement, args...)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, order.ErrNotFound
	}
	return &found[0], nil
}

func describe(verb string, id order.ID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s order %s: %w", verb, id, err)
}
