package order

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/money"
)

// counting is an Admission that remembers what came of the orders that it let in.
type counting struct {
	Admission
	outcomes []error
}

func (c *counting) Admit(context.Context) (func(error), error) {
	return func(outcome error) { c.outcomes = append(c.outcomes, outcome) }, nil
}

func TestAQuoteIsThePriceThatIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, currency := range []money.Currency{"USD", "EUR", "JPY"} {
			s := newShop()
			p := s.open(t)
			admission := &counting{Admission: s}
			p.Admission = admission
			req := request()
			req.Currency = currency
			quote, err := p.Quote(t.Context(), Request{UserID: req.UserID, Currency: currency, Address: req.Address})
			if err != nil {
				t.Fatal(err)
			}
			if s.books() != [4]int{} || s.calls["open"] > 0 || len(s.carts["ada"]) == 0 {
				t.Errorf("after a quote there are %v charges, parcels, e-mails and events, and the cart holds %v", s.books(), s.carts["ada"])
			}
			if diff := cmp.Diff([]error{context.Canceled}, admission.outcomes, cmp.Comparer(errors.Is)); diff != "" {
				t.Errorf("the admission learned: %s", diff)
			}
			req.Expected = quote.Total
			o, err := p.Place(t.Context(), req)
			if err != nil || o.Total != quote.Total || o.Shipping != quote.Shipping {
				t.Errorf("the order is %+v, %v; want the total %v", o, err, quote.Total)
			}
			p.runs.Wait()
		}
	})
}

func TestAnotherTotalThanAgreedIsNotCharged(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		req := request()
		quote, err := p.Quote(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		s.prices["telescope"] = usd("102.00") // meanwhile
		req.Key, req.Expected = "key", quote.Total
		_, err = p.Place(t.Context(), req)
		failure, ok := errors.AsType[*Error](err)
		if !ok || failure.Kind != ErrPriceChanged || failure.Total.Sign() <= 0 || failure.Total == quote.Total {
			t.Fatalf("it fails with %v; want ErrPriceChanged and the new total", err)
		}
		if s.books() != [4]int{} || s.calls["open"] > 0 {
			t.Errorf("there are %v charges, parcels, e-mails and events", s.books())
		}
		req.Expected = failure.Total // the customer agrees
		if o, err := p.Place(t.Context(), req); err != nil || o.Total != failure.Total {
			t.Errorf("the order is %+v, %v; want the total %v", o, err, failure.Total)
		}
		p.runs.Wait()
	})
}

func TestWhatCannotBeQuotedIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*shop, *Placer, *Request)
		want   Kind
	}{
		"no user":       {func(_ *shop, _ *Placer, r *Request) { r.UserID = "" }, ErrInvalid},
		"no currency":   {func(_ *shop, _ *Placer, r *Request) { r.Currency = "" }, ErrInvalid},
		"no address":    {func(_ *shop, _ *Placer, r *Request) { r.Address = Address{} }, ErrInvalid},
		"an empty cart": {func(s *shop, _ *Placer, _ *Request) { s.carts["ada"] = nil }, ErrEmptyCart},
		"no quote":      {func(s *shop, _ *Placer, _ *Request) { s.before = failing(StepQuote, 9, errAway) }, ErrUnavailable},
		"a full house":  {func(_ *shop, p *Placer, _ *Request) { p.Admission = full{p.Admission} }, ErrOverloaded},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				p := s.open(t)
				req := request()
				test.change(s, p, &req)
				if o, err := p.Quote(t.Context(), req); !errors.Is(err, test.want) || o != nil {
					t.Errorf("quoted %+v, %v; want %v", o, err, test.want)
				}
			})
		})
	}
}

// full is an Admission without room.
type full struct{ Admission }

func (full) Admit(context.Context) (func(error), error) { return nil, &Error{Kind: ErrOverloaded} }
