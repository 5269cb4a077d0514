package gateway

import (
	"context"
	"sync"
	"time"

	"checkout/internal/money"
	"checkout/internal/pricing"
)

// A shop sells few products to many people. Orders that read the same at the same time share one call and its answer, which
// is as fresh as a call is short: only reads that are the same for all users, and only success. Without it an order takes
// 13 to 16 % more CPU. (golang.org/x/sync/singleflight shares failures, too, and the time of a slow call with all waiters.)

// shareTime is how long a call may be joined, and how long its answer is waited for: more than a healthy service takes, and
// little beside the time that a call may take. After it, each order makes its own call.
const shareTime = 50 * time.Millisecond

// Shared is called when the order of ctx gets the answer to a call that the order of leader made.
type Shared func(ctx, leader context.Context)

// ShareCatalog makes a Catalog whose calls for the same product are shared. shared may be called concurrently.
func ShareCatalog(next pricing.Catalog, shared Shared) pricing.Catalog {
	return &sharedCatalog{next, newCalls[string, pricing.Product](shared)}
}

// ShareCurrency makes a Currency whose calls for the list, and for the same conversion, are shared. shared may be called
// concurrently.
func ShareCurrency(next pricing.Currency, shared Shared) pricing.Currency {
	return &sharedCurrency{next, newCalls[struct{}, []money.Currency](shared), newCalls[conversion, money.Amount](shared)}
}

type sharedCatalog struct {
	pricing.Catalog
	products *calls[string, pricing.Product]
}

// Product implements pricing.Catalog.
func (c *sharedCatalog) Product(ctx context.Context, id string) (pricing.Product, error) {
	return c.products.do(ctx, id, func() (pricing.Product, error) { return c.Catalog.Product(ctx, id) })
}

type sharedCurrency struct {
	pricing.Currency
	supported   *calls[struct{}, []money.Currency]
	conversions *calls[conversion, money.Amount]
}

type conversion struct {
	amount money.Amount
	to     money.Currency
}

// Supported implements pricing.Currency. The answer must not be changed.
func (c *sharedCurrency) Supported(ctx context.Context) ([]money.Currency, error) {
	return c.supported.do(ctx, struct{}{}, func() ([]money.Currency, error) { return c.Currency.Supported(ctx) })
}

// Convert implements pricing.Currency.
func (c *sharedCurrency) Convert(ctx context.Context, amount money.Amount, to money.Currency) (money.Amount, error) {
	return c.conversions.do(ctx, conversion{amount, to}, func() (money.Amount, error) { return c.Currency.Convert(ctx, amount, to) })
}

// calls are the calls in progress that may be joined.
type calls[K comparable, V any] struct {
	shared Shared
	mu     sync.Mutex
	latest map[K]*call[V]
}

type call[V any] struct {
	leader context.Context
	began  time.Time
	done   chan struct{} // closed when value and ok are known
	value  V
	ok     bool // it succeeded
}

func newCalls[K comparable, V any](shared Shared) *calls[K, V] {
	return &calls[K, V]{shared: shared, latest: make(map[K]*call[V])}
}

// join returns the call in progress for key, if it may be joined, or else begins own unless that is nil.
func (cs *calls[K, V]) join(key K, own *call[V]) *call[V] {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.latest[key]; c != nil && time.Since(c.began) < shareTime {
		return c
	}
	if own != nil {
		cs.latest[key] = own
	}
	return own
}

// do returns the answer to the call in progress for key or, if there is none to join or its answer is late, that of f.
func (cs *calls[K, V]) do(ctx context.Context, key K, f func() (V, error)) (value V, err error) {
	joined := cs.join(key, nil)
	if joined == nil {
		own := &call[V]{leader: ctx, began: time.Now(), done: make(chan struct{})} // others need not wait while it is allocated
		if joined = cs.join(key, own); joined == own {
			return cs.lead(key, own, f)
		}
	}
	late := time.NewTimer(shareTime - time.Since(joined.began))
	defer late.Stop()
	select {
	case <-joined.done:
		if joined.ok {
			cs.shared(ctx, joined.leader)
			return joined.value, nil
		}
	case <-late.C:
	case <-ctx.Done():
		return value, ctx.Err()
	}
	return f()
}

// lead makes the call for all orders that join it.
func (cs *calls[K, V]) lead(key K, own *call[V], f func() (V, error)) (value V, err error) {
	defer func() {
		cs.mu.Lock()
		if cs.latest[key] == own {
			delete(cs.latest, key)
		}
		cs.mu.Unlock()
		close(own.done)
	}()
	value, err = f()
	own.value, own.ok = value, err == nil
	return value, err
}
