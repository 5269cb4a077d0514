// Package arrival knows when a request has arrived, which may be long before it is processed.
package arrival

import (
	"context"
	"time"
)

type key struct{}

// With returns a context that tells when its request has arrived.
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
