package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"checkout/internal/money"
)

// Limits are what an order may hold: each of them is the largest value that is accepted. Money is limited before
// conversion, so that a limit means the same in yen.
type Limits struct {
	Lines    int   // distinct products
	Quantity int32 // pieces of one product
	Pieces   int   // pieces altogether
	Price    int64 // US dollars, of one piece
	Total    int64 // US dollars, shipping included
}

// DefaultLimits are generous for people and tight for mistakes.
func DefaultLimits() Limits {
	return Limits{Lines: 200, Quantity: 10_000, Pieces: 100_000, Price: 10_000_000, Total: 1_000_000}
}

// readsAtOnce bounds the calls that a service gets at once in the read phase: half as many when more than fewOrders are read for.
// An order alone has all it can use, up to 126 lines. Many orders together only queue for the processors and at the
// neighbours, and pay for it in memory: in a small heap the garbage collector then takes more time than the orders do.
const (
	readsAtOnce = 128
	fewOrders   = 2
)

// Pricing is the read phase: cart, then products beside the quote, then conversions. It is the depth of the data's
// dependencies and no more, however many lines there are. It implements Pricer.
type Pricing struct {
	ReadTimeout time.Duration // for a call and the wait for its turn: 2 s

	cart     Cart
	catalog  Catalog
	exchange Currency
	carrier  Shipping
	limits   Limits
	products bulkhead
	rates    bulkhead
	quotes   bulkhead
	edges    *semaphore.Weighted // calls that no order waits for
	life     context.Context     // ends them
	end      context.CancelFunc
	orders   atomic.Int32 // that are read for
}

// NewPricing makes a Pricing that asks these neighbours. Close it.
func NewPricing(cart Cart, catalog Catalog, exchange Currency, carrier Shipping, limits Limits) *Pricing {
	p := &Pricing{
		cart: cart, catalog: catalog, exchange: exchange, carrier: carrier, limits: limits,
		ReadTimeout: 2 * time.Second,
		products:    newBulkhead(StepCatalog), rates: newBulkhead(StepConvert), quotes: newBulkhead(StepQuote),
		edges: semaphore.NewWeighted(edgesAtOnce),
	}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Close ends the calls that no order waits for. Nothing may be priced any more when it is called.
func (p *Pricing) Close() {
	p.end()
	_ = p.edges.Acquire(context.Background(), edgesAtOnce)
}

// Price reads the user's cart and adds up what it costs. Each unit price and the quote are rounded once to what can be
// paid in the customer's currency; the total is the exact sum of those, so that the receipt adds up.
func (p *Pricing) Price(ctx context.Context, req Request) (*Order, error) {
	began := time.Now()
	p.orders.Add(1)
	defer p.orders.Add(-1)
	lines, err := p.lines(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	for _, line := range lines { // it goes on record
		if req.Card.NumberIn(line.ProductID) {
			return nil, &Error{Kind: ErrBadCart, Step: StepCart, Violations: []Violation{{"cart.product_id", "holds the number of the card"}}}
		}
	}
	listed, err := p.ask(ctx, req, lines)
	if err != nil {
		return nil, err
	}
	if err := p.withinLimits(lines, listed); err != nil {
		return nil, err
	}
	inCurrency, err := p.convert(ctx, listed, req.Currency)
	if err != nil {
		return nil, err
	}
	items := make([]Item, len(lines))
	for i, line := range lines {
		items[i] = Item{Line: line, Cost: inCurrency.units[i]}
	}
	total, err := sum(lines, inCurrency)
	if err != nil {
		return nil, &Error{Kind: ErrImplausible, Step: StepConvert, Err: err}
	}
	return &Order{
		ID:       newID(began),
		State:    Charging,
		UserID:   req.UserID,
		Currency: req.Currency,
		Email:    req.Email,
		Address:  req.Address,
		Items:    items,
		Shipping: inCurrency.shipping,
		Total:    total,
		Created:  began,
		Changed:  time.Now(),
		Trace:    req.Trace,
	}, nil
}

// lines reads the cart. Lines of the same product become one: a consumer of the event may key them by product. A line of
// no pieces is none, as for the shop's own checkout.
func (p *Pricing) lines(ctx context.Context, userID string) ([]Line, error) {
	cart, err := p.cart.Lines(ctx, userID)
	if err != nil {
		return nil, asked(StepCart, err)
	}
	var bad violations
	at := make(map[string]int, min(len(cart), p.limits.Lines))
	lines := make([]Line, 0, min(len(cart), p.limits.Lines))
	pieces := 0
	for _, line := range cart {
		if line.Quantity == 0 {
			continue
		}
		if line.Quantity < 0 || line.Quantity > p.limits.Quantity {
			bad.add(quantityOf(line), fmt.Sprintf("%d is not between 1 and %d", line.Quantity, p.limits.Quantity))
			break
		}
		bad.text("cart.product_id", line.ProductID, 1, maxProductID)
		i, seen := at[line.ProductID]
		if !seen {
			i, at[line.ProductID] = len(lines), len(lines)
			lines = append(lines, Line{ProductID: line.ProductID})
		}
		if lines[i].Quantity += line.Quantity; lines[i].Quantity > p.limits.Quantity {
			bad.add(quantityOf(line), fmt.Sprintf("is more than %d altogether", p.limits.Quantity))
		}
		if pieces += int(line.Quantity); pieces > p.limits.Pieces {
			bad.add("cart", fmt.Sprintf("has more than %d pieces", p.limits.Pieces))
		}
		if len(lines) > p.limits.Lines {
			bad.add("cart", fmt.Sprintf("has more than %d products", p.limits.Lines))
		}
		if bad != nil {
			break // one is enough to refuse it, and a hostile cart could have thousands
		}
	}
	if bad != nil {
		return nil, &Error{Kind: ErrBadCart, Step: StepCart, Violations: bad}
	}
	if len(lines) == 0 {
		return nil, &Error{Kind: ErrEmptyCart, Step: StepCart}
	}
	return lines, nil
}

const maxProductID = 128

func quantityOf(l Line) string {
	return fmt.Sprintf("cart[%.*s].quantity", maxProductID, l.ProductID)
}

// prices are the unit price of each line and the price of shipping them all.
type prices struct {
	units    []money.Amount
	shipping money.Amount
}

// ask reads the listed prices beside the quote, and whether the exchange knows the customer's currency at all.
func (p *Pricing) ask(ctx context.Context, req Request, lines []Line) (prices, error) {
	listed := prices{units: make([]money.Amount, len(lines))}
	if req.Currency == dollar {
		p.touchExchange(ctx)
	}
	reads := p.start(ctx)
	reads.do(p.quotes, func(ctx context.Context) (err error) {
		listed.shipping, err = p.carrier.Quote(ctx, req.Address, lines)
		if errors.Is(err, ErrRefused) {
			return &Error{Kind: ErrBadCart, Step: StepQuote, Err: err, Violations: []Violation{{"address", "nothing can be shipped there"}}}
		}
		return asked(StepQuote, err)
	})
	if req.Currency != dollar {
		reads.do(p.rates, func(ctx context.Context) error { return p.supported(ctx, req.Currency) })
	}
	for i, line := range lines {
		reads.do(p.products, func(ctx context.Context) error {
			product, err := p.catalog.Product(ctx, line.ProductID)
			if errors.Is(err, ErrUnknownProduct) {
				return &Error{Kind: ErrUnknownProduct, Step: StepCatalog, Err: err, Violations: []Violation{{"cart", fmt.Sprintf("product %q is not in the catalogue", line.ProductID)}}}
			}
			listed.units[i] = product.Price
			return asked(StepCatalog, err)
		})
	}
	err := reads.wait() // before listed is read: the order of the two in one return is not defined
	return listed, err
}

// dollar is the currency of the catalogue and of the carrier.
const dollar money.Currency = "USD"

// edgesAtOnce bounds the calls that no order waits for.
const edgesAtOnce = 32

// touchExchange calls the exchange for an order in dollars. The order does not need it, and does not wait: the call is in
// its trace because the shop's service graph is drawn from traces, and its tests want this edge. When too many such calls
// are under way it is left out.
func (p *Pricing) touchExchange(ctx context.Context) {
	if !p.edges.TryAcquire(1) {
		return
	}
	go func() {
		defer p.edges.Release(1)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.ReadTimeout)
		defer cancel()
		defer context.AfterFunc(p.life, cancel)()
		_ = guard(func() error {
			_, err := p.exchange.Supported(ctx)
			return err
		})
	}()
}

// supported asks the exchange whether it knows the currency. One that has no list may know it.
func (p *Pricing) supported(ctx context.Context, c money.Currency) error {
	known, err := p.exchange.Supported(ctx)
	if err != nil {
		return asked(StepConvert, err)
	}
	if len(known) > 0 && !slices.Contains(known, c) {
		return unsupported(nil)
	}
	return nil
}

func unsupported(cause error) error {
	return &Error{Kind: ErrInvalid, Step: StepConvert, Err: cause, Violations: []Violation{{"user_currency", "is not supported"}}}
}

// withinLimits refuses prices that nobody can have meant, before anything is done with them. A product may be free; an
// order may not, for then there is nothing to charge.
func (p *Pricing) withinLimits(lines []Line, listed prices) error {
	for i, price := range listed.units {
		if price.Sign() < 0 || above(price, p.limits.Price) {
			return &Error{Kind: ErrImplausible, Step: StepCatalog, Err: fmt.Errorf("product %q costs %v, which is not between 0 and %d", lines[i].ProductID, price, p.limits.Price)}
		}
	}
	if listed.shipping.Sign() < 0 {
		return &Error{Kind: ErrImplausible, Step: StepQuote, Err: fmt.Errorf("shipping costs %v", listed.shipping)}
	}
	total, err := sum(lines, listed)
	if err != nil {
		return &Error{Kind: ErrImplausible, Step: StepCatalog, Err: err}
	}
	if total.Sign() == 0 {
		return &Error{Kind: ErrBadCart, Step: StepCart, Violations: []Violation{{"cart", "costs nothing, shipping included: there is nothing to charge"}}}
	}
	if above(total, p.limits.Total) {
		return &Error{Kind: ErrBadCart, Step: StepCart, Violations: []Violation{{"cart", fmt.Sprintf("adds up to %v, at most %s %d is accepted", total, dollar, p.limits.Total)}}}
	}
	return nil
}

// above tells whether an amount is more than limit units.
func above(a money.Amount, limit int64) bool {
	return a.Units() > limit || a.Units() == limit && a.Nanos() > 0
}

// convert turns listed prices into the customer's currency, each distinct one once, and rounds them.
func (p *Pricing) convert(ctx context.Context, listed prices, to money.Currency) (prices, error) {
	all := append(listed.units[:len(listed.units):len(listed.units)], listed.shipping)
	if to == dollar {
		return local(all, func(i int) money.Amount { return all[i] })
	}
	first := make(map[money.Amount]int, len(all)) // where a price occurs first
	converted := make([]money.Amount, len(all))
	reads := p.start(ctx)
	for i, price := range all {
		if _, seen := first[price]; seen {
			continue
		}
		first[price] = i
		if price.Sign() == 0 {
			converted[i] = money.Zero(to)
			continue
		}
		reads.do(p.rates, func(ctx context.Context) (err error) {
			converted[i], err = p.exchange.Convert(ctx, price, to)
			if errors.Is(err, ErrRefused) { // whatever its list says
				return unsupported(err)
			}
			return asked(StepConvert, err)
		})
	}
	if err := reads.wait(); err != nil {
		return prices{}, err
	}
	return local(all, func(i int) money.Amount { return converted[first[all[i]]] })
}

// local are the listed prices as the customer pays them: exact ones, of which the last is that of shipping, rounded.
func local(listed []money.Amount, exact func(i int) money.Amount) (prices, error) {
	all := make([]money.Amount, len(listed))
	for i, price := range listed {
		is := exact(i)
		rounded, err := is.Round()
		if err != nil || rounded.Sign() != is.Sign() {
			return prices{}, &Error{Kind: ErrImplausible, Step: StepConvert, Err: fmt.Errorf("%v is %v, which cannot be paid", price, is)}
		}
		all[i] = rounded
	}
	last := len(all) - 1
	return prices{units: all[:last], shipping: all[last]}, nil
}

// sum is Σ unit price · quantity + shipping, exactly.
func sum(lines []Line, p prices) (money.Amount, error) {
	total := p.shipping
	for i, line := range lines {
		cost, err := p.units[i].Mul(line.Quantity)
		if err != nil {
			return money.Amount{}, fmt.Errorf("%d × %v: %w", line.Quantity, p.units[i], err)
		}
		if total, err = total.Add(cost); err != nil {
			return money.Amount{}, fmt.Errorf("adding up the cart: %w", err)
		}
	}
	return total, nil
}

// asked is the failure of a question to a neighbour: it was away, or its answer cannot be. Without a cause it is nil.
func asked(step Step, cause error) error {
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, ErrImplausible):
		return fail(ErrImplausible, step, cause)
	}
	return fail(ErrUnavailable, step, cause)
}
