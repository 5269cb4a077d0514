package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"checkout/internal/order"
)

// errContention: other orders of the user came and went, so that it could not be said which one was in the way.
var errContention = errors.New("too many orders of the user at a time")

// insertion is the recording of a new order as its user's latest.
type insertion struct {
	record   *record
	settled  bool
	hold     int64     // in milliseconds
	cartRead time.Time // when the order's cart was asked for
	over     order.ID  // the latest order that is superseded, settled or not
}

// insert records the order, or returns the one that is in its way.
//
// The table's unique indexes decide, in one statement. What follows when it was not recorded finds out why, and each
// statement is right whatever others do between them: an order that is settled meanwhile is a conflict all the same, and
// one that comes meanwhile keeps the next try out as well. A crash in between can only leave the user without a latest
// order, where the latest would have been superseded.
func (i insertion) insert(ctx context.Context, t session) (conflict *record, err error) {
	const tries = 5
	r := i.record
	for range tries {
		rows, err := t.exec(ctx, insertOrder, r.id, r.state, r.epoch, i.hold, r.userID, r.key, i.settled,
			r.delivered, r.attempts, r.created, r.changed, r.body)
		if rows > 0 || err != nil {
			return nil, err
		}
		found, err := records(ctx, t, selectConflicts, r.id, r.userID, r.key)
		if err != nil {
			return nil, err
		}
		conflict := i.first(found)
		switch {
		case conflict == nil: // it has gone by now
			continue
		case conflict.id == r.id && conflict.same(r):
			return nil, nil // it was recorded before, and the answer was lost
		case conflict.id == r.id:
			return nil, ErrExists
		case !i.supersedes(conflict):
			return conflict, nil
		}
		if _, err := t.exec(ctx, supersede, conflict.id, r.userID); err != nil {
			return nil, err
		}
	}
	return nil, errContention
}

// first is the conflict that counts: the order of the same id, or else of the same key, or else the latest.
func (i insertion) first(conflicts []record) *record {
	for _, counts := range []func(record) bool{
		func(o record) bool { return o.id == i.record.id },
		i.sharesKey,
		func(record) bool { return true },
	} {
		if at := slices.IndexFunc(conflicts, counts); at >= 0 {
			return &conflicts[at]
		}
	}
	return nil
}

func (i insertion) sharesKey(o record) bool { return o.key != "" && o.key == i.record.key }

// supersedes reports whether the new order may take the place of its user's latest.
func (i insertion) supersedes(latest *record) bool {
	switch {
	case i.sharesKey(*latest):
		return false
	case latest.id == i.over:
		return true
	case latest.settled == 0:
		return false
	}
	// By the store's clock the cart was asked for at this time or later: every rounding, and the time that the answer took,
	// make it earlier. An order that was settled at the same time is superseded only if there is no doubt.
	// The process may have slept, which some clocks do not count, and others may have been set: the longer one counts.
	since := max(time.Since(i.cartRead), time.Since(i.cartRead.Round(0)))
	age := (since + time.Millisecond - 1) / time.Millisecond
	return latest.settled <= latest.read-int64(age)
}
