package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/wait"
)

// What an order is found by, beside its id and its time, are hashes in columns of its row, under a key that the record
// keeps: short, so that the indexes stay small, and of no use without the key.
//
// An order gets them when it is some seconds old, with others: with each order, four indexes would double what is written.
// Among those that are younger, a search looks at each.

// terms are the hashes of what an order is found by. nil: there is nothing to find it by.
type terms struct{ user, email, transaction, tracking any }

// term is something that an order is found by, and the column that has its hash.
type term struct{ column, value string }

const (
	byUser        = "user_hash"
	byEmail       = "email_hash"
	byTransaction = "transaction_hash"
	byTracking    = "tracking_hash"
)

// termsOf are the hashes for the row of o.
func (s orders) termsOf(o *order.Order) terms {
	return terms{
		user:        s.hash(term{byUser, o.UserID}),
		email:       s.hash(term{byEmail, folded(o.Email)}),
		transaction: s.hash(term{byTransaction, o.TransactionID}),
		tracking:    s.hash(term{byTracking, o.TrackingID}),
	}
}

// readSecret is the record's secret, which the first process makes.
func readSecret(ctx context.Context, t session) ([]byte, error) {
	secret, err := selectSecret(ctx, t)
	if err != nil || secret != nil {
		return secret, err
	}
	made := make([]byte, sha256.Size)
	_, _ = rand.Read(made) // never fails: crypto/rand
	if _, err := t.exec(ctx, `INSERT INTO orders_secret (id, secret, indexed) VALUES (1, $1, '') ON CONFLICT (id) DO NOTHING`, made); err != nil {
		return nil, fmt.Errorf("make the record's secret: %w", err)
	}
	return selectSecret(ctx, t)
}

func selectSecret(ctx context.Context, t session) ([]byte, error) {
	found, err := read(ctx, t, func(secret *[]byte) []any { return []any{secret} }, `SELECT secret FROM orders_secret WHERE id = 1`)
	if err != nil {
		return nil, fmt.Errorf("read the record's secret: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// hash is the first 64 bits of an HMAC-SHA256, or nil for nothing. Who searches looks at the order itself as well.
func (s orders) hash(t term) any {
	if t.value == "" {
		return nil
	}
	mac := hmac.New(sha256.New, s.secret)
	_, _ = mac.Write([]byte(t.column + "\x00" + t.value)) // never fails
	return int64(binary.BigEndian.Uint64(mac.Sum(nil)))   //nolint:gosec // its bits matter, not its value
}

// folded is an address as it is compared: people do not mind upper and lower case.
func folded(e order.EmailAddress) string { return strings.ToLower(string(e)) }

const (
	// searchPart is how many orders a search looks at in one go, so that no order waits long for it, and searchParts how
	// many times before it returns what it has found.
	searchPart  = 250
	searchParts = 8
)

// List returns the orders that q selects, newest first (the largest id), and where the next page begins; "" after the last. A
// page may have fewer orders than q.Limit, or none, and not be the last. Orders that cannot be read are reported in the error;
// the others and next count all the same.
func (s orders) List(ctx context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error) {
	t := rarest(q)
	if t.value == "" {
		return s.page(ctx, q)
	}
	mark, err := s.indexed(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("list orders: %w", err)
	}
	first, end, _, _ := bounds(q)
	hash := s.hash(t)
	var unreadable []error
	for range searchParts {
		var part []record
		young := end > mark
		if young {
			part, err = s.find(ctx, selectYoung, max(first, mark), end, searchPart)
		} else {
			part, err = s.find(ctx, searchOrders(t.column), hash, first, end, searchPart)
		}
		if err != nil {
			return nil, "", fmt.Errorf("list orders: %w", err)
		}
		for i := range part {
			switch o, err := part[i].decode(); {
			case err != nil:
				unreadable = append(unreadable, err)
			case !q.Selects(o):
			case len(found) == q.Limit:
				return found, found[len(found)-1].ID, errors.Join(unreadable...)
			default:
				found = append(found, o)
			}
		}
		switch {
		case len(part) == searchPart:
			end = string(part[len(part)-1].id)
		case young && first < mark:
			end = mark
		default:
			return found, "", errors.Join(unreadable...)
		}
	}
	return found, order.ID(end), errors.Join(unreadable...)
}

// page is a list by ids, times and states alone.
func (s orders) page(ctx context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error) {
	limit := max(q.Limit, 0)
	states := bits(q.States...)
	if len(q.States) == 0 {
		states = bits(order.States()...)
	}
	first, end, from, until := bounds(q)
	rows, err := s.find(ctx, listOrders(states), first, end, states, from, until, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list orders: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		if limit > 0 {
			next = rows[limit-1].id
		}
	}
	found, err = decodeAll(rows)
	return found, next, err
}

// bounds are the ids, and the times of creation, that q selects: those from the first of each to before the second.
func bounds(q lookup.Query) (first, end string, from, until int64) {
	first, end = q.Prefix, q.Prefix+beyond
	from, until = math.MinInt64, math.MaxInt64
	if !q.From.IsZero() {
		from, first = q.From.UnixMilli(), max(first, idAt(q.From.Add(-slack)))
	}
	if !q.Until.IsZero() {
		until, end = q.Until.UnixMilli(), min(end, idAt(q.Until.Add(slack)))
	}
	if q.Before != "" {
		end = min(end, string(q.Before))
	}
	return first, end, from, until
}

// beyond, after an id, comes after that id and before the next: ids are hexadecimal.
const beyond = "g"

// slack is how far the time in an order's id and that of its creation may be apart.
const slack = time.Minute

// idAt is the beginning of the ids of version 7 that are made at a time: none that is made before comes after it.
func idAt(t time.Time) string {
	ms := max(t.UnixMilli(), 0)
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}

// rarest is what the fewest orders share of what q names.
func rarest(q lookup.Query) term {
	for _, t := range []term{{byTransaction, q.TransactionID}, {byTracking, q.TrackingID}, {byEmail, folded(q.Email)}, {byUser, q.UserID}} {
		if t.value != "" {
			return t
		}
	}
	return term{}
}

// searchOrders is the statement for the orders of one hash, newest first.
func searchOrders(column string) string {
	return `SELECT ` + columns + ` FROM orders WHERE ` + column + ` = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4`
}

const (
	selectYoung     = `SELECT ` + columns + ` FROM orders WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3`
	selectUnindexed = `SELECT id, user_id, body FROM orders WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3`

	// indexOrder leaves alone what a Save has set meanwhile.
	indexOrder = `
		UPDATE orders SET user_hash = $1, email_hash = $2,
			transaction_hash = COALESCE(transaction_hash, $3), tracking_hash = COALESCE(tracking_hash, $4)
		WHERE id = $5 AND user_hash IS NULL`
	selectIndexed = `SELECT indexed FROM orders_secret WHERE id = 1`
	takeIndexed   = selectIndexed + ` /* FOR UPDATE SKIP LOCKED */`
	updateIndexed = `UPDATE orders_secret SET indexed = $1 WHERE id = 1 AND indexed < $1`

	// indexAge is how old an order is when it gets its hashes. What has happened to it after half of that, Save adds.
	indexAge = 10 * time.Second
	// indexPart is how many orders get them at a time, and indexPause is left to others between two parts.
	indexPart  = 64
	indexPause = 20 * time.Millisecond
)

// Index gives all orders that are old enough the hashes that they are found by. Of several replicas one does it. Interrupted,
// it may be repeated.
func (s orders) Index(ctx context.Context) error {
	for more := true; more; {
		var indexed int // the work's alone until do returns nil
		err := s.do(ctx, other, func(ctx context.Context, t session) error {
			return t.atomically(ctx, func(t session) (err error) {
				indexed, err = s.index(ctx, t)
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("index orders: %w", err)
		}
		if more = indexed == indexPart; more && !wait.For(ctx, indexPause) {
			return fmt.Errorf("index orders: %w", ctx.Err())
		}
	}
	return nil
}

// index does a part of it, and returns of how many orders: none while another replica is at it.
func (s orders) index(ctx context.Context, t session) (int, error) {
	mark, err := read(ctx, t, aText, takeIndexed)
	if len(mark) == 0 || err != nil {
		return 0, err
	}
	hashed := func(r *record) []any { return []any{&r.id, &r.userID, &r.body} }
	part, err := read(ctx, t, hashed, selectUnindexed, mark[0], idAt(time.Now().Add(-indexAge)), indexPart)
	if len(part) == 0 || err != nil {
		return 0, err
	}
	for i := range part {
		var body recordv1.Order
		if proto.Unmarshal(part[i].body, &body) != nil {
			continue // reading it reports that
		}
		is := s.termsOf(&order.Order{
			UserID: part[i].userID, Email: order.EmailAddress(body.GetEmail()),
			TransactionID: body.GetTransactionId(), TrackingID: body.GetTrackingId(),
		})
		if _, err := t.exec(ctx, indexOrder, is.user, is.email, is.transaction, is.tracking, part[i].id); err != nil {
			return 0, err
		}
	}
	_, err = t.exec(ctx, updateIndexed, string(part[len(part)-1].id)+beyond)
	return len(part), err
}

// indexed is what the ids come before of the orders that have their hashes.
func (s orders) indexed(ctx context.Context) (string, error) {
	found, err := query(ctx, s, aText, selectIndexed)
	if len(found) == 0 {
		return "", err
	}
	return found[0], nil
}

// aText is a row of one text.
func aText(text *string) []any { return []any{text} }
