package telemetry

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// askers are the spans of other orders, which have asked a neighbour for this one too. It is the context of its reads.
type askers struct {
	context.Context

	mu    sync.Mutex
	known []trace.SpanID
}

type askersKey struct{}

// Value implements context.Context.
func (a *askers) Value(key any) any {
	if key == (askersKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// isNew takes note of an asker, and tells whether it is another one.
func (a *askers) isNew(id trace.SpanID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.known, id) {
		return false
	}
	a.known = append(a.known, id)
	return true
}

// Joined links the span of an order to that of another one, which has asked a neighbour for both: once, for however many
// questions.
func (t *Telemetry) Joined(ctx, asker context.Context) {
	span, to := trace.SpanFromContext(ctx), trace.SpanContextFromContext(asker)
	if a, ok := ctx.Value(askersKey{}).(*askers); span.IsRecording() && (!ok || a.isNew(to.SpanID())) {
		span.AddLink(trace.Link{SpanContext: to})
	}
}
