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

// noise is how often a frequent failure is logged.
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

	synthetic []attribute.KeyValue // of a test order

	outcomes map[outcome][]metric.AddOption // of orders that were placed
	failures map[string][]metric.AddOption  // of the others, by error.type
}

// Placer observes the placing of orders: attributes on the span of the call, one line of the log, and the metrics. The
// request gets the call's trace context and baggage, for what happens after the call.
func (t *Telemetry) Placer(next Placer) Placer {
	p := placer{
		Telemetry: t,
		next:      next,
		orders:    t.counter(metricOrders),
		amount:    t.duration(metricAmount),
		lines:     t.size(metricLines),
		synthetic: t.names.attributes(userSynthetic.is("test")),
		outcomes:  make(map[outcome][]metric.AddOption),
		failures:  make(map[string][]metric.AddOption),
	}
	p.countFromZero()
	return p
}

// countFromZero exports a zero for every possible outcome: the first sample of a series is no increase for Prometheus, so
// the first failure of a kind would be missed.
func (p placer) countFromZero() {
	for _, o := range []outcome{outcomePlaced, outcomePaid, outcomeRepeated} {
		p.outcomes[o] = []metric.AddOption{measurement(outcomeKey.String(string(o)))}
		p.orders.Add(context.Background(), 0, p.outcomes[o]...)
	}
	for _, f := range failures() {
		p.failures[f.name] = []metric.AddOption{measurement(outcomeKey.String(string(f.outcome)), errorType.String(f.name))}
		p.orders.Add(context.Background(), 0, p.failures[f.name]...)
	}
}

func (p placer) Place(ctx context.Context, req order.Request) (*order.Order, error) {
	if call := callOf(ctx); call != nil {
		call.leaveTrace(req.Card)
	}
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
	outcome := outcomeOf(o)
	p.orders.Add(ctx, 1, p.outcomes[outcome]...)
	line := fields(facts, customer)
	if outcome == outcomeRepeated {
		p.logger.LogAttrs(ctx, slog.LevelInfo, "duplicate request", line...)
		return o, nil
	}
	p.amount.Record(ctx, o.Total.Float64(), measurement(currencyKey.String(string(o.Currency))))
	p.lines.Record(ctx, int64(len(o.Items)))
	p.logger.LogAttrs(ctx, slog.LevelInfo, "order placed", line...)
	return o, nil
}

// Refused counts an order that was refused before its request was read. It has no span and no line in the log.
func (p placer) Refused(ctx context.Context, err error) {
	p.orders.Add(ctx, 1, p.failures[failureOf(err).name]...)
}

// failed reports why an order was not placed: on the span of the call, in place of gRPC's status, in the log, and in the
// count of orders. Under overload one line a minute is logged, because a line costs more than a rejection.
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
		p.orders.Add(ctx, 1, p.outcomes[outcomeRepeated]...)
	} else {
		p.orders.Add(ctx, 1, p.failures[f.name]...)
	}
	skipped := 0
	if f.masses {
		var ok bool
		if skipped, ok = p.limited(report{"order not placed", "", f.name}); !ok {
			return
		}
	}
	p.logger.LogAttrs(ctx, f.level, "order not placed", fields(f.attrs, message(f.text, skipped), customer)...)
}

// outcomeOf is the outcome of a call that returned the order.
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

// Pricer observes the reads: a span around them, and an event on the span of the call when they are done.
func (t *Telemetry) Pricer(next order.Pricer) order.Pricer { return pricer{t, next} }

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

// Store observes the record: changes of state are events on the span of the call, failed writes are logged, and writes are
// measured.
func (t *Telemetry) Store(next order.Store) order.Store { return store{t, next} }

func (s store) Open(ctx context.Context, opening order.Opening) (conflict *order.Order, err error) {
	defer s.steps.took(ctx, order.StepRecord, time.Now(), &err)
	conflict, err = s.Store.Open(ctx, opening)
	s.check(ctx, opening.Order, err)
	return conflict, err
}

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

func (s store) Cancel(ctx context.Context, o *order.Order, hold time.Duration) (err error) {
	defer s.steps.took(ctx, order.StepRecord, time.Now(), &err)
	err = s.Store.Cancel(ctx, o, hold)
	s.check(ctx, o, err)
	return err
}

// check logs failed writes, because their orders are not in the recorded state. While the record is away all orders have the
// same failure at every try, so each kind is logged once a minute. An operator's decision that another one has overtaken is no
// failure: its operator gets the answer.
func (s store) check(ctx context.Context, o *order.Order, err error) {
	if err == nil || errors.Is(err, order.ErrFenced) && decided(o) {
		return
	}
	kind := stepFailure(err)
	skipped, ok := s.limited(report{"order not recorded", "", kind})
	if !ok {
		return
	}
	level := slog.LevelError
	if errors.Is(err, order.ErrFenced) || errors.Is(err, context.Canceled) { // taken over; or its caller has left
		level = slog.LevelWarn
	}
	s.logger.LogAttrs(ctx, level, "order not recorded", fields(
		s.names.attributes(orderID.is(string(o.ID)), orderState.is(o.State.String())),
		[]attribute.KeyValue{errorType.String(kind)}, message(redact.Text(err.Error()), skipped),
	)...)
}

// decided reports whether an operator has brought the order into its state.
func decided(o *order.Order) bool {
	if len(o.History) == 0 {
		return false
	}
	last := o.History[len(o.History)-1]
	return last.By != "" && last.At.Equal(o.Changed)
}

// Report logs a failure in the background: of the order named or, with "", of the search for orders. A kind of failure is
// logged once a minute, because all orders have it while a service is unavailable. An order that requires manual action
// has its own line.
func (t *Telemetry) Report(ctx context.Context, id order.ID, err error) {
	f := t.heldUp(err)
	skipped := 0
	if !f.manual {
		var ok bool
		if skipped, ok = t.limited(report{"order held up", f.step, f.name}); !ok {
			return
		}
	}
	if id != "" && f.id == "" {
		f.attrs = append(f.attrs, t.names.attributes(orderID.is(string(id)))...)
	}
	t.logger.LogAttrs(ctx, f.level, "order held up", fields(f.attrs, message(f.text, skipped))...)
}

// report is a kind of failure in a line of the log, which has its own limiter.
type report struct {
	line string
	step order.Step
	name string
}

// limited reports whether a failure of this kind is to be logged, and how many were not since the last.
func (t *Telemetry) limited(r report) (skipped int, ok bool) {
	l, known := t.reports.Load(r)
	if !known {
		l, _ = t.reports.LoadOrStore(r, &limiter{every: noise})
	}
	return l.(*limiter).allow()
}

// explanation is why an order was not placed or does not proceed.
type explanation struct {
	failure
	step     order.Step // "" if none
	id       order.ID   // "" when nothing was recorded
	repeated bool       // it is the failure of an earlier call
	text     string
	attrs    []attribute.KeyValue // error.type first, then step and order if known
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

// givenUp is the error.type of a step that is no longer retried.
const givenUp = "given_up"

// heldUp explains why an order does not proceed in the background.
func (t *Telemetry) heldUp(err error) explanation {
	x := t.explain(err)
	switch {
	case errors.Is(err, order.ErrGivenUp):
		x.name, x.manual = givenUp, true
		x.attrs[0] = errorType.String(givenUp)
	case x.step == order.StepLookup, x.step == order.StepReverse:
		x.manual = false // it is retried
	}
	return x
}

// mark puts the explanation on a span. By the conventions a caller's error is not an error of the server's span.
func (x explanation) mark(span trace.Span) {
	span.SetAttributes(x.attrs...)
	if !x.callers {
		span.SetStatus(codes.Error, x.text)
	}
}
