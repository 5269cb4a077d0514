package telemetry

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/creditcard"
	"checkout/internal/redact"
)

// Baggage and tracestate come from callers unchecked, and go into the record and to every service that checkout calls.

// maxState is the longest tracestate, in bytes, that a service must propagate (W3C Trace Context, §3.3.1). The limits of
// baggage are those of OpenTelemetry's propagator.
const maxState = 512

// syntheticKey is the member of the baggage by which a caller says that its order is a test: payment then charges nothing.
const syntheticKey = "synthetic_request"

// inbound is a propagator that accepts from a caller only what may be propagated: baggage with allowed keys, and no card
// number and no e-mail address.
type inbound struct {
	propagation.TextMapPropagator
	allowed   []string                       // keys of baggage; none: all
	synthetic func(ctx context.Context) bool // whether the caller may send syntheticKey; nil: all may
}

func (i inbound) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	synthetic := i.synthetic == nil || i.synthetic(ctx)
	ctx = i.TextMapPropagator.Extract(ctx, carrier)
	ctx = withoutBaggage(ctx, func(member string) bool {
		key, _, _ := strings.Cut(member, "=")
		return len(i.allowed) > 0 && !slices.Contains(i.allowed, key) || !synthetic && key == syntheticKey || holdsCard(member) || redact.Emails(member) != member
	})
	return withoutState(ctx, isPrivateState)
}

// withoutBaggage returns ctx without the members of its baggage that are forbidden.
func withoutBaggage(ctx context.Context, forbidden func(member string) bool) context.Context {
	bag := baggage.FromContext(ctx)
	for _, member := range bag.Members() {
		if forbidden(member.String()) {
			bag = bag.DeleteMember(member.Key())
			ctx = baggage.ContextWithBaggage(ctx, bag)
		}
	}
	return ctx
}

// withoutState returns ctx without the members of its tracestate that are forbidden, and without the last ones, which are the
// oldest, if it is too long.
func withoutState(ctx context.Context, forbidden func(member string) bool) context.Context {
	span := trace.SpanFromContext(ctx)
	before := span.SpanContext().TraceState()
	state, size := before, 0
	before.Walk(func(key, value string) bool {
		size += len(key) + len("=,") + len(value)
		if size > maxState+len(",") || forbidden(key+"="+value) {
			state = state.Delete(key)
		}
		return true
	})
	if state.Len() == before.Len() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, restated{span, span.SpanContext().WithTraceState(state)})
}

// restated is a span with another tracestate for those that follow it.
type restated struct {
	trace.Span
	context trace.SpanContext
}

func (r restated) SpanContext() trace.SpanContext { return r.context }

// withoutCard returns ctx without the members of its baggage and of its tracestate that repeat the card, in whatever spelling.
func withoutCard(ctx context.Context, card creditcard.Card) context.Context {
	repeats := func(member string) bool {
		text := redact.Decoded(member)
		_, value, _ := strings.Cut(text, "=")
		return card.IsIn(value) || card.NumberIn(text)
	}
	return withoutState(withoutBaggage(ctx, repeats), repeats)
}

// holdsCard reports whether a member contains a card number, percent-encoded or not.
func holdsCard(member string) bool { return redact.HasCard(redact.Decoded(member)) }

// isPrivateState reports whether a member of a tracestate contains a card number, or perhaps an e-mail address: no value needs an
// at sign, while a key may be tenant@vendor.
func isPrivateState(member string) bool {
	_, value, _ := strings.Cut(member, "=")
	return holdsCard(member) || strings.ContainsAny(redact.Decoded(value), redact.AtSigns)
}
