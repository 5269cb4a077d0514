package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
)

// shop is a small world in memory: every service that an order needs, and what they remember. A test makes one of them
// misbehave by its hook, which is called before the service acts.
type shop struct {
	mu      sync.Mutex
	carts   map[string][]Line
	prices  map[string]money.Amount
	quote   money.Amount
	rates   map[money.Currency]int32 // per dollar
	charges map[ID][]money.Amount
	parcels map[ID]int
	mails   map[ID]int
	events  map[ID]int
	rows    map[ID]*row
	keyed   bool                // payment serves a ledger
	ships   int                 // attempts that the shipping service gets; 0: it honours keys
	undone  map[ID]bool         // reversed
	refunds map[ID]money.Amount // in part, in all
	reports []error
	calls   map[Step]int

	opening func(*Order)                               // sees what is to be opened
	before  func(ctx context.Context, step Step) error // a call that fails has no effect
	after   func(ctx context.Context, step Step) error // a call that fails has had its effect
}

func newShop() *shop {
	return &shop{
		carts:   map[string][]Line{"ada": {{"telescope", 2}, {"lens", 1}}},
		prices:  map[string]money.Amount{"telescope": usd("101.96"), "lens": usd("0.20")},
		quote:   usd("8.99"),
		rates:   map[money.Currency]int32{"USD": 1, "EUR": 2, "JPY": 150},
		charges: map[ID][]money.Amount{}, parcels: map[ID]int{}, mails: map[ID]int{}, events: map[ID]int{},
		rows: map[ID]*row{}, calls: map[Step]int{}, undone: map[ID]bool{}, refunds: map[ID]money.Amount{}, ships: 3,
	}
}

// inShop runs a test in a shop of its own, in virtual time.
func inShop(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newShop()) })
}

// call is the one door to the shop.
func (s *shop) call(ctx context.Context, step Step, act func() error) error {
	s.mu.Lock()
	s.calls[step]++
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(ctx, step); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	err := act()
	s.mu.Unlock()
	if err == nil && s.after != nil {
		err = s.after(ctx, step)
	}
	return err
}

// count is how often a step was called.
func (s *shop) count(step Step) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[step]
}

func (s *shop) Lines(ctx context.Context, user string) (lines []Line, err error) {
	err = s.call(ctx, StepCart, func() error { lines = slices.Clone(s.carts[user]); return nil })
	return lines, err
}

func (s *shop) Empty(ctx context.Context, user string) error {
	return s.call(ctx, StepEmptyCart, func() error { delete(s.carts, user); return nil })
}

// Price implements Pricer: what package pricing does, in a row and without its checks.
func (s *shop) Price(ctx context.Context, req Request) (*Order, error) {
	lines, err := s.Lines(ctx, req.UserID)
	if err == nil && len(lines) == 0 {
		return nil, &Error{Kind: ErrEmptyCart, Step: StepCart}
	}
	o := &Order{UserID: req.UserID, Currency: req.Currency, Email: req.Email, Address: req.Address}
	total := money.Zero(req.Currency)
	add := func(step Step, quantity int32, price money.Amount) (paid money.Amount) {
		if err != nil {
			return paid
		}
		err = s.call(ctx, step, func() error {
			times, err := price.Mul(s.rates[req.Currency])
			if err != nil {
				return err
			}
			if paid, err = money.New(req.Currency, times.Units(), times.Nanos()); err != nil {
				return err
			}
			cost, err := paid.Mul(quantity)
			if err != nil {
				return err
			}
			total, err = total.Add(cost)
			return err
		})
		return paid
	}
	for _, line := range lines {
		o.Items = append(o.Items, Item{Line: line, Cost: add(StepCatalog, line.Quantity, s.prices[line.ProductID])})
	}
	o.Shipping = add(StepQuote, 1, s.quote)
	o.Total = total
	if err != nil {
		return nil, Fail(ErrUnavailable, "", err)
	}
	return o, nil
}

func (s *shop) Quote(ctx context.Context, _ Address, _ []Line) (quote money.Amount, err error) {
	err = s.call(ctx, StepQuote, func() error { quote = s.quote; return nil })
	return quote, err
}

func (s *shop) Ship(ctx context.Context, id ID, _ Address, _ []Line) (tracking string, err error) {
	err = s.call(ctx, StepShip, func() error {
		if s.ships > 0 || s.parcels[id] == 0 {
			s.parcels[id]++
		}
		tracking = fmt.Sprintf("parcel %d of %s", s.parcels[id], id)
		return nil
	})
	return tracking, err
}

func (s *shop) Charge(ctx context.Context, id ID, amount money.Amount, _ creditcard.Card) (tx string, err error) {
	err = s.call(ctx, StepCharge, func() error {
		if s.undone[id] {
			return ErrRefused
		}
		s.charges[id] = append(s.charges[id], amount)
		tx = "tx " + string(id)
		return nil
	})
	return tx, err
}

func (s *shop) Lookup(ctx context.Context, id ID) (tx string, charged money.Amount, err error) {
	err = s.call(ctx, StepLookup, func() error {
		if made := s.charges[id]; len(made) > 0 {
			tx, charged = "tx "+string(id), made[0]
		}
		return nil
	})
	return tx, charged, err
}

func (s *shop) Reverse(ctx context.Context, id ID) error {
	return s.call(ctx, StepReverse, func() error {
		s.undone[id] = true
		delete(s.charges, id)
		return nil
	})
}

func (s *shop) Refund(ctx context.Context, id ID, total money.Amount) error {
	return s.call(ctx, StepReverse, func() error { s.refunds[id] = total; return nil })
}

func (s *shop) Confirm(ctx context.Context, o *Order) error {
	return s.call(ctx, StepEmail, func() error { s.mails[o.ID]++; return nil })
}

func (s *shop) Publish(ctx context.Context, o *Order) error {
	return s.call(ctx, StepPublish, func() error { s.events[o.ID]++; return nil })
}

func (s *shop) Allow(Request) (func(), error) { return nil, nil }

func (s *shop) Admit(context.Context) (func(error), error) { return func(error) {}, nil }

// open makes a Placer in this shop, which is closed at the test's end.
func (s *shop) open(t *testing.T) *Placer {
	w := Dependencies{
		Pricer: s,
		Store:  s, Payment: s, Shipping: s, ShipAttempts: s.ships, Cart: s, Email: s, Events: s, Admission: s,
		Report: func(_ context.Context, _ ID, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reports = append(s.reports, err)
		},
	}
	if s.keyed {
		w.Ledger = s
	}
	p := NewPlacer(w)
	t.Cleanup(func() { p.Close(t.Context()) })
	return p
}

// placed is a Placer that has placed an order, as far as that went by itself.
func (s *shop) placed(t *testing.T) *Placer {
	t.Helper()
	p := s.open(t)
	if _, err := ask(t, p, request()); err != nil {
		t.Fatal(err)
	}
	p.runs.Wait()
	return p
}

// opened is the run of an order that Place has opened and not continued.
func opened(t *testing.T, p *Placer) *run {
	t.Helper()
	c := &call{calls: &p.calls, request: request(), admitted: func(error) {}}
	o, err := p.price(t.Context(), c.request)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := p.open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// the is the shop's only order, on record.
func (s *shop) the(t *testing.T) Order {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rows) != 1 {
		t.Fatalf("%d orders are on record, want one", len(s.rows))
	}
	for _, r := range s.rows {
		return r.Order
	}
	return Order{}
}

// books are what moved: charges, parcels, mails, events.
func (s *shop) books() [4]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n [4]int
	for i, book := range []map[ID]int{s.parcels, s.mails, s.events} {
		for _, times := range book {
			n[i+1] += times
		}
	}
	for _, charges := range s.charges {
		n[0] += len(charges)
	}
	return n
}

// wantMoved wants these books.
func (s *shop) wantMoved(t *testing.T, want [4]int) {
	t.Helper()
	if got := s.books(); got != want {
		t.Errorf("charges, parcels, mails, events: %v, want %v", got, want)
	}
}

// failing makes the named step fail with err, the first times times it is called.
func failing(step Step, times int, err error) func(context.Context, Step) error {
	var mu sync.Mutex
	return func(_ context.Context, s Step) error {
		mu.Lock()
		defer mu.Unlock()
		if s != step || times == 0 {
			return nil
		}
		times--
		return err
	}
}

// hanging makes the named step wait until its time is over.
func hanging(step Step) func(context.Context, Step) error {
	return func(ctx context.Context, s Step) error {
		if s == step {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// taking makes the named step take a while.
func taking(step Step, d time.Duration) func(context.Context, Step) error {
	return func(_ context.Context, s Step) error {
		if s == step {
			time.Sleep(d)
		}
		return nil
	}
}

// both makes steps fail as either says.
func both(one, other func(context.Context, Step) error) func(context.Context, Step) error {
	return func(ctx context.Context, s Step) error {
		if err := one(ctx, s); err != nil {
			return err
		}
		return other(ctx, s)
	}
}

var errAway = errors.New("connection refused")

func usd(text string) money.Amount { return amount("USD", text) }

func amount(c money.Currency, text string) money.Amount {
	var units int64
	var cents int32
	if _, err := fmt.Sscanf(text, "%d.%02d", &units, &cents); err != nil {
		panic(err)
	}
	a, err := money.New(c, units, cents*10_000_000)
	if err != nil {
		panic(err)
	}
	return a
}

func request() Request {
	return Request{
		UserID: "ada", Currency: "USD", Email: "ada@example.com",
		Address: Address{Street: "1 Main", City: "London", Country: "UK", ZipCode: "N1"},
		Card:    creditcard.New("4432-8015-6152-0454", 672, 2039, 1),
	}
}

func keyed(key string) Request {
	req := request()
	req.Key = key
	return req
}

// ask places an order with a caller's usual patience.
func ask(t *testing.T, p *Placer, req Request) (*Order, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	return p.Place(ctx, req)
}
