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

// Services are the ports of the services that an order needs.
type Services struct {
	Cart     order.Cart
	Catalog  pricing.Catalog
	Currency pricing.Currency
	Quotes   pricing.Shipping
	Payment  order.Payment
	Ledger   order.Ledger // nil: the payment service cannot be asked
	Shipping order.Shipping
	Email    order.Email
	Events   order.Events // nil: there is no broker
}

// Timed measures the calls of services.
func (t *Telemetry) Timed(s Services) Services {
	m := &timed{t.steps, s}
	measured := Services{m, m, m, m, m, m, m, m, m}
	if s.Ledger == nil {
		measured.Ledger = nil
	}
	if s.Events == nil {
		measured.Events = nil
	}
	return measured
}

type timed struct {
	steps
	next Services
}

func (t *timed) Lines(ctx context.Context, userID string) (_ []order.Line, err error) {
	defer t.took(ctx, order.StepCart, time.Now(), &err)
	return t.next.Cart.Lines(ctx, userID)
}

func (t *timed) Empty(ctx context.Context, userID string) (err error) {
	defer t.took(ctx, order.StepEmptyCart, time.Now(), &err)
	return t.next.Cart.Empty(ctx, userID)
}

func (t *timed) Product(ctx context.Context, id string) (_ pricing.Product, err error) {
	defer t.took(ctx, order.StepCatalog, time.Now(), &err)
	return t.next.Catalog.Product(ctx, id)
}

func (t *timed) Supported(ctx context.Context) (_ []money.Currency, err error) {
	defer t.took(ctx, order.StepConvert, time.Now(), &err)
	return t.next.Currency.Supported(ctx)
}

func (t *timed) Convert(ctx context.Context, amount money.Amount, to money.Currency) (_ money.Amount, err error) {
	defer t.took(ctx, order.StepConvert, time.Now(), &err)
	return t.next.Currency.Convert(ctx, amount, to)
}

func (t *timed) Quote(ctx context.Context, to order.Address, lines []order.Line) (_ money.Amount, err error) {
	defer t.took(ctx, order.StepQuote, time.Now(), &err)
	return t.next.Quotes.Quote(ctx, to, lines)
}

func (t *timed) Ship(ctx context.Context, id order.ID, to order.Address, lines []order.Line) (_ string, err error) {
	defer t.took(ctx, order.StepShip, time.Now(), &err)
	return t.next.Shipping.Ship(ctx, id, to, lines)
}

func (t *timed) Charge(ctx context.Context, id order.ID, amount money.Amount, card creditcard.Card) (_ string, err error) {
	defer t.took(ctx, order.StepCharge, time.Now(), &err)
	return t.next.Payment.Charge(ctx, id, amount, card)
}

func (t *timed) Lookup(ctx context.Context, id order.ID) (_ string, _ money.Amount, err error) {
	defer t.took(ctx, order.StepLookup, time.Now(), &err)
	return t.next.Ledger.Lookup(ctx, id)
}

func (t *timed) Reverse(ctx context.Context, id order.ID) (err error) {
	defer t.took(ctx, order.StepReverse, time.Now(), &err)
	return t.next.Ledger.Reverse(ctx, id)
}

func (t *timed) Refund(ctx context.Context, id order.ID, total money.Amount) (err error) {
	defer t.took(ctx, order.StepReverse, time.Now(), &err)
	return t.next.Ledger.Refund(ctx, id, total)
}

func (t *timed) Confirm(ctx context.Context, o *order.Order) (err error) {
	defer t.took(ctx, order.StepEmail, time.Now(), &err)
	return t.next.Email.Confirm(ctx, o)
}

func (t *timed) Publish(ctx context.Context, o *order.Order) (err error) {
	defer t.took(ctx, order.StepPublish, time.Now(), &err)
	return t.next.Events.Publish(ctx, o)
}
