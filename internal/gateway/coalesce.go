package gateway

import (
	"context"
	"sync"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
)

// A shop sells few things to many people. When orders ask the same at the same moment, one asks for all, and they share
// its answer: it is as fresh as a call is short. Only what is read and belongs to nobody is shared, and only what went
// well. A question that is not answered at once is nobody's but the asker's: those who have joined it, and those who come
// later, ask for themselves.

// joinTime is how long a question may be joined, and how long its answer is waited for: longer than a neighbour takes that
// is well, and nothing beside the time that a call may take.
const joinTime = 50 * time.Millisecond

// Joined is told that the order of ctx shares the answer to a question that the order of asker has asked.
type Joined func(ctx, asker context.Context)

// CoalesceCatalog is a catalogue that is asked for a product once at a time. joined may be called by many goroutines.
func CoalesceCatalog(next order.Catalog, joined Joined) order.Catalog {
	return &coalescedCatalog{next, newQuestions[string, order.Product](joined)}
}

// CoalesceCurrency is a Currency that is asked for its currencies, and for the same amount in the same currency, once at
// a time. joined may be called by many goroutines.
func CoalesceCurrency(next order.Currency, joined Joined) order.Currency {
	return &coalescedCurrency{next, newQuestions[struct{}, []money.Currency](joined), newQuestions[conversion, money.Amount](joined)}
}

type coalescedCatalog struct {
	order.Catalog
	products *questions[string, order.Product]
}

// Product implements order.Catalog.
func (c *coalescedCatalog) Product(ctx context.Context, id string) (order.Product, error) {
	return c.products.ask(ctx, id, func() (order.Product, error) { return c.Catalog.Product(ctx, id) })
}

type coalescedCurrency struct {
	order.Currency
	supported   *questions[struct{}, []money.Currency]
	conversions *questions[conversion, money.Amount]
}

type conversion struct {
	amount money.Amount
	to     money.Currency
}

// Supported implements order.Currency. Nobody may change the answer.
func (e *coalescedCurrency) Supported(ctx context.Context) ([]money.Currency, error) {
	return e.supported.ask(ctx, struct{}{}, func() ([]money.Currency, error) { return e.Currency.Supported(ctx) })
}

// Convert implements order.Currency.
func (e *coalescedCurrency) Convert(ctx context.Context, amount money.Amount, to money.Currency) (money.Amount, error) {
	return e.conversions.ask(ctx, conversion{amount, to}, func() (money.Amount, error) { return e.Currency.Convert(ctx, amount, to) })
}

// questions are those that somebody is asking right now.
type questions[Q comparable, A any] struct {
	joined Joined
	mu     sync.Mutex
	open   map[Q]*question[A] // the latest of each
}

// question is one that is being asked.
type question[A any] struct {
	asker    context.Context
	began    time.Time
	answered chan struct{} // closed when the rest is known
	answer   A
	ok       bool // it went well; else what came of it tells others nothing
}

func newQuestions[Q comparable, A any](joined Joined) *questions[Q, A] {
	return &questions[Q, A]{joined: joined, open: make(map[Q]*question[A])}
}

// ask answers q by the call that is under way, or else by call, in which case others may join.
func (qs *questions[Q, A]) ask(ctx context.Context, q Q, call func() (A, error)) (answer A, err error) {
	qs.mu.Lock()
	other := qs.open[q]
	left := time.Duration(0)
	if other != nil {
		left = joinTime - time.Since(other.began)
	}
	if left <= 0 {
		mine := &question[A]{asker: ctx, began: time.Now(), answered: make(chan struct{})}
		qs.open[q] = mine
		qs.mu.Unlock()
		return qs.lead(q, mine, call)
	}
	qs.mu.Unlock()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-other.answered:
		if other.ok {
			qs.joined(ctx, other.asker)
			return other.answer, nil
		}
	case <-timer.C:
	case <-ctx.Done():
		return answer, ctx.Err()
	}
	return call()
}

// lead asks for everybody.
func (qs *questions[Q, A]) lead(q Q, mine *question[A], call func() (A, error)) (answer A, err error) {
	defer func() {
		qs.mu.Lock()
		if qs.open[q] == mine {
			delete(qs.open, q)
		}
		qs.mu.Unlock()
		close(mine.answered)
	}()
	answer, err = call()
	mine.answer, mine.ok = answer, err == nil
	return answer, err
}
