package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/money"
	"checkout/internal/pricing"
)

// slowCatalog takes its time to answer, and counts how often it is asked.
type slowCatalog struct {
	asked atomic.Int32
	hang  atomic.Bool // the next time
	err   error
	panic atomic.Bool // the next time
}

func (c *slowCatalog) Product(ctx context.Context, id string) (pricing.Product, error) {
	c.asked.Add(1)
	took := 10 * time.Millisecond
	if c.hang.Swap(false) {
		took = time.Hour
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return pricing.Product{}, ctx.Err()
	}
	if c.panic.Swap(false) {
		panic("a bug")
	}
	return pricing.Product{ID: id, Price: money.Zero("USD")}, c.err
}

func nobody(context.Context, context.Context) {}

// sharing runs a test of a slow catalogue whose calls are shared, in virtual time.
func sharing(t *testing.T, test func(t *testing.T, slow *slowCatalog, catalog pricing.Catalog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		slow := new(slowCatalog)
		test(t, slow, ShareCatalog(slow, nobody))
	})
}

// wantAsked wants so many calls.
func (c *slowCatalog) wantAsked(t *testing.T, want int32) {
	t.Helper()
	if got := c.asked.Load(); got != want {
		t.Errorf("%d calls; want %d", got, want)
	}
}

func TestOrdersThatAskTheSameAtOnceShareOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := new(slowCatalog)
		var joined atomic.Int32
		type key struct{}
		catalog := ShareCatalog(slow, func(ctx, asker context.Context) {
			joined.Add(1)
			if ctx.Value(key{}) == asker.Value(key{}) {
				t.Error("an order has joined itself")
			}
		})
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				product, err := catalog.Product(context.WithValue(t.Context(), key{}, i), "telescope")
				if product.ID != "telescope" || err != nil {
					t.Errorf("got %v, %v", product, err)
				}
			})
		}
		all.Wait()
		if slow.asked.Load() != 1 || joined.Load() != 9 {
			t.Errorf("%d calls, %d joined; want 1 and 9", slow.asked.Load(), joined.Load())
		}
	})
}

func TestAnAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	sharing(t, func(t *testing.T, slow *slowCatalog, catalog pricing.Catalog) {
		for range 3 {
			if _, err := catalog.Product(t.Context(), "telescope"); err != nil {
				t.Error(err)
			}
		}
		slow.wantAsked(t, 3)
	})
}

func TestDifferentQuestionsAreDifferentCalls(t *testing.T) {
	t.Parallel()
	sharing(t, func(t *testing.T, slow *slowCatalog, catalog pricing.Catalog) {
		var all sync.WaitGroup
		for _, id := range []string{"telescope", "flashlight"} {
			all.Go(func() {
				if product, _ := catalog.Product(t.Context(), id); product.ID != id {
					t.Errorf("asked for the %s, got the %s", id, product.ID)
				}
			})
		}
		all.Wait()
		slow.wantAsked(t, 2)
	})
}

func TestAFailureIsNotShared(t *testing.T) {
	t.Parallel()
	sharing(t, func(t *testing.T, slow *slowCatalog, catalog pricing.Catalog) {
		away := errors.New("away")
		slow.err = away
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := catalog.Product(t.Context(), "telescope"); !errors.Is(err, away) {
					t.Errorf("got %v; want %v", err, away)
				}
			})
		}
		all.Wait()
		slow.wantAsked(t, 3) // each has asked
	})
}

func TestAHangingCallDelaysNoOther(t *testing.T) {
	t.Parallel()
	sharing(t, func(t *testing.T, slow *slowCatalog, catalog pricing.Catalog) {
		slow.hang.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := catalog.Product(ctx, "telescope"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the call that hangs gives %v", err)
			}
		})
		synctest.Wait()
		for range 100 { // some join it at once, some come later
			all.Go(func() {
				began := time.Now()
				if _, err := catalog.Product(t.Context(), "telescope"); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > shareTime+10*time.Millisecond {
					t.Errorf("an order waited for %v", took)
				}
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
	})
}

// TestWhoJoinsIsNotHurtByWhoAsks: the order that asked for all hangs up, or has a bug.
func TestWhoJoinsIsNotHurtByWhoAsks(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(*slowCatalog, context.CancelFunc){
		"hangs up": func(_ *slowCatalog, hangUp context.CancelFunc) { hangUp() },
		"panics":   func(c *slowCatalog, _ context.CancelFunc) { c.panic.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sharing(t, func(t *testing.T, slow *slowCatalog, catalog pricing.Catalog) {
				ctx, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				var all sync.WaitGroup
				all.Go(func() {
					defer func() { _ = recover() }()
					if _, err := catalog.Product(ctx, "telescope"); err == nil {
						t.Error("whoever asked has an answer")
					}
				})
				synctest.Wait()
				for range 3 {
					all.Go(func() {
						if product, err := catalog.Product(t.Context(), "telescope"); product.ID != "telescope" || err != nil {
							t.Errorf("got %v, %v", product, err)
						}
					})
				}
				synctest.Wait()
				hurt(slow, hangUp)
				all.Wait()
				slow.wantAsked(t, 4) // those who had joined have asked for themselves
			})
		})
	}
}

func TestWhoJoinsMayHangUp(t *testing.T) {
	t.Parallel()
	sharing(t, func(t *testing.T, _ *slowCatalog, catalog pricing.Catalog) {
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := catalog.Product(t.Context(), "telescope"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := catalog.Product(ctx, "telescope"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("waited for %v", took)
		}
		all.Wait()
	})
}

// slowExchange takes its time to answer, and counts how often it is asked.
type slowExchange struct{ asked atomic.Int32 }

func (e *slowExchange) Supported(context.Context) ([]money.Currency, error) {
	e.asked.Add(1)
	time.Sleep(10 * time.Millisecond)
	return []money.Currency{"USD", "EUR"}, nil
}

func (e *slowExchange) Convert(_ context.Context, amount money.Amount, to money.Currency) (money.Amount, error) {
	e.asked.Add(1)
	time.Sleep(10 * time.Millisecond)
	return money.New(to, 2*amount.Units(), amount.Nanos())
}

func TestTheSameConversionIsMadeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := new(slowExchange)
		exchange := ShareCurrency(slow, nobody)
		var all sync.WaitGroup
		for i := range 9 {
			all.Go(func() {
				amount, err := money.New("USD", int64(i%3)+1, 0)
				if err != nil {
					t.Error(err)
				}
				got, err := exchange.Convert(t.Context(), amount, "EUR")
				if got.Units() != 2*amount.Units() || got.Currency() != "EUR" || err != nil {
					t.Errorf("%v is %v, %v", amount, got, err)
				}
			})
			all.Go(func() {
				if known, err := exchange.Supported(t.Context()); len(known) != 2 || err != nil {
					t.Errorf("supported are %v, %v", known, err)
				}
			})
		}
		all.Wait()
		if got := slow.asked.Load(); got != 4 {
			t.Errorf("%d calls; want 4", got)
		}
	})
}
