package telemetry

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/order"
)

// What callers send along goes on record, and out again to every neighbour. Nobody vouches for it.

// The limits of what goes on: W3C Baggage, §3.3.2, and W3C Trace Context, §3.3.1.
const (
	maxBaggage      = 8192 // bytes
	maxBaggageParts = 64
	maxState        = 512
	maxStateParts   = 32
	maxStatePart    = 128 // longer ones go first
)

const (
	baggageHeader = "baggage"
	stateHeader   = "tracestate"
)

// inbound is a propagator that takes from a caller what may go on: baggage with a key that is allowed, and of baggage and
// tracestate what is within the limits and holds no card number.
type inbound struct {
	propagation.TextMapPropagator
	allowed []string // keys of baggage; none: all
	// synthetic tells whether the caller may say that its order is not real; nil: everybody may.
	synthetic func(ctx context.Context) bool
}

// syntheticKey is the member of the baggage by which a caller says that its order is not real: payment then charges nothing.
const syntheticKey = "synthetic_request"

// Extract implements propagation.TextMapPropagator.
func (i inbound) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	return i.TextMapPropagator.Extract(ctx, admitted{carrier, i.allowed, i.synthetic == nil || i.synthetic(ctx)})
}

// admitted is a carrier as inbound reads it.
type admitted struct {
	propagation.TextMapCarrier
	allowed   []string
	synthetic bool
}

// Get implements propagation.TextMapCarrier.
func (a admitted) Get(key string) string {
	if key == baggageHeader {
		return a.baggage(a.Values(key)...)
	}
	value := a.TextMapCarrier.Get(key)
	if key == stateHeader {
		return admitState(value, holdsCard)
	}
	return value
}

// Values implements propagation.ValuesGetter.
func (a admitted) Values(key string) []string {
	several, ok := a.TextMapCarrier.(propagation.ValuesGetter)
	switch {
	case !ok && key == baggageHeader:
		return []string{a.baggage(a.TextMapCarrier.Get(key))}
	case !ok:
		return []string{a.Get(key)}
	case key == baggageHeader:
		return []string{a.baggage(several.Values(key)...)}
	}
	return several.Values(key)
}

// baggage is the members of some headers that may go on.
func (a admitted) baggage(headers ...string) string {
	return admitBaggage(strings.Join(headers, ","), func(key, member string) bool {
		return (len(a.allowed) == 0 || slices.Contains(a.allowed, key)) && (a.synthetic || key != syntheticKey) && !holdsCard(member)
	})
}

// admitBaggage is those members of a header that are admitted, as many as the limits allow.
func admitBaggage(header string, admit func(key, member string) bool) string {
	if header == "" {
		return ""
	}
	var kept []string
	size := 0
	for member := range strings.SplitSeq(header, ",") {
		member = strings.TrimSpace(member)
		key, _, _ := strings.Cut(member, "=")
		if member == "" || len(kept) == maxBaggageParts || size+len(member) > maxBaggage || !admit(strings.TrimSpace(key), member) {
			continue
		}
		kept = append(kept, member)
		size += len(member) + 1
	}
	return strings.Join(kept, ",")
}

// admitState is a tracestate without the members that have what must not go on. If it is too long its long members go
// first, and then its last ones, which are the oldest.
func admitState(header string, forbidden func(member string) bool) string {
	if header == "" {
		return ""
	}
	members := strings.Split(header, ",")
	members = slices.DeleteFunc(members, forbidden)
	tooLong := func() bool { return len(members) > maxStateParts || len(strings.Join(members, ",")) > maxState }
	if tooLong() {
		members = slices.DeleteFunc(members, func(member string) bool { return len(member) > maxStatePart })
	}
	for tooLong() {
		members = members[:len(members)-1]
	}
	return strings.Join(members, ",")
}

// holdsCard tells whether a card number stands in a member, perhaps percent-encoded.
func holdsCard(member string) bool {
	text := order.ASCIIDigits(decoded(member))
	return redactCards(text) != text
}

// decoded is text without percent-encoding, also that of percent signs. What is no encoding stays.
func decoded(text string) string {
	for range 3 {
		parts := strings.Split(text, "%")
		for i, part := range parts[1:] {
			plain, err := url.PathUnescape("%" + part[:min(2, len(part))])
			if err != nil {
				plain, part = "%", "  "+part
			}
			parts[i+1] = plain + part[min(2, len(part)):]
		}
		text = strings.Join(parts, "")
	}
	return text
}

// withoutCard is ctx without the members of its baggage and of its tracestate that repeat the card, in whatever spelling.
func withoutCard(ctx context.Context, card order.Card) context.Context {
	repeats := func(member string) bool {
		text := decoded(member)
		_, value, _ := strings.Cut(text, "=")
		return card.IsIn(text) || card.IsIn(value)
	}
	bag := baggage.FromContext(ctx)
	for _, member := range bag.Members() {
		if repeats(member.String()) {
			bag = bag.DeleteMember(member.Key())
			ctx = baggage.ContextWithBaggage(ctx, bag)
		}
	}
	span := trace.SpanFromContext(ctx)
	state := span.SpanContext().TraceState().String()
	if kept := admitState(state, repeats); kept != state {
		clean, _ := trace.ParseTraceState(kept) // likewise
		ctx = trace.ContextWithSpan(ctx, restated{span, span.SpanContext().WithTraceState(clean)})
	}
	return ctx
}

// restated is a span with another tracestate for those that follow it.
type restated struct {
	trace.Span
	context trace.SpanContext
}

func (r restated) SpanContext() trace.SpanContext { return r.context }
