package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
)

// keptBaggage is W3C Baggage that is passed on as it came: an order sends it to a dozen neighbours, and would otherwise
// encode it for each. So a change that somebody makes to the baggage of a context on the way would not be seen; nobody here
// does.
type keptBaggage struct{ propagation.Baggage }

type baggageKey struct{}

// Extract implements propagation.TextMapPropagator.
func (k keptBaggage) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	in := k.Baggage.Extract(ctx, carrier)
	if in == ctx {
		return ctx // there is none
	}
	return context.WithValue(in, baggageKey{}, baggage.FromContext(in).String())
}

// Inject implements propagation.TextMapPropagator.
func (k keptBaggage) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	text, ok := ctx.Value(baggageKey{}).(string)
	if !ok {
		k.Baggage.Inject(ctx, carrier)
		return
	}
	if text != "" {
		carrier.Set("baggage", text)
	}
}
