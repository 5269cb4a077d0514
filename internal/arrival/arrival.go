// Package arrival keeps in a context when its request has arrived. A request may wait in queues long before it is processed,
// and its deadline and its place in the queues count from its arrival.
package arrival

import (
	"context"
	"time"
)

type key struct{}

// With returns a context that has the time when its request arrived.
func With(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, key{}, at)
}

// Of returns when the request of ctx has arrived or, when that is not known, otherwise.
func Of(ctx context.Context, otherwise time.Time) time.Time {
	if at, ok := ctx.Value(key{}).(time.Time); ok {
		return at
	}
	return otherwise
}
