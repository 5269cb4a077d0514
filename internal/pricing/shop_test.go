package pricing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
)

// shop is what a Pricer asks, in memory. A test makes one of the services misbehave by setting before, which is asked first.
type shop struct {
	mu     sync.Mutex
	cart   []order.Line
	prices map[string]money.Amount
	quote  money.Amount
	rates  map[money.Currency]int32 // per dollar
	calls  map[order.Step]int
	before func(ctx context.Context, step order.Step) error
}

// stepSupported is the question for the currencies that there are.
const stepSupported order.Step = "supported"

func newShop() *shop {
	return &shop{
		cart:   []order.Line{{ProductID: "telescope", Quantity: 2}, {ProductID: "lens", Quantity: 1}},
		prices: map[string]money.Amount{"telescope": usd("101.96"), "lens": usd("0.20")},
		quote:  usd("8.99"),
		rates:  map[money.Currency]int32{"USD": 1, "EUR": 2, "JPY": 150},
		calls:  map[order.Step]int{},
	}
}

// open makes a Pricer of this shop, which is closed at the test's end.
func (s *shop) open(t *testing.T, limits Limits) *Pricer {
	p := New(s, s, s, s, limits)
	t.Cleanup(p.Close)
	return p
}

func (s *shop) call(ctx context.Context, step order.Step, act func() error) error {
	s.mu.Lock()
	s.calls[step]++
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(ctx, step); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(ctx.Err(), act())
}

// count is how often a step was called.
func (s *shop) count(step order.Step) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[step]
}

func (s *shop) Lines(ctx context.Context, _ string) (lines []order.Line, err error) {
	err = s.call(ctx, order.StepCart, func() error { lines = slices.Clone(s.cart); return nil })
	return lines, err
}

func (s *shop) Product(ctx context.Context, id string) (product Product, err error) {
	err = s.call(ctx, order.StepCatalog, func() error {
		price, ok := s.prices[id]
		if !ok {
			return order.ErrUnknownProduct
		}
		product = Product{ID: id, Price: price}
		return nil
	})
	return product, err
}

func (s *shop) Supported(ctx context.Context) (known []money.Currency, err error) {
	err = s.call(ctx, stepSupported, func() error { known = slices.Collect(maps.Keys(s.rates)); return nil })
	return known, err
}

func (s *shop) Convert(ctx context.Context, a money.Amount, to money.Currency) (converted money.Amount, err error) {
	err = s.call(ctx, order.StepConvert, func() error {
		times, err := a.Mul(s.rates[to])
		if err != nil {
			return err
		}
		converted, err = money.New(to, times.Units(), times.Nanos())
		return err
	})
	return converted, err
}

func (s *shop) Quote(ctx context.Context, _ order.Address, _ []order.Line) (quote money.Amount, err error) {
	err = s.call(ctx, order.StepQuote, func() error { quote = s.quote; return nil })
	return quote, err
}

// failing makes a step fail with err.
func failing(step order.Step, err error) func(context.Context, order.Step) error {
	return func(_ context.Context, s order.Step) error {
		if s == step {
			return err
		}
		return nil
	}
}

var errAway = errors.New("connection refused")

func usd(text string) money.Amount {
	var units int64
	var cents int32
	if _, err := fmt.Sscanf(text, "%d.%02d", &units, &cents); err != nil {
		panic(err)
	}
	a, err := money.New("USD", units, cents*10_000_000)
	if err != nil {
		panic(err)
	}
	return a
}

func request(currency money.Currency) order.Request {
	return order.Request{UserID: "ada", Currency: currency, Address: order.Address{City: "London"}, Card: creditcard.New("4432-8015-6152-0454", 672, 2039, 1)}
}
