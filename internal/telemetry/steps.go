package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/pricing"
)

// steps measures how long orders wait for each of their steps. Its options are built once, because an order takes some
// fifteen steps.
type steps struct {
	duration metric.Float64Histogram
	done     map[order.Step][]metric.RecordOption
}

func (t *Telemetry) newSteps() steps {
	s := steps{t.duration(metricSteps), make(map[order.Step][]metric.RecordOption)}
	for _, step := range []order.Step{
		order.StepCart, order.StepCatalog, order.StepQuote, order.StepConvert, order.StepRecord, order.StepCharge, order.StepLookup,
		order.StepReverse, order.StepShip, order.StepEmptyCart, order.StepEmail, order.StepPublish,
	} {
		s.done[step] = []metric.RecordOption{measurement(stepKey.String(string(step)))}
	}
	return s
}

// took records a step that has ended. It is to be deferred.
func (s steps) took(ctx context.Context, step order.Step, start time.Time, err *error) {
	options := s.done[step]
	if *err != nil {
		options = []metric.RecordOption{measurement(stepKey.String(string(step)), errorType.String(stepFailure(*err)))}
	}
	s.duration.Record(ctx, time.Since(start).Seconds(), options...)
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

// Each of these decorators measures the calls of one port.
type (
	timedCart struct {
		order.Cart
		steps
	}
	timedCatalog struct {
		pricing.Catalog
		steps
	}
	timedCurrency struct {
		pricing.Currency
		steps
	}
	timedShipping struct {
		order.Shipping
		steps
	}
	timedPayment struct {
		order.Payment
		steps
	}
	timedLedger struct {
		order.Ledger
		steps
	}
	timedEmail struct {
		order.Email
		steps
	}
	timedEvents struct {
		order.Events
		steps
	}
)

// Cart measures the calls of next.
func (t *Telemetry) Cart(next order.Cart) order.Cart { return timedCart{next, t.steps} }

// Catalog measures the calls of next.
func (t *Telemetry) Catalog(next pricing.Catalog) pricing.Catalog { return timedCatalog{next, t.steps} }

// Currency measures the calls of next.
func (t *Telemetry) Currency(next pricing.Currency) pricing.Currency {
	return timedCurrency{next, t.steps}
}

// Shipping measures the calls of next.
func (t *Telemetry) Shipping(next order.Shipping) order.Shipping { return timedShipping{next, t.steps} }

// Payment measures the calls of next.
func (t *Telemetry) Payment(next order.Payment) order.Payment { return timedPayment{next, t.steps} }

// Ledger measures the calls of next.
func (t *Telemetry) Ledger(next order.Ledger) order.Ledger { return timedLedger{next, t.steps} }

// Email measures the calls of next.
func (t *Telemetry) Email(next order.Email) order.Email { return timedEmail{next, t.steps} }

// Events measures the calls of next.
func (t *Telemetry) Events(next order.Events) order.Events { return timedEvents{next, t.steps} }

func (c timedCart) Lines(ctx context.Context, userID string) (_ []order.Line, err error) {
	defer c.took(ctx, order.StepCart, time.Now(), &err)
	return c.Cart.Lines(ctx, userID)
}

func (c timedCart) Empty(ctx context.Context, userID string) (err error) {
	defer c.took(ctx, order.StepEmptyCart, time.Now(), &err)
	return c.Cart.Empty(ctx, userID)
}

func (c timedCatalog) Product(ctx context.Context, id string) (_ pricing.Product, err error) {
	defer c.took(ctx, order.StepCatalog, time.Now(), &err)
	return c.Catalog.Product(ctx, id)
}

func (c timedCurrency) Supported(ctx context.Context) (_ []money.Currency, err error) {
	defer c.took(ctx, order.StepConvert, time.Now(), &err)
	return c.Currency.Supported(ctx)
}

func (c timedCurrency) Convert(ctx context.Context, amount money.Amount, to money.Currency) (_ money.Amount, err error) {
	defer c.took(ctx, order.StepConvert, time.Now(), &err)
	return c.Currency.Convert(ctx, amount, to)
}

func (s timedShipping) Quote(ctx context.Context, to order.Address, lines []order.Line) (_ money.Amount, err error) {
	defer s.took(ctx, order.StepQuote, time.Now(), &err)
	return s.Shipping.Quote(ctx, to, lines)
}

func (s timedShipping) Ship(ctx context.Context, id order.ID, to order.Address, lines []order.Line) (_ string, err error) {
	defer s.took(ctx, order.StepShip, time.Now(), &err)
	return s.Shipping.Ship(ctx, id, to, lines)
}

func (p timedPayment) Charge(ctx context.Context, id order.ID, amount money.Amount, card creditcard.Card) (_ string, err error) {
	defer p.took(ctx, order.StepCharge, time.Now(), &err)
	return p.Payment.Charge(ctx, id, amount, card)
}

func (l timedLedger) Lookup(ctx context.Context, id order.ID) (_ string, err error) {
	defer l.took(ctx, order.StepLookup, time.Now(), &err)
	return l.Ledger.Lookup(ctx, id)
}

func (l timedLedger) Reverse(ctx context.Context, id order.ID) (err error) {
	defer l.took(ctx, order.StepReverse, time.Now(), &err)
	return l.Ledger.Reverse(ctx, id)
}

func (e timedEmail) Confirm(ctx context.Context, o *order.Order) (err error) {
	defer e.took(ctx, order.StepEmail, time.Now(), &err)
	return e.Email.Confirm(ctx, o)
}

func (e timedEvents) Publish(ctx context.Context, o *order.Order) (err error) {
	defer e.took(ctx, order.StepPublish, time.Now(), &err)
	return e.Events.Publish(ctx, o)
}
