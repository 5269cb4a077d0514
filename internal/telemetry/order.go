package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/order"
	"checkout/internal/redact"
)

// noise is how often a failure that comes over and over is logged.
const noise = time.Minute

// Placer places orders.
type Placer interface {
	Place(ctx context.Context, req order.Request) (*order.Order, error)
}

type placer struct {
	*Telemetry
	next   Placer
	orders metric.Int64Counter
	amount metric.Float64Histogram
	lines  metric.Int64Histogram

	synthetic []attribute.KeyValue // what is told of an order that is no customer's

	came     map[outcome][]metric.AddOption // of orders that were placed
	failures map[string][]metric.AddOption  // of those that were not, by error.type
}

// Placer observes the placing of orders: what is asked and what comes of it stands on the span of the call, in one line
// of the log, and in the metrics. The request takes the call's trace context and baggage along, for what follows later.
func (t *Telemetry) Placer(next Placer) Placer {
	p := placer{
		Telemetry: t,
		next:      next,
		orders:    t.counter(metricOrders),
		amount:    t.duration(metricAmount),
		lines:     t.size(metricLines),
		synthetic: t.names.attributes(userSynthetic.is("test")),
		came:      make(map[outcome][]metric.AddOption),
		failures:  make(map[string][]metric.AddOption),
	}
	p.countFromZero()
	return p
}

// countFromZero counts every outcome that there can be, no times: what Prometheus meets for the first time has not grown
// in its eyes, so that the first failure of a kind would not be seen.
func (p placer) countFromZero() {
	for _, o := range []outcome{outcomePlaced, outcomePaid, outcomeRepeated} {
		p.came[o] = []metric.AddOption{measurement(outcomeKey.String(string(o)))}
		p.orders.Add(context.Background(), 0, p.came[o]...)
	}
	for _, f := range failures() {
		p.failures[f.name] = []metric.AddOption{measurement(outcomeKey.String(string(f.outcome)), errorType.String(f.name))}
		p.orders.Add(context.Background(), 0, p.failures[f.name]...)
	}
}

// Place implements Placer.
func (p placer) Place(ctx context.Context, req order.Request) (*order.Order, error) {
	span := trace.SpanFromContext(ctx)
	ctx = withoutCard(ctx, req.Card)
	customer := p.names.customer(req)
	span.SetAttributes(customer...)
	if baggage.FromContext(ctx).Member(syntheticKey).Value() == "true" {
		span.SetAttributes(p.synthetic...)
	}
	carrier := propagation.MapCarrier{}
	p.propagator.Inject(ctx, carrier)
	req.Trace = carrier

	o, err := p.next.Place(ctx, req)
	if err != nil {
		p.failed(ctx, span, err, customer)
		return o, err
	}
	facts := p.names.placed(o)
	span.SetAttributes(facts...)
	came := outcomeOf(o)
	p.orders.Add(ctx, 1, p.came[came]...)
	line := fields(facts, customer)
	if came == outcomeRepeated {
		p.logger.LogAttrs(ctx, slog.LevelInfo, "duplicate request", line...)
		return o, nil
	}
	p.amount.Record(ctx, o.Total.Float64(), measurement(currencyKey.String(string(o.Currency))))
	p.lines.Record(ctx, int64(len(o.Items)))
	p.logger.LogAttrs(ctx, slog.LevelInfo, "order placed", line...)
	return o, nil
}

// Refused counts an order that was refused before its call was read. It has no span, and no line in the log.
func (p placer) Refused(ctx context.Context, err error) {
	p.orders.Add(ctx, 1, p.failures[failureOf(err).name]...)
}

// failed tells why an order was not placed, to whom it concerns: on the span of the call, whose own status then stands
// back, in the log, and in the count of orders. Each failure has a line in the log, but for those that were turned away in
// a crowd: to tell of every one of them would cost more than to turn them away.
func (p placer) failed(ctx context.Context, span trace.Span, err error, customer []attribute.KeyValue) {
	f := p.explain(err)
	f.mark(span)
	if call := callOf(ctx); call != nil {
		call.explained = true
	}
	for _, event := range p.names.failed {
		span.AddEvent(event, trace.WithAttributes(exceptionMessage.String(f.text)))
	}
	if f.repeated {
		p.orders.Add(ctx, 1, p.came[outcomeRepeated]...)
	} else {
		p.orders.Add(ctx, 1, p.failures[f.name]...)
	}
	skipped := 0
	if f.masses {
		var ok bool
		if skipped, ok = p.limited(report{name: f.name}); !ok {
			return
		}
	}
	p.logger.LogAttrs(ctx, f.level, "order not placed", fields(f.attrs, message(f.text, skipped), customer)...)
}

// outcomeOf is what came of a call that was answered with the order.
func outcomeOf(o *order.Order) outcome {
	switch {
	case o.Repeated:
		return outcomeRepeated
	case o.State == order.Charged, o.State == order.Parked:
		return outcomePaid
	}
	return outcomePlaced
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
		p.explain(err).mark(span)
		return o, err
	}
	span.SetAttributes(p.names.prepared(o)...)
	call.AddEvent(eventPrepared)
	return o, nil
}

// Shared links the span of an order to that of another one, whose call it shared.
func (t *Telemetry) Shared(ctx, leader context.Context) {
	trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: trace.SpanContextFromContext(leader)})
}

type store struct {
	*Telemetry
	order.Store
}

// Store observes the record: a change of state is an event on the span of the call, a failed write a line of the log, and
// what an order waits for a write is measured.
func (t *Telemetry) Store(next order.Store) order.Store {
	return store{t, next}
}

// Open implements order.Store.
func (s store) Open(ctx context.Context, opening order.Opening) (conflict *order.Order, err error) {
	defer s.steps.took(ctx, order.StepRecord, time.Now(), &err)
	conflict, err = s.Store.Open(ctx, opening)
	s.check(ctx, opening.Order, err)
	return conflict, err
}

// Save implements order.Store.
func (s store) Save(ctx context.Context, o *order.Order, from order.State, hold time.Duration) (err error) {
	defer s.steps.took(ctx, order.StepRecord, time.Now(), &err)
	err = s.Store.Save(ctx, o, from, hold)
	s.check(ctx, o, err)
	if err != nil || o.State == from {
		return err
	}
	span := trace.SpanFromContext(ctx)
	switch o.State {
	case order.Charged:
		span.AddEvent(eventCharged, trace.WithAttributes(s.names.attributes(paymentTransaction.is(o.TransactionID))...))
	case order.Placed:
		span.AddEvent(eventShipped, trace.WithAttributes(s.names.attributes(shippingTracking.is(o.TrackingID))...))
	case order.Charging, order.Completed, order.Declined, order.InDoubt, order.Refunding, order.Refunded, order.Cancelled, order.Parked, order.Undelivered:
	}
	return nil
}

// Cancel implements order.Store.
func (s store) Cancel(ctx context.Context, o *order.Order, hold time.Duration) (err error) {
	defer s.steps.took(ctx, order.StepRecord, time.Now(), &err)
	err = s.Store.Cancel(ctx, o, hold)
	s.check(ctx, o, err)
	return err
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
		s.names.attributes(orderID.is(string(o.ID)), orderState.is(o.State.String())),
		[]attribute.KeyValue{errorType.String(stepFailure(err))}, message(redact.Text(err.Error()), 0),
	)...)
}

// Report logs a failure that no caller waits for, of the order named or, with "", of the search for orders. While
// something is away every order meets the same failure, so that of each kind there is one line a minute; an order that
// requires an operator has a line of its own.
func (t *Telemetry) Report(ctx context.Context, id order.ID, err error) {
	f := t.heldUp(err)
	skipped := 0
	if !f.manual {
		var ok bool
		if skipped, ok = t.limited(report{f.step, f.name}); !ok {
			return
		}
	}
	if id != "" && f.id == "" {
		f.attrs = append(f.attrs, t.names.attributes(orderID.is(string(id)))...)
	}
	t.logger.LogAttrs(ctx, f.level, "order held up", fields(f.attrs, message(f.text, skipped))...)
}

// report is a kind of failure that has a limiter of its own.
type report struct {
	step order.Step
	name string
}

// limited tells whether a report of this kind is due, and how many were not since the last.
func (t *Telemetry) limited(r report) (skipped int, ok bool) {
	l, known := t.reports.Load(r)
	if !known {
		l, _ = t.reports.LoadOrStore(r, &limiter{every: noise})
	}
	return l.(*limiter).allow()
}

// explanation is why an order was not placed, or does not go on.
type explanation struct {
	failure
	step     order.Step // "" where that says nothing
	id       order.ID   // "" when nothing was recorded
	repeated bool       // it is the failure of another call's order
	text     string
	attrs    []attribute.KeyValue // kind, step and order, as far as they are known
}

func (t *Telemetry) explain(err error) explanation {
	x := explanation{failure: failureOf(err), text: redact.Text(err.Error())}
	x.attrs = append(make([]attribute.KeyValue, 0, 4), errorType.String(x.name))
	if e, ok := errors.AsType[*order.Error](err); ok {
		x.step, x.id, x.repeated = e.Step, e.OrderID, e.Repeated
	}
	if x.step != "" {
		x.attrs = t.names.add(x.attrs, orderStep.is(string(x.step)))
	}
	if x.id != "" {
		x.attrs = t.names.add(x.attrs, orderID.is(string(x.id)))
	}
	return x
}

// givenUp is the error.type of a step that is not tried again by itself.
const givenUp = "given_up"

// heldUp explains why an order does not go on, when no caller waits for it.
func (t *Telemetry) heldUp(err error) explanation {
	x := t.explain(err)
	switch {
	case errors.Is(err, order.ErrGivenUp):
		x.name, x.manual = givenUp, true
		x.attrs[0] = errorType.String(givenUp) // explain puts it first
	case x.step == order.StepLookup, x.step == order.StepReverse:
		x.manual = false // it is asked again
	}
	return x
}

// mark puts the explanation on a span. What the caller got wrong is no error of ours, as in the conventions.
func (x explanation) mark(span trace.Span) {
	span.SetAttributes(x.attrs...)
	if !x.callers {
		span.SetStatus(codes.Error, x.text)
	}
}
