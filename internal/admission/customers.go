package admission

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"checkout/internal/order"
)

// Customers bounds how often one user may place an order, and how often a user's or a card's charges may be declined: who
// tries stolen cards, or many guesses of one, is refused before the payment service is asked. It is part of an
// order.Admission, made by NewCustomers and safe for concurrent use.
//
// Of a card it keeps an HMAC under a random key that lives for twenty minutes at most and never leaves the process.
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
	// tableSize bounds a table. A full one forgets early.
	tableSize = 8192
)

// NewCustomers makes Customers that allow a user so many orders a minute, and so many declines in ten minutes; 0: any number.
func NewCustomers(rate, declines int) *Customers {
	return &Customers{
		rate: rate, declines: declines,
		orders: newWindow(rateWindow, plain), users: newWindow(declineWindow, plain), cards: newWindow(declineWindow, secret),
	}
}

// Allow implements order.Admission.
func (c *Customers) Allow(req order.Request) (declined func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number := req.Card.Digits()
	defer clear(number)
	user := []byte(req.UserID)
	if c.rate > 0 {
		if wait := c.orders.wait(user, c.rate); wait > 0 {
			return nil, tooMany(wait, "orders of one user")
		}
		c.orders.add(c.orders.key(user))
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
	userKey, cardKey := c.users.key(user), c.cards.key(number)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.users.add(userKey)
		c.cards.add(cardKey)
	}, nil
}

func tooMany(wait time.Duration, of string) error {
	return &order.Error{Kind: order.ErrOverloaded, RetryAfter: wait, Err: errors.New("too many " + of)}
}

// window counts what happened within its length, about: what is older than that counts less and less for as long again.
type window struct {
	length        time.Duration
	next          func() generation
	began         time.Time
	recent, older generation
}

// generation is what is counted for as long as a window.
type generation struct {
	key    func(text []byte) string // what text is counted by
	counts map[string]int
}

// plain counts a text by itself.
func plain() generation {
	return generation{func(text []byte) string { return string(text) }, make(map[string]int)}
}

// secret counts a text by what nobody can tell it from: its HMAC under a random key.
func secret() generation {
	random := make([]byte, sha256.Size)
	_, _ = rand.Read(random) // never fails
	return generation{func(text []byte) string {
		mac := hmac.New(sha256.New, random)
		_, _ = mac.Write(text)
		return string(mac.Sum(nil)[:16])
	}, make(map[string]int)}
}

func newWindow(length time.Duration, next func() generation) window {
	return window{length: length, next: next, began: time.Now(), recent: next(), older: next()}
}

// count is how often text was counted in the generation. An empty one tells without a key.
func (g generation) count(text []byte) float64 {
	if len(g.counts) == 0 {
		return 0
	}
	return float64(g.counts[g.key(text)])
}

// key is what text is counted by now.
func (w *window) key(text []byte) string {
	w.turn()
	return w.recent.key(text)
}

func (w *window) add(key string) {
	w.turn()
	w.recent.counts[key]++
}

// wait is how long it takes until text counts less than limit; 0: it does.
func (w *window) wait(text []byte, limit int) time.Duration {
	w.turn()
	recent, older := w.recent.count(text), w.older.count(text)
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

// turn begins a new generation when the recent one is over, or full.
func (w *window) turn() {
	since := time.Since(w.began)
	if since < w.length && len(w.recent.counts) < tableSize {
		return
	}
	w.older, w.recent = w.recent, w.next()
	if since >= 2*w.length {
		w.older = w.next()
	}
	w.began = time.Now()
	if since < 2*w.length && since >= w.length {
		w.began = w.began.Add(w.length - since)
	}
}
