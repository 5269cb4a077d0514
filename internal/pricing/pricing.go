// Package pricing is the read phase of an order. Pricer.Price reads the cart, its products, the shipping quote and conversions,
// and returns what an order would contain and cost. Limits says which carts are refused. Nothing is recorded or changed.
package pricing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wait"
)

// Product is what the catalogue says of a product: a name and a unit price, in US dollars.
type Product struct {
	ID    string
	Price money.Amount
}

// Cart is the cart of a user.
type Cart interface {
	// Lines are what the user wants to buy. An unknown user has none.
	Lines(ctx context.Context, userID string) ([]order.Line, error)
}

// Shipping prices parcels.
type Shipping interface {
	// Quote is the price of shipping the lines, in US dollars. It returns order.ErrRefused when they cannot be shipped there.
	Quote(ctx context.Context, to order.Address, lines []order.Line) (money.Amount, error)
}

// Catalog knows the products.
type Catalog interface {
	// Product returns ErrUnknownProduct when there is no such product.
	Product(ctx context.Context, id string) (Product, error)
}

// Currency converts money.
type Currency interface {
	// Supported are the currencies that the currency service says it knows: none when it has no list.
	Supported(ctx context.Context) ([]money.Currency, error)
	// Convert returns ErrImplausible for an answer that is no amount of the currency asked for, and ErrRefused when it
	// does not know that currency.
	Convert(ctx context.Context, amount money.Amount, to money.Currency) (money.Amount, error)
}

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
// services, and pay for it in memory: in a small heap the garbage collector then takes more time than the orders do.
const (
	readsAtOnce = 128
	fewOrders   = 2
)

// Pricer is the read phase: cart, then products beside the quote, then conversions. It is the depth of the data's
// dependencies and no more, however many lines there are. It is an order.Pricer.
type Pricer struct {
	ReadTimeout time.Duration // for a call and the wait for its turn: 2 s

	cart     Cart
	catalog  Catalog
	currency Currency
	shipping Shipping
	limits   Limits
	products bulkhead
	rates    bulkhead
	quotes   bulkhead
	edges    *semaphore.Weighted // calls that no order waits for
	life     context.Context     // ends them
	end      context.CancelFunc
	orders   atomic.Int32 // that are read for
}

// New makes a Pricer that asks these services. Close it.
func New(cart Cart, catalog Catalog, currency Currency, shipping Shipping, limits Limits) *Pricer {
	p := &Pricer{
		cart: cart, catalog: catalog, currency: currency, shipping: shipping, limits: limits,
		ReadTimeout: 2 * time.Second,
		products:    newBulkhead(order.StepCatalog), rates: newBulkhead(order.StepConvert), quotes: newBulkhead(order.StepQuote),
		edges: semaphore.NewWeighted(edgesAtOnce),
	}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Close ends the calls that no order waits for. Nothing may be priced any more when it is called.
func (p *Pricer) Close() {
	p.end()
	_ = p.edges.Acquire(context.Background(), edgesAtOnce)
}

// Price reads the user's cart and adds up what it costs. Each unit price and the quote are rounded once to what can be
// paid in the customer's currency; the total is the exact sum of those, so that the receipt adds up.
func (p *Pricer) Price(ctx context.Context, req order.Request) (*order.Order, error) {
	p.orders.Add(1)
	defer p.orders.Add(-1)
	lines, err := p.lines(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	for _, line := range lines { // it goes on record
		if req.Card.NumberIn(line.ProductID) {
			return nil, &order.Error{Kind: order.ErrBadCart, Step: order.StepCart, Violations: violation("cart.product_id", "holds the number of the card")}
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
	items := make([]order.Item, len(lines))
	for i, line := range lines {
		items[i] = order.Item{Line: line, Cost: inCurrency.units[i]}
	}
	total, err := sum(lines, inCurrency)
	if err != nil {
		return nil, &order.Error{Kind: order.ErrImplausible, Step: order.StepConvert, Err: err}
	}
	return &order.Order{
		UserID:   req.UserID,
		Currency: req.Currency,
		Email:    req.Email,
		Address:  req.Address,
		Items:    items,
		Shipping: inCurrency.shipping,
		Total:    total,
	}, nil
}

// lines reads the cart. Lines of the same product become one: a consumer of the event may key them by product. A line of
// no pieces is none, as for the shop's own checkout.
func (p *Pricer) lines(ctx context.Context, userID string) ([]order.Line, error) {
	cart, err := p.cart.Lines(ctx, userID)
	if err != nil {
		return nil, asked(order.StepCart, err)
	}
	var bad []order.Violation
	refuse := func(field, format string, args ...any) {
		bad = append(bad, order.Violation{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	at := make(map[string]int, min(len(cart), p.limits.Lines))
	lines := make([]order.Line, 0, min(len(cart), p.limits.Lines))
	pieces := 0
	for _, line := range cart {
		if line.Quantity == 0 {
			continue
		}
		if line.Quantity < 0 || line.Quantity > p.limits.Quantity {
			refuse(quantityOf(line), "%d is not between 1 and %d", line.Quantity, p.limits.Quantity)
			break
		}
		if id := line.ProductID; id == "" || utf8.RuneCountInString(id) > maxProductID || strings.ContainsFunc(id, unicode.IsControl) {
			refuse("cart.product_id", "is not 1 to %d characters without control characters", maxProductID)
		}
		i, seen := at[line.ProductID]
		if !seen {
			i, at[line.ProductID] = len(lines), len(lines)
			lines = append(lines, order.Line{ProductID: line.ProductID})
		}
		if lines[i].Quantity += line.Quantity; lines[i].Quantity > p.limits.Quantity {
			refuse(quantityOf(line), "is more than %d altogether", p.limits.Quantity)
		}
		if pieces += int(line.Quantity); pieces > p.limits.Pieces {
			refuse("cart", "has more than %d pieces", p.limits.Pieces)
		}
		if len(lines) > p.limits.Lines {
			refuse("cart", "has more than %d products", p.limits.Lines)
		}
		if bad != nil {
			break // one is enough to refuse it, and a hostile cart could have thousands
		}
	}
	if bad != nil {
		return nil, &order.Error{Kind: order.ErrBadCart, Step: order.StepCart, Violations: bad}
	}
	if len(lines) == 0 {
		return nil, &order.Error{Kind: order.ErrEmptyCart, Step: order.StepCart}
	}
	return lines, nil
}

const maxProductID = 128

func quantityOf(l order.Line) string {
	return fmt.Sprintf("cart[%.*s].quantity", maxProductID, l.ProductID)
}

// prices are the unit price of each line and the price of shipping them all.
type prices struct {
	units    []money.Amount
	shipping money.Amount
}

// ask reads the listed prices beside the quote, and whether the currency knows the customer's currency at all.
func (p *Pricer) ask(ctx context.Context, req order.Request, lines []order.Line) (prices, error) {
	listed := prices{units: make([]money.Amount, len(lines))}
	if req.Currency == dollar {
		p.touchExchange(ctx)
	}
	reads := p.start(ctx)
	reads.do(p.quotes, func(ctx context.Context) (err error) {
		listed.shipping, err = p.shipping.Quote(ctx, req.Address, lines)
		if errors.Is(err, order.ErrRefused) {
			return &order.Error{Kind: order.ErrBadCart, Step: order.StepQuote, Err: err, Violations: violation("address", "nothing can be shipped there")}
		}
		return asked(order.StepQuote, err)
	})
	if req.Currency != dollar {
		reads.do(p.rates, func(ctx context.Context) error { return p.supported(ctx, req.Currency) })
	}
	for i, line := range lines {
		reads.do(p.products, func(ctx context.Context) error {
			product, err := p.catalog.Product(ctx, line.ProductID)
			if errors.Is(err, order.ErrUnknownProduct) {
				return &order.Error{Kind: order.ErrUnknownProduct, Step: order.StepCatalog, Err: err, Violations: violation("cart", fmt.Sprintf("product %q is not in the catalogue", line.ProductID))}
			}
			listed.units[i] = product.Price
			return asked(order.StepCatalog, err)
		})
	}
	err := reads.wait() // before listed is read: the order of the two in one return is not defined
	return listed, err
}

// dollar is the currency of the catalogue and of shipping.
const dollar money.Currency = "USD"

// edgesAtOnce bounds the calls that no order waits for.
const edgesAtOnce = 32

// touchExchange calls the currency for an order in dollars. The order does not need it, and does not wait: the call is in
// its trace because the shop's service graph is drawn from traces, and its tests want this edge. When too many such calls
// are under way it is left out.
func (p *Pricer) touchExchange(ctx context.Context) {
	if !p.edges.TryAcquire(1) {
		return
	}
	go func() {
		defer p.edges.Release(1)
		ctx, cancel := context.WithTimeout(wait.Within(p.life, ctx), p.ReadTimeout)
		defer cancel()
		_ = order.Guard(func() error {
			_, err := p.currency.Supported(ctx)
			return err
		})
	}()
}

// supported asks the currency whether it knows the currency. One that has no list may know it.
func (p *Pricer) supported(ctx context.Context, c money.Currency) error {
	known, err := p.currency.Supported(ctx)
	if err != nil {
		return asked(order.StepConvert, err)
	}
	if len(known) > 0 && !slices.Contains(known, c) {
		return unsupported(nil)
	}
	return nil
}

func unsupported(cause error) error {
	return &order.Error{Kind: order.ErrInvalid, Step: order.StepConvert, Err: cause, Violations: violation("user_currency", "is not supported")}
}

// withinLimits refuses prices that must be a mistake, before anything is done with them. A product may be free; an
// order may not, for then there is nothing to charge.
func (p *Pricer) withinLimits(lines []order.Line, listed prices) error {
	for i, price := range listed.units {
		if price.Sign() < 0 || above(price, p.limits.Price) {
			return &order.Error{Kind: order.ErrImplausible, Step: order.StepCatalog, Err: fmt.Errorf("product %q costs %v, which is not between 0 and %d", lines[i].ProductID, price, p.limits.Price)}
		}
	}
	if listed.shipping.Sign() < 0 {
		return &order.Error{Kind: order.ErrImplausible, Step: order.StepQuote, Err: fmt.Errorf("shipping costs %v", listed.shipping)}
	}
	total, err := sum(lines, listed)
	if err != nil {
		return &order.Error{Kind: order.ErrImplausible, Step: order.StepCatalog, Err: err}
	}
	if total.Sign() == 0 {
		return &order.Error{Kind: order.ErrBadCart, Step: order.StepCart, Violations: violation("cart", "costs nothing, shipping included: there is nothing to charge")}
	}
	if above(total, p.limits.Total) {
		return &order.Error{Kind: order.ErrBadCart, Step: order.StepCart, Violations: violation("cart", fmt.Sprintf("adds up to %v, at most %s %d is accepted", total, dollar, p.limits.Total))}
	}
	return nil
}

// above reports whether an amount is more than limit units.
func above(a money.Amount, limit int64) bool {
	return a.Units() > limit || a.Units() == limit && a.Nanos() > 0
}

// convert turns listed prices into the customer's currency, each distinct one once, and rounds them.
func (p *Pricer) convert(ctx context.Context, listed prices, to money.Currency) (prices, error) {
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
			converted[i], err = p.currency.Convert(ctx, price, to)
			if errors.Is(err, order.ErrRefused) { // whatever its list says
				return unsupported(err)
			}
			return asked(order.StepConvert, err)
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
			return prices{}, &order.Error{Kind: order.ErrImplausible, Step: order.StepConvert, Err: fmt.Errorf("%v is %v, which cannot be paid", price, is)}
		}
		all[i] = rounded
	}
	last := len(all) - 1
	return prices{units: all[:last], shipping: all[last]}, nil
}

// sum is Σ unit price · quantity + shipping, exactly.
func sum(lines []order.Line, p prices) (money.Amount, error) {
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

// asked is the failure of a read: the service was away, or its answer is implausible. Without a cause it is nil.
func asked(step order.Step, cause error) error {
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, order.ErrImplausible):
		return order.Fail(order.ErrImplausible, step, cause)
	}
	return order.Fail(order.ErrUnavailable, step, cause)
}

func violation(field, problem string) []order.Violation {
	return []order.Violation{{Field: field, Problem: problem}}
}
