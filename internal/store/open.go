package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"checkout/internal/order"
)

// errCrowd: other orders of the user came and went, so that it could not be said which one was in the way.
var errCrowd = errors.New("too many orders of the user at a time")

// newcomer is a new order that wants to be its user's latest.
type newcomer struct {
	record  *record
	settled bool
	hold    int64     // in milliseconds
	asked   time.Time // when its cart was asked for
	over    order.ID  // the latest order that gives way, settled or not
}

// enter records the newcomer, or returns the rival that stands in its way.
//
// The table's unique indexes decide, in one statement. What follows when it was not recorded finds out why, and each
// statement is right whatever others do between them: an order that is settled meanwhile is a rival all the same, and
// one that comes meanwhile keeps the next try out as well. A crash in between can only leave the user without a latest
// order, where the latest would have given way.
func (n newcomer) enter(ctx context.Context, t session) (rival *record, err error) {
	const tries = 5
	r := n.record
	for range tries {
		rows, err := t.exec(ctx, insertOrder, r.id, r.state, r.epoch, n.hold, r.userID, r.key, n.settled,
			r.delivered, r.attempts, r.created, r.changed, r.body, r.terms.user, r.terms.email, r.terms.transaction, r.terms.tracking)
		if rows > 0 || err != nil {
			return nil, err
		}
		obstacles, err := t.records(ctx, selectObstacles, r.id, r.userID, r.key)
		if err != nil {
			return nil, err
		}
		obstacle := n.first(obstacles)
		switch {
		case obstacle == nil: // it has gone by now
			continue
		case obstacle.id == r.id && obstacle.same(r):
			return nil, nil // it was recorded before, and the answer was lost
		case obstacle.id == r.id:
			return nil, ErrExists
		case !n.passes(obstacle):
			return obstacle, nil
		}
		if _, err := t.exec(ctx, supersede, obstacle.id, r.userID); err != nil {
			return nil, err
		}
	}
	return nil, errCrowd
}

// first is the obstacle that counts: the one of the same id, or else of the same key, or else the latest.
func (n newcomer) first(obstacles []record) *record {
	for _, counts := range []func(record) bool{
		func(o record) bool { return o.id == n.record.id },
		n.sharesKey,
		func(record) bool { return true },
	} {
		if i := slices.IndexFunc(obstacles, counts); i >= 0 {
			return &obstacles[i]
		}
	}
	return nil
}

func (n newcomer) sharesKey(o record) bool { return o.key != "" && o.key == n.record.key }

// passes tells whether the newcomer may take the place of its user's latest order.
func (n newcomer) passes(latest *record) bool {
	switch {
	case n.sharesKey(*latest):
		return false
	case latest.id == n.over:
		return true
	case latest.settled == 0:
		return false
	}
	// By the store's clock the cart was asked for at this time or later: every rounding, and the time that the answer took,
	// make it earlier. An order that was settled at the same time gives way only if there is no doubt.
	// The process may have slept, which some clocks do not count, and others may have been set: the longer one counts.
	since := max(time.Since(n.asked), time.Since(n.asked.Round(0)))
	age := (since + time.Millisecond - 1) / time.Millisecond
	return latest.settled <= latest.read-int64(age)
}
