package gateway

import (
	"context"
	"sync"

	"checkout/internal/money"
	"checkout/internal/order"
)

// A shop sells few things to many people. When orders ask the same at the same moment, one asks for all, and they share
// its answer: it is as fresh as a call is short. Only what is read and belongs to nobody is shared.

// Joined is told that the order of ctx shares the answer to a question that the order of asker has asked.
type Joined func(ctx, asker context.Context)

// CoalesceCatalog is a catalogue that is asked for a product once at a time. joined may be called by many goroutines.
func CoalesceCatalog(next order.Catalog, joined Joined) order.Catalog {
	return &coalescedCatalog{next, newQuestions[string, order.Product](joined)}
}

// CoalesceExchange is an exchange that is asked for its currencies, and for the same amount in the same currency, once at
// a time. joined may be called by many goroutines.
func CoalesceExchange(next order.Exchange, joined Joined) order.Exchange {
	return &coalescedExchange{next, newQuestions[struct{}, []money.Currency](joined), newQuestions[conversion, money.Amount](joined)}
}

type coalescedCatalog struct {
	order.Catalog
	products *questions[string, order.Product]
}

// Product implements order.Catalog.
func (c *coalescedCatalog) Product(ctx context.Context, id string) (order.Product, error) {
	return c.products.ask(ctx, id, func() (order.Product, error) { return c.Catalog.Product(ctx, id) })
}

type coalescedExchange struct {
	order.Exchange
	supported   *questions[struct{}, []money.Currency]
	conversions *questions[conversion, money.Amount]
}

type conversion struct {
	amount money.Amount
	to     money.Currency
}

// Supported implements order.Exchange. Nobody may change the answer.
func (e *coalescedExchange) Supported(ctx context.Context) ([]money.Currency, error) {
	return e.supported.ask(ctx, struct{}{}, func() ([]money.Currency, error) { return e.Exchange.Supported(ctx) })
}

// Convert implements order.Exchange.
func (e *coalescedExchange) Convert(ctx context.Context, amount money.Amount, to money.Currency) (money.Amount, error) {
	return e.conversions.ask(ctx, conversion{amount, to}, func() (money.Amount, error) { return e.Exchange.Convert(ctx, amount, to) })
}

// questions are those that somebody is asking right now.
type questions[Q comparable, A any] struct {
	joined Joined
	mu     sync.Mutex
	open   map[Q]*question[A]
}

// question is one that is being asked.
type question[A any] struct {
	asker    context.Context
	answered chan struct{} // closed when the rest is known
	answer   A
	err      error
	gaveUp   bool // the asker went, or panicked: what came of it is about them, and tells others nothing
}

func newQuestions[Q comparable, A any](joined Joined) *questions[Q, A] {
	return &questions[Q, A]{joined: joined, open: make(map[Q]*question[A])}
}

// ask answers q by the call that is under way, or else by call, in which case others may join.
func (qs *questions[Q, A]) ask(ctx context.Context, q Q, call func() (A, error)) (answer A, err error) {
	for {
		qs.mu.Lock()
		other := qs.open[q]
		if other == nil {
			mine := &question[A]{asker: ctx, answered: make(chan struct{}), gaveUp: true}
			qs.open[q] = mine
			qs.mu.Unlock()
			return qs.lead(ctx, q, mine, call)
		}
		qs.mu.Unlock()
		select {
		case <-other.answered:
		case <-ctx.Done():
			return answer, ctx.Err()
		}
		if !other.gaveUp {
			qs.joined(ctx, other.asker)
			return other.answer, other.err
		}
	}
}

// lead asks for everybody.
func (qs *questions[Q, A]) lead(ctx context.Context, q Q, mine *question[A], call func() (A, error)) (A, error) {
	defer func() {
		qs.mu.Lock()
		delete(qs.open, q)
		qs.mu.Unlock()
		close(mine.answered)
	}()
	mine.answer, mine.err = call()
	mine.gaveUp = mine.err != nil && ctx.Err() != nil
	return mine.answer, mine.err
}
