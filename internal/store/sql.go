package store

import (
	"fmt"
	"strings"

	"checkout/internal/order"
)

// The statements, in the SQL that SQLite, PostgreSQL, CockroachDB and YugabyteDB have in common. Each is atomic by
// itself, touches one table, and finds its rows by a key or an index.
//
// Two names stand for the time by the store's clock, in Unix milliseconds: @now, rounded down, and @late, rounded up.
// SQLite is given them, because its clock is the one of its process; in PostgreSQL they are expressions. What stands in
// comments is for PostgreSQL alone.
const (
	// columns are those of a record, in the order of its fields.
	columns = `id, state, epoch, user_id, COALESCE(key, ''), COALESCE(settled, 0), delivered, attempts, created, changed, body, @now`

	// atRest is the due of an order that recovery does not take up: math.MaxInt64.
	atRest = `9223372036854775807`

	// shipping and delivery are the states in the queues of order.State.Queue, attention those that require an operator in
	// any case, and final those of Final. The conditions are word for word those of the indexes, or these would not be used.
	// With IN instead of OR, SQLite would build and drop a table for each index whenever it writes a row.
	shipping  = `(state = 1 OR state = 2 OR state = 6 OR state = 7)`
	delivery  = `state = 3`
	attention = `(state = 10 OR state = 11)`
	unplaced  = `(state = 5 OR state = 8 OR state = 9)`
	final     = `(state = 4 OR state = 5 OR state = 8 OR state = 9)`

	// insertOrder changes no row when there is one of that id, one of that user and key, or one that is the user's latest.
	insertOrder = `
		INSERT INTO orders (id, state, epoch, due, user_id, key, latest_of, settled, delivered, attempts, created, changed, body)
		VALUES ($1, $2, $3, ` + dueIn4 + `, $5, NULLIF($6, ''), $5, CASE WHEN $7 THEN @late END, $8, $9, $10, $11, $12)
		ON CONFLICT DO NOTHING`
	dueIn4 = `CASE WHEN $4 = ` + atRest + ` THEN ` + atRest + ` ELSE @now + $4 END`

	// cancelOrder makes an order cancelled that is charging or in doubt, and records one that is not on record, so that it
	// keeps out an insertOrder of its id that comes later.
	cancelOrder = `
		INSERT INTO orders (id, state, epoch, due, user_id, settled, delivered, attempts, created, changed, body)
		VALUES ($1, $2, $3, ` + dueIn4 + `, $5, @late, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, due = excluded.due, key = NULL,
			settled = COALESCE(orders.settled, excluded.settled), delivered = excluded.delivered, attempts = excluded.attempts,
			changed = excluded.changed, body = excluded.body
		WHERE orders.` + uncharged
	uncharged = `state IN (1, 6)`

	// selectConflicts are the rows that may have kept an order out: that of its id, that of its key, its user's latest.
	selectConflicts = `
		SELECT ` + columns + ` FROM orders
		WHERE id = $1 OR latest_of = $2 OR (user_id = $2 AND key = NULLIF($3, ''))`

	// supersede makes room for a later order.
	supersede = `UPDATE orders SET latest_of = NULL WHERE id = $1 AND latest_of = $2`

	selectOrder  = `SELECT ` + columns + ` FROM orders WHERE id = $1`
	selectKey    = `SELECT ` + columns + ` FROM orders WHERE user_id = $1 AND key = $2`
	selectLatest = `SELECT ` + columns + ` FROM orders WHERE latest_of = $1`

	// A claim asks twice whether a row is due, for databases that look at it again after they have waited for its lock. Its
	// rows are chosen in a part of their own that is carried out once, so that they are not more than the limit.
	claimShipping = claim + shipping + claimed
	claimDelivery = claim + delivery + claimed

	claim = `
		WITH chosen AS MATERIALIZED (
			SELECT id FROM orders WHERE `
	claimed = ` AND due <= @now ORDER BY due LIMIT $1 /* FOR UPDATE SKIP LOCKED */)
		UPDATE orders SET epoch = epoch + 1, due = ` + dueIn2 + `
		WHERE due <= @now AND id IN (SELECT id FROM chosen)
		RETURNING ` + columns
	dueIn2 = `CASE WHEN $2 = ` + atRest + ` THEN ` + atRest + ` ELSE @now + $2 END`

	takeOrder = `
		UPDATE orders SET epoch = epoch + 1
		WHERE id = $1 AND (due = ` + atRest + ` OR state = 4)
		RETURNING ` + columns

	deleteOrders = `
		WITH chosen AS MATERIALIZED (
			SELECT id FROM orders WHERE ` + final + ` AND due <= @now ORDER BY due LIMIT $1 /* FOR UPDATE SKIP LOCKED */)
		DELETE FROM orders WHERE id IN (SELECT id FROM chosen)`

	// selectPart goes through all orders, so many at a time: it selects those of a user among the orders after an id, and the
	// last of these, whosever it is, to go on from. There is no index of users, which every order would pay for.
	selectPart = `
		WITH part AS MATERIALIZED (SELECT * FROM orders WHERE id > $1 ORDER BY id LIMIT $2)
		SELECT ` + columns + ` FROM part
		WHERE user_id = $3 OR id = (SELECT MAX(id) FROM part)
		ORDER BY id`

	// eraseOrder deletes an order that is final, however long it was to be kept.
	eraseOrder = `DELETE FROM orders WHERE id = $1 AND ` + final

	// A release makes due what an owner that is gone has held. What rests has no owner.
	releaseShipping = `UPDATE orders SET due = @now WHERE ` + shipping + ` AND due > @now AND due < ` + atRest
	releaseDelivery = `UPDATE orders SET due = @now WHERE ` + delivery + ` AND due > @now`
)

// listOrders is the statement for a query of these states, as a set of bits: newest first, which is by id, because an id
// begins with its time. Orders that are not finished are few, and those that were not placed are in an index by state.
func listOrders(states int64) string {
	const newest = ` ORDER BY id DESC LIMIT $6`
	query := `SELECT ` + columns + ` FROM orders
		WHERE id >= $1 AND id < $2 AND (1 << state) & $3 <> 0 AND created >= $4 AND created < $5`
	if states&bits(order.Completed) != 0 {
		return query + newest
	}
	var few, parts []string
	for _, queue := range []struct {
		term   string
		states int64
	}{
		{shipping, bits(order.Charging, order.Charged, order.InDoubt, order.Refunding)},
		{delivery, bits(order.Placed)},
		{attention, bits(order.Parked, order.Undelivered)},
	} {
		if states&queue.states != 0 {
			few = append(few, `SELECT id FROM orders WHERE `+queue.term)
		}
	}
	if few != nil {
		parts = append(parts, query+` AND id IN (`+strings.Join(few, ` UNION ALL `)+`)`+newest)
	}
	for _, state := range []order.State{order.Declined, order.Refunded, order.Cancelled} {
		if states&bits(state) != 0 {
			parts = append(parts, fmt.Sprintf(`%s AND state = %d AND %s%s`, query, state, unplaced, newest))
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	for i, part := range parts {
		parts[i] = fmt.Sprintf(`SELECT * FROM (%s) AS part%d`, part, i)
	}
	return strings.Join(parts, ` UNION ALL `) + newest
}

// updateOrder is the statement that saves r, and its arguments after the tenth. It is the compare-and-set: it changes no row
// of another state or epoch. Each index of a column that it sets would cost a page a time, so it sets a key only to give it
// up, and hashes only when the order may have been indexed without them.
func updateOrder(r *record, found terms) (statement string, args []any) {
	const (
		set = `
		UPDATE orders SET state = $1, attempts = $2, delivered = $3, due = ` + dueIn4 + `, changed = $5, body = $6,
			settled = CASE WHEN $7 THEN COALESCE(settled, @late) ELSE settled END`
		where = `
		WHERE id = $8 AND epoch = $9 AND state = $10`
	)
	statement = set + where
	if r.key == "" {
		statement = set + `, key = NULL` + where
	}
	for _, t := range []struct {
		column string
		hash   any
	}{{byTransaction, found.transaction}, {byTracking, found.tracking}} {
		if t.hash != nil {
			args = append(args, t.hash)
			statement = fmt.Sprintf(`%s, %s = $%d%s`, strings.TrimSuffix(statement, where), t.column, 10+len(args), where)
		}
	}
	return statement, args
}

// bits is a set of states: bit n for the state of number n.
func bits(states ...order.State) (set int64) {
	for _, state := range states {
		set |= 1 << state
	}
	return set
}
