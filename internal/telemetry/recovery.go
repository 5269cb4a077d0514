package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/order"
)

// Resumed observes an order that recovery resumes. Its span is the root of a new trace, because the call that placed the order
// may be days old; it is linked to that call and has its baggage. The function returned ends the span.
func (t *Telemetry) Resumed(ctx context.Context, o *order.Order) (context.Context, func(error)) {
	ctx = t.propagator.Extract(ctx, propagation.MapCarrier(o.Trace))
	options := []trace.SpanStartOption{
		trace.WithNewRoot(),
		trace.WithAttributes(t.names.attributes(
			orderID.is(string(o.ID)),
			orderState.is(o.State.String()),
			orderAttempt.count(o.Attempts+1),
		)...),
	}
	if placed := trace.SpanContextFromContext(ctx); placed.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: placed}))
	}
	ctx, span := t.tracer.Start(ctx, spanResume, options...) //nolint:spancheck // what is returned ends it
	return ctx, func(err error) {                            //nolint:spancheck // see above
		span.SetAttributes(t.names.attributes(orderReached.is(o.State.String()))...)
		if err != nil {
			x := t.heldUp(err)
			span.SetAttributes(x.attrs...)
			span.SetStatus(codes.Error, x.text) // whatever the cause, the order did not proceed
		}
		span.End()
	}
}
