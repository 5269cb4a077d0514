package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/order"
)

// noise is how often a failure that comes over and over is logged.
const noise = time.Minute

// Placer places orders.
type Placer interface {
	Place(ctx context.Context, req order.Request) (*order.Order, error)
}

type placer struct {
	*Telemetry
	next Placer
}

// Placer observes the placing of orders: what is asked and what comes of it stands on the span of the call, and in one
// line of the log. The request takes the call's trace context and baggage along, for what follows later.
func (t *Telemetry) Placer(next Placer) Placer { return placer{t, next} }

// Place implements Placer.
func (p placer) Place(ctx context.Context, req order.Request) (*order.Order, error) {
	span := trace.SpanFromContext(ctx)
	customer := p.names.customer(req)
	span.SetAttributes(customer...)
	carrier := propagation.MapCarrier{}
	p.propagator.Inject(ctx, carrier)
	req.Trace = carrier

	o, err := p.next.Place(ctx, req)
	if err != nil {
		p.fail(span, err)
		span.AddEvent(p.names.errorEvent, trace.WithAttributes(exceptionMessage.String(redact(err.Error()))))
		p.logFailure(ctx, err, customer)
		return o, err
	}
	facts := p.names.placed(o)
	span.SetAttributes(facts...)
	p.logger.LogAttrs(ctx, slog.LevelInfo, "order placed", fields(append(facts, customer...)...)...)
	return o, nil
}

// logFailure logs why an order was not placed: each in a line of its own, but for those that were turned away in a crowd.
// To tell of every one of them would cost more than to turn them away.
func (p placer) logFailure(ctx context.Context, err error, customer []attribute.KeyValue) {
	kind, skipped := failureOf(err), 0
	if kind.crowd {
		var ok bool
		if skipped, ok = p.limited(report{name: kind.name}); !ok {
			return
		}
	}
	p.logger.LogAttrs(ctx, kind.level, "order not placed", fields(append(append(p.why(err), repeated(err, skipped)...), customer...)...)...)
}

type pricer struct {
	*Telemetry
	next order.Pricer
}

// Pricer observes the read phase: a span around it, and an event on the span of the call once it is done.
func (t *Telemetry) Pricer(next order.Pricer) order.Pricer { return pricer{t, next} }

// Price implements order.Pricer.
func (p pricer) Price(ctx context.Context, req order.Request) (*order.Order, error) {
	call := trace.SpanFromContext(ctx)
	ctx, span := p.tracer.Start(ctx, spanPrepare)
	defer span.End()
	o, err := p.next.Price(ctx, req)
	if err != nil {
		p.fail(span, err)
		return o, err
	}
	span.SetAttributes(p.names.prepared(o)...)
	call.AddEvent(eventPrepared)
	return o, nil
}

type store struct {
	*Telemetry
	order.Store
}

// Store observes the record: a change of state is an event on the span of the call, a failed write a line of the log.
func (t *Telemetry) Store(next order.Store) order.Store {
	return store{t, next}
}

// Open implements order.Store.
func (s store) Open(ctx context.Context, o *order.Order, hold, age time.Duration, over order.ID) (*order.Order, error) {
	rival, err := s.Store.Open(ctx, o, hold, age, over)
	s.check(ctx, o, err)
	return rival, err
}

// Save implements order.Store.
func (s store) Save(ctx context.Context, o *order.Order, from order.State, hold time.Duration) error {
	err := s.Store.Save(ctx, o, from, hold)
	s.check(ctx, o, err)
	if err != nil || o.State == from {
		return err
	}
	span := trace.SpanFromContext(ctx)
	switch o.State {
	case order.Charged:
		span.AddEvent(eventCharged, trace.WithAttributes(s.names.transactionID.String(o.TransactionID)))
	case order.Placed:
		span.AddEvent(eventShipped, trace.WithAttributes(s.names.trackingID.String(o.TrackingID)))
	case order.Charging, order.Completed, order.Declined, order.InDoubt, order.Refunding, order.Refunded, order.Cancelled, order.Parked:
	}
	return nil
}

// check logs a failed write: each one, because each leaves an order that is not where its record says.
func (s store) check(ctx context.Context, o *order.Order, err error) {
	if err == nil {
		return
	}
	level := slog.LevelError
	if errors.Is(err, order.ErrFenced) || errors.Is(err, context.Canceled) { // taken over; or nobody waits any more
		level = slog.LevelWarn
	}
	s.logger.LogAttrs(ctx, level, "order not recorded", fields(
		s.names.orderID.String(string(o.ID)),
		s.names.state.String(o.State.String()),
		errorType.String(errorKind(err)),
		exceptionMessage.String(redact(err.Error())),
	)...)
}

// Report logs a failure that no caller waits for, of the order named or, with "", of the search for orders. While
// something is away every order meets the same failure, so that of each kind there is one line a minute; an order that
// needs a person has a line of its own.
func (t *Telemetry) Report(ctx context.Context, id order.ID, err error) {
	kind := failureOf(err)
	e := new(order.Error)
	errors.As(err, &e)
	skipped := 0
	if asked := e.Step == order.StepLookup || e.Step == order.StepReverse; !kind.rests || asked { // it is asked again
		var ok bool
		if skipped, ok = t.limited(report{e.Step, kind.name}); !ok {
			return
		}
	}
	attrs := append(t.why(err), repeated(err, skipped)...)
	if id != "" && e.OrderID == "" {
		attrs = append(attrs, t.names.orderID.String(string(id)))
	}
	t.logger.LogAttrs(ctx, kind.level, "order held up", fields(attrs...)...)
}

// report is a kind of failure that has a limiter of its own.
type report struct {
	step order.Step
	name string
}

// limited tells whether a report of this kind is due, and how many were not since the last.
func (t *Telemetry) limited(r report) (skipped int, ok bool) {
	l, _ := t.reports.LoadOrStore(r, &limiter{every: noise})
	return l.(*limiter).allow()
}

// fail says on a span why the order was not placed. What the caller got wrong is no error of ours, as in the conventions.
func (t *Telemetry) fail(span trace.Span, err error) {
	span.SetAttributes(t.why(err)...)
	if !failureOf(err).callers {
		span.SetStatus(codes.Error, redact(err.Error()))
	}
}

// why is the kind of a failure, where it happened, and to which order, as far as that is known.
func (t *Telemetry) why(err error) []attribute.KeyValue {
	attrs := []attribute.KeyValue{errorType.String(failureOf(err).name)}
	var e *order.Error
	if errors.As(err, &e) {
		if e.Step != "" {
			attrs = append(attrs, t.names.step.String(string(e.Step)))
		}
		if e.OrderID != "" {
			attrs = append(attrs, t.names.orderID.String(string(e.OrderID)))
		}
	}
	return attrs
}
