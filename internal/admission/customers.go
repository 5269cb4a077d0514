package admission

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"maps"
	"sync"
	"time"

	"checkout/internal/order"
)

// Customers limits how often one user may place an order, and how often a user's or a card's charges may be declined: a user
// who tries stolen cards, or many guesses of one, is refused before the payment service is called. It is part of an
// order.Admission, made by NewCustomers and safe for concurrent use. Of a user and a card it keeps an HMAC under a random key
// that lives for twenty minutes at most and never leaves the process.
type Customers struct {
	rate, declines int

	mu     sync.Mutex
	orders window // by user
	users  window // declines by user
	cards  window // declines by card
}

const (
	rateWindow    = time.Minute
	declineWindow = 10 * time.Minute
	// cardDeclines is how many times more declines a card may have than a user: in a shop that is being tried out, many
	// users share a few cards.
	cardDeclines = 10
	// tableSize bounds a table.
	tableSize = 8192
)

// NewCustomers makes Customers that allow a user so many orders a minute, and so many declines in ten minutes; 0: any number.
func NewCustomers(rate, declines int) *Customers {
	return &Customers{
		rate: rate, declines: declines,
		orders: newWindow(rateWindow), users: newWindow(declineWindow), cards: newWindow(declineWindow),
	}
}

// Allow implements order.Admission.
func (c *Customers) Allow(req order.Request) (declined func(), err error) {
	number, user := req.Card.Digits(), []byte(req.UserID)
	defer clear(number)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rate > 0 {
		if wait := c.orders.wait(user, c.rate); wait > 0 {
			return nil, tooMany(wait, "orders of one user")
		}
		c.orders.count(user)()
	}
	if c.declines == 0 {
		return func() {}, nil
	}
	if wait := c.users.wait(user, c.declines); wait > 0 {
		return nil, tooMany(wait, "declined charges of one user")
	}
	if wait := c.cards.wait(number, cardDeclines*c.declines); wait > 0 {
		return nil, tooMany(wait, "declined charges of one card")
	}
	countUser, countCard := c.users.count(user), c.cards.count(number)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		countUser()
		countCard()
	}, nil
}

func tooMany(wait time.Duration, of string) error {
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return &order.Error{Kind: order.ErrOverloaded, RetryAfter: wait, Err: order.Limit("too many " + of)}
}

// window counts what happened within its length, about: what is older than that counts less and less for as long again.
type window struct {
	length        time.Duration
	began         time.Time
	recent, older *table
}

// table has the counts of one window. A text is counted by its HMAC under a random key, from which it cannot be recovered.
type table struct {
	mac    hash.Hash
	sum    []byte // the latest
	counts map[fingerprint]int
}

type fingerprint [16]byte

func newTable() *table {
	random := make([]byte, sha256.Size)
	_, _ = rand.Read(random) // never fails
	return &table{mac: hmac.New(sha256.New, random), counts: make(map[fingerprint]int)}
}

func (t *table) fingerprint(text []byte) fingerprint {
	t.mac.Reset()
	_, _ = t.mac.Write(text)
	t.sum = t.mac.Sum(t.sum[:0])
	return fingerprint(t.sum)
}

// of is how often text was counted. An empty table tells without a fingerprint.
func (t *table) of(text []byte) float64 {
	if len(t.counts) == 0 {
		return 0
	}
	return float64(t.counts[t.fingerprint(text)])
}

// add counts a text. In a full table those that were counted least are forgotten.
func (t *table) add(f fingerprint) {
	for least := 1; len(t.counts) >= tableSize; least *= 2 {
		maps.DeleteFunc(t.counts, func(_ fingerprint, n int) bool { return n <= least })
	}
	t.counts[f]++
}

func newWindow(length time.Duration) window {
	return window{length: length, began: time.Now(), recent: newTable(), older: newTable()}
}

// count returns what counts text.
func (w *window) count(text []byte) func() {
	w.turn()
	recent := w.recent
	f := recent.fingerprint(text)
	return func() { recent.add(f) }
}

// wait is how long it takes until text counts less than limit; 0: it does.
func (w *window) wait(text []byte, limit int) time.Duration {
	w.turn()
	recent, older := w.recent.of(text), w.older.of(text)
	past := float64(time.Since(w.began)) / float64(w.length)
	switch left := float64(limit) - recent; {
	case older*(1-past) < left:
		return 0
	case left > 0: // when enough of the older ones are gone
		return max(time.Duration((1-left/older-past)*float64(w.length)), time.Second)
	}
	// The recent ones become the older ones first.
	return max(time.Duration((1-past)*float64(w.length)), time.Second)
}

// turn begins a new table when the recent one's time is over.
func (w *window) turn() {
	switch since := time.Since(w.began); {
	case since >= 2*w.length:
		*w = newWindow(w.length)
	case since >= w.length:
		w.older, w.recent, w.began = w.recent, newTable(), w.began.Add(w.length)
	}
}
