// Package wait waits, for no longer than a context lasts.
package wait

import (
	"context"
	"time"
)

// For waits for d, and reports whether ctx has lasted that long.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
