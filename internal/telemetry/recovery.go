package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/order"
)

// Resumed observes an order that recovery takes up: a span of its own, the root of a new trace, because the call that
// placed the order may lie days back. It is linked to that call's, and has its baggage. What recovery does with the
// context that is returned belongs to the span; the function returned ends it, with how the attempt went.
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
			span.SetStatus(codes.Error, x.text) // whoever is to blame, the order has not gone on
		}
		span.End()
	}
}
