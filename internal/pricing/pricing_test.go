package pricing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wait"
)

// The critical path in calls, each of which takes a tenth of a second here: cart, then products beside the quote, then (not in
// dollars) conversions.
func TestLatencyIsFlatInTheNumberOfLines(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{1, 5, 80} {
		for currency, want := range map[money.Currency]time.Duration{"USD": 200 * time.Millisecond, "EUR": 300 * time.Millisecond} {
			t.Run(fmt.Sprint(lines, " lines in ", currency), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newShop()
					s.cart = nil
					for i := range lines {
						id := fmt.Sprint("product ", i)
						s.prices[id] = usd(fmt.Sprintf("%d.99", i+1))
						s.cart = append(s.cart, order.Line{ProductID: id, Quantity: 1})
					}
					s.before = func(context.Context, order.Step) error {
						time.Sleep(100 * time.Millisecond)
						return nil
					}
					began := time.Now()
					if _, err := s.open(t, DefaultLimits()).Price(t.Context(), request(currency)); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); took != want {
						t.Errorf("%d lines in %s took %v, want %v", lines, currency, took, want)
					}
				})
			})
		}
	}
}

func TestDistinctPricesAreConvertedOnce(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.cart = []order.Line{{ProductID: "telescope", Quantity: 1}, {ProductID: "twin", Quantity: 3}, {ProductID: "lens", Quantity: 1}, {ProductID: "telescope", Quantity: 2}}
	s.prices["twin"] = s.prices["telescope"]
	o, err := s.open(t, DefaultLimits()).Price(t.Context(), request("JPY"))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.count(order.StepConvert); n != 3 {
		t.Errorf("%d conversions, want 3: two distinct prices and the quote", n)
	}
	if len(o.Items) != 3 || o.Items[0].Quantity != 3 {
		t.Errorf("items %v, want lines of the same product merged", o.Items)
	}
	// 101.96, 0.20 and 8.99 dollars at 150: 15294, 30 and 1348.5 yen, which is paid as 1349.
	if got := o.Total.String(); got != "JPY 93143" {
		t.Errorf("total %s, want JPY 93143: each price is rounded once to what yen can pay", got)
	}
}

func TestOneThatHasNoListOfCurrenciesIsAskedToConvert(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.rates = nil
	s.before = func(_ context.Context, step order.Step) error {
		if step == order.StepConvert {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rates = map[money.Currency]int32{"EUR": 2}
		}
		return nil
	}
	if _, err := s.open(t, DefaultLimits()).Price(t.Context(), request("EUR")); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBePricedIsRefused(t *testing.T) {
	t.Parallel()
	huge, err := usd("1.00").Mul(1 << 30)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		currency money.Currency
		shop     func(*shop)
		want     order.Kind
	}{
		"currency not supported": {"GBP", func(*shop) {}, order.ErrInvalid},
		"empty cart":             {"USD", func(s *shop) { s.cart = nil }, order.ErrEmptyCart},
		"no pieces in any line":  {"USD", func(s *shop) { s.cart[0].Quantity, s.cart[1].Quantity = 0, 0 }, order.ErrEmptyCart},
		"quantity -1":            {"USD", func(s *shop) { s.cart[0].Quantity = -1 }, order.ErrBadCart},
		"quantity 20 million":    {"USD", func(s *shop) { s.cart[0].Quantity = 20_000_000 }, order.ErrBadCart},
		"product without an id":  {"USD", func(s *shop) { s.cart[0].ProductID = "" }, order.ErrBadCart},
		"product with a long id": {"USD", func(s *shop) { s.cart[0].ProductID = strings.Repeat("x", maxProductID+1) }, order.ErrBadCart},
		"product of two lines":   {"USD", func(s *shop) { s.cart[0].ProductID = "one\ntwo" }, order.ErrBadCart},
		"unknown product":        {"USD", func(s *shop) { delete(s.prices, "lens") }, order.ErrUnknownProduct},
		"all of it free": {"USD", func(s *shop) {
			s.cart = s.cart[1:]
			s.prices["lens"], s.quote = usd("0.00"), usd("0.00")
		}, order.ErrBadCart},
		"price below 0":            {"USD", func(s *shop) { s.prices["lens"], _ = s.prices["lens"].Mul(-1) }, order.ErrImplausible},
		"absurd price":             {"USD", func(s *shop) { s.prices["lens"] = huge }, order.ErrImplausible},
		"absurd total":             {"USD", func(s *shop) { s.prices["lens"] = usd("999999.00"); s.cart[1].Quantity = 2 }, order.ErrBadCart},
		"negative quote":           {"USD", func(s *shop) { s.quote, _ = s.quote.Mul(-1) }, order.ErrImplausible},
		"nothing is shipped there": {"USD", func(s *shop) { s.before = failing(order.StepQuote, order.ErrRefused) }, order.ErrBadCart},
		"conversion refused":       {"EUR", func(s *shop) { s.before = failing(order.StepConvert, order.ErrRefused) }, order.ErrInvalid},
		"less than can be paid":    {"JPY", func(s *shop) { s.rates["JPY"] = 1 }, order.ErrImplausible},
		"currency service away":    {"EUR", func(s *shop) { s.before = failing(stepSupported, errAway) }, order.ErrUnavailable},
		"implausible cart":         {"USD", func(s *shop) { s.before = failing(order.StepCart, order.ErrImplausible) }, order.ErrImplausible},
		"cart away":                {"USD", func(s *shop) { s.before = failing(order.StepCart, errAway) }, order.ErrUnavailable},
		"catalog away":             {"USD", func(s *shop) { s.before = failing(order.StepCatalog, errAway) }, order.ErrUnavailable},
		"a bug": {"USD", func(s *shop) {
			s.before = func(_ context.Context, step order.Step) error {
				if step == order.StepCatalog {
					panic("bug")
				}
				return nil
			}
		}, order.ErrInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop()
			test.shop(s)
			_, err := s.open(t, DefaultLimits()).Price(t.Context(), request(test.currency))
			if failure, ok := errors.AsType[*order.Error](err); !ok || failure.Kind != test.want {
				t.Errorf("Price says %v, want %v", err, test.want)
			}
		})
	}
}

// The shop's own checkout takes all of these.
func TestHonestCustomersAreNotTurnedAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		currency money.Currency
		shop     func(*shop)
		total    string
		items    int
	}{
		"a free product beside a paid one":              {"USD", func(s *shop) { s.prices["lens"] = usd("0.00") }, "USD 212.91", 2},
		"a free product, and shipping":                  {"USD", func(s *shop) { s.cart = s.cart[1:]; s.prices["lens"] = usd("0.00") }, "USD 8.99", 1},
		"a free product in yen":                         {"JPY", func(s *shop) { s.prices["lens"] = usd("0.00") }, "JPY 31937", 2},
		"a line of no pieces":                           {"USD", func(s *shop) { s.cart[1].Quantity = 0 }, "USD 212.91", 1},
		"a line of no pieces of a product that is gone": {"USD", func(s *shop) { s.cart[1] = order.Line{ProductID: "gone"} }, "USD 212.91", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop()
			test.shop(s)
			o, err := s.open(t, DefaultLimits()).Price(t.Context(), request(test.currency))
			if err != nil {
				t.Fatal(err)
			}
			if o.Total.String() != test.total || len(o.Items) != test.items {
				t.Errorf("%v for %d items, want %s for %d", o.Total, len(o.Items), test.total, test.items)
			}
		})
	}
}

// A limit is the largest value that is accepted, of money as of everything else, and a refusal names it.
func TestALimitIsTheLargestValueThatIsAccepted(t *testing.T) {
	t.Parallel()
	limits := Limits{Lines: 2, Quantity: 3, Pieces: 4, Price: 100, Total: 200}
	telescopes := func(n int32) []order.Line { return []order.Line{{ProductID: "telescope", Quantity: n}} }
	lenses := func(n int32) []order.Line { return append(telescopes(3), order.Line{ProductID: "lens", Quantity: n}) }
	for name, test := range map[string]struct {
		price, shipping string
		cart            []order.Line
		refusal         string // empty: it is accepted
	}{
		"the price":           {"100.00", "0.00", telescopes(1), ""},
		"a cent more":         {"100.01", "0.00", telescopes(1), `product "telescope" costs USD 100.01, which is not between 0 and 100`},
		"the total":           {"100.00", "100.00", telescopes(1), ""},
		"a total a cent more": {"100.00", "100.01", telescopes(1), "adds up to USD 200.01, at most USD 200 is accepted"},
		"the quantity":        {"1.00", "0.00", telescopes(3), ""},
		"one more":            {"1.00", "0.00", telescopes(4), "not between 1 and 3"},
		"one more in all":     {"1.00", "0.00", append(telescopes(3), telescopes(1)...), "is more than 3 altogether"},
		"the pieces":          {"1.00", "0.00", lenses(1), ""},
		"one piece more":      {"1.00", "0.00", lenses(2), "more than 4 pieces"},
		"a product more": {"1.00", "0.00", []order.Line{
			{ProductID: "telescope", Quantity: 1}, {ProductID: "lens", Quantity: 1}, {ProductID: "cap", Quantity: 1},
		}, "more than 2 products"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop()
			s.prices["telescope"], s.quote, s.cart = usd(test.price), usd(test.shipping), test.cart
			_, err := s.open(t, limits).Price(t.Context(), request("USD"))
			switch {
			case test.refusal == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refusal != "" && (err == nil || !strings.Contains(err.Error(), test.refusal)):
				t.Errorf("the error is %v, want %q in it", err, test.refusal)
			}
		})
	}
}

func TestAProductWithTheNumberOfTheCardIsNotRecorded(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"4432801561520454", "card 4432-8015-6152-0454"} {
		s := newShop()
		s.cart, s.prices[id] = []order.Line{{ProductID: id, Quantity: 1}}, usd("1.00")
		if _, err := s.open(t, DefaultLimits()).Price(t.Context(), request("USD")); !errors.Is(err, order.ErrBadCart) || strings.Contains(err.Error(), "0454") {
			t.Errorf("product %q: %v, want that the cart cannot be ordered, without the number", id, err)
		}
	}
}

func TestOrdersInDollarsDoNotWaitForTheCurrencyService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.before = func(ctx context.Context, step order.Step) error {
			if step == stepSupported {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		p := s.open(t, DefaultLimits())
		began := time.Now()
		for range 2 * edgesAtOnce {
			if _, err := p.Price(t.Context(), request("USD")); err != nil {
				t.Fatalf("an order in dollars says %v while the currency service hangs", err)
			}
		}
		if took := time.Since(began); took >= 500*time.Millisecond {
			t.Errorf("the orders took %v", took)
		}
		synctest.Wait()
		if got := s.count(stepSupported); got != edgesAtOnce {
			t.Errorf("%d calls of the currency service are under way, want %d at most", got, edgesAtOnce)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait() // or the bubble would not end: nothing is left of them
	})
}

func TestAnOrderInDollarsCallsTheCurrencyService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		if _, err := s.open(t, DefaultLimits()).Price(t.Context(), request("USD")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := s.count(stepSupported); got != 1 {
			t.Errorf("%d calls of the currency service, want 1: the service graph is drawn from them", got)
		}
	})
}

func TestASlowQuoteDelaysOthersForAReadAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const orders = 300
		s := newShop()
		s.before = func(ctx context.Context, step order.Step) error {
			if step != order.StepQuote {
				return nil
			}
			if !wait.For(ctx, 2*time.Second) {
				return ctx.Err()
			}
			return context.DeadlineExceeded
		}
		p := New(s, s, s, s, DefaultLimits())
		var all sync.WaitGroup
		for range orders {
			all.Go(func() {
				began := time.Now()
				if _, err := p.Price(t.Context(), request("USD")); !errors.Is(err, order.ErrUnavailable) {
					t.Errorf("without a quote: %v, want unavailable", err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("without a quote an order is given up after %v, want 2 s", took)
				}
			})
		}
		synctest.Wait()
		if n := s.count(order.StepCatalog); n < readsAtOnce/2 {
			t.Errorf("while quotes are slow %d products were read, want those of all orders that are being quoted", n)
		}
		all.Wait()
		p.Close()
	})
}
