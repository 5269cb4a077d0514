package order

import (
	"context"
	"time"
)

type arrivalKey struct{}

// WithArrival returns a context that tells when its request has arrived, which may be long before anybody looks at it.
func WithArrival(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, arrivalKey{}, at)
}

// Arrival returns when the request of ctx has arrived or, when nobody has told, otherwise.
func Arrival(ctx context.Context, otherwise time.Time) time.Time {
	if at, ok := ctx.Value(arrivalKey{}).(time.Time); ok {
		return at
	}
	return otherwise
}
