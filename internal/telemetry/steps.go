package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
)

// A decorator a port: each measures how long the order waits for it. What is told of a measurement is made beforehand,
// because an order takes some fifteen steps.

// step measures a step of orders.
type step struct {
	duration metric.Float64Histogram
	done     []metric.RecordOption
	failed   map[string][]metric.RecordOption // by error.type
}

func (t *Telemetry) step(name order.Step) *step {
	is := stepKey.String(string(name))
	s := &step{
		duration: t.duration(metricSteps),
		done:     []metric.RecordOption{measurement(is)},
		failed:   make(map[string][]metric.RecordOption),
	}
	kinds := []string{canceled, timeout, other}
	for _, f := range stepFailures() {
		kinds = append(kinds, f.name)
	}
	for _, kind := range kinds {
		s.failed[kind] = []metric.RecordOption{measurement(is, errorType.String(kind))}
	}
	return s
}

// took records that the step is over. It is made to be deferred.
func (s *step) took(ctx context.Context, start time.Time, err *error) {
	with := s.done
	if *err != nil {
		with = s.failed[stepFailure(*err)]
	}
	s.duration.Record(ctx, time.Since(start).Seconds(), with...)
}

// stepFailure is the error.type of a step that failed.
func stepFailure(err error) string {
	for _, f := range stepFailures() {
		if errors.Is(err, f.kind) {
			return f.name
		}
	}
	return errorKind(err)
}

type timedCart struct {
	order.Cart
	lines, empty *step
}

// Cart measures what an order waits for the cart.
func (t *Telemetry) Cart(next order.Cart) order.Cart {
	return timedCart{next, t.step(order.StepCart), t.step(order.StepEmptyCart)}
}

// Lines implements order.Cart.
func (c timedCart) Lines(ctx context.Context, userID string) (_ []order.Line, err error) {
	defer c.lines.took(ctx, time.Now(), &err)
	return c.Cart.Lines(ctx, userID)
}

// Empty implements order.Cart.
func (c timedCart) Empty(ctx context.Context, userID string) (err error) {
	defer c.empty.took(ctx, time.Now(), &err)
	return c.Cart.Empty(ctx, userID)
}

type timedCatalog struct {
	order.Catalog
	product *step
}

// Catalog measures what an order waits for the catalogue.
func (t *Telemetry) Catalog(next order.Catalog) order.Catalog {
	return timedCatalog{next, t.step(order.StepCatalog)}
}

// Product implements order.Catalog.
func (c timedCatalog) Product(ctx context.Context, id string) (_ order.Product, err error) {
	defer c.product.took(ctx, time.Now(), &err)
	return c.Catalog.Product(ctx, id)
}

type timedCurrency struct {
	order.Currency
	convert *step
}

// Exchange measures what an order waits for the exchange.
func (t *Telemetry) Currency(next order.Currency) order.Currency {
	return timedCurrency{next, t.step(order.StepConvert)}
}

// Supported implements order.Currency.
func (e timedCurrency) Supported(ctx context.Context) (_ []money.Currency, err error) {
	defer e.convert.took(ctx, time.Now(), &err)
	return e.Currency.Supported(ctx)
}

// Convert implements order.Currency.
func (e timedCurrency) Convert(ctx context.Context, amount money.Amount, to money.Currency) (_ money.Amount, err error) {
	defer e.convert.took(ctx, time.Now(), &err)
	return e.Currency.Convert(ctx, amount, to)
}

type timedShipping struct {
	order.Shipping
	quote, ship *step
}

// Carrier measures what an order waits for the carrier.
func (t *Telemetry) Shipping(next order.Shipping) order.Shipping {
	return timedShipping{next, t.step(order.StepQuote), t.step(order.StepShip)}
}

// Quote implements order.Shipping.
func (c timedShipping) Quote(ctx context.Context, to order.Address, lines []order.Line) (_ money.Amount, err error) {
	defer c.quote.took(ctx, time.Now(), &err)
	return c.Shipping.Quote(ctx, to, lines)
}

// Ship implements order.Shipping.
func (c timedShipping) Ship(ctx context.Context, id order.ID, to order.Address, lines []order.Line) (_ string, err error) {
	defer c.ship.took(ctx, time.Now(), &err)
	return c.Shipping.Ship(ctx, id, to, lines)
}

type timedPayment struct {
	order.Payment
	charge *step
}

// Payment measures what an order waits for its charge.
func (t *Telemetry) Payment(next order.Payment) order.Payment {
	return timedPayment{next, t.step(order.StepCharge)}
}

// Charge implements order.Payment.
func (p timedPayment) Charge(ctx context.Context, id order.ID, amount money.Amount, card creditcard.Card) (_ string, err error) {
	defer p.charge.took(ctx, time.Now(), &err)
	return p.Payment.Charge(ctx, id, amount, card)
}

type timedLedger struct {
	order.Ledger
	lookup, reverse *step
}

// Ledger measures what an order waits for the ledger.
func (t *Telemetry) Ledger(next order.Ledger) order.Ledger {
	return timedLedger{next, t.step(order.StepLookup), t.step(order.StepReverse)}
}

// Lookup implements order.Ledger.
func (l timedLedger) Lookup(ctx context.Context, id order.ID) (_ string, err error) {
	defer l.lookup.took(ctx, time.Now(), &err)
	return l.Ledger.Lookup(ctx, id)
}

// Reverse implements order.Ledger.
func (l timedLedger) Reverse(ctx context.Context, id order.ID) (err error) {
	defer l.reverse.took(ctx, time.Now(), &err)
	return l.Ledger.Reverse(ctx, id)
}

type timedEmail struct {
	order.Email
	confirm *step
}

// Mail measures how long letters take.
func (t *Telemetry) Email(next order.Email) order.Email {
	return timedEmail{next, t.step(order.StepEmail)}
}

// Confirm implements order.Email.
func (m timedEmail) Confirm(ctx context.Context, o *order.Order) (err error) {
	defer m.confirm.took(ctx, time.Now(), &err)
	return m.Email.Confirm(ctx, o)
}

type timedEvents struct {
	order.Events
	publish *step
}

// Events measures how long events take.
func (t *Telemetry) Events(next order.Events) order.Events {
	return timedEvents{next, t.step(order.StepPublish)}
}

// Publish implements order.Events.
func (e timedEvents) Publish(ctx context.Context, o *order.Order) (err error) {
	defer e.publish.took(ctx, time.Now(), &err)
	return e.Events.Publish(ctx, o)
}
