// Package wait provides waiting that ends with a context, a context with the life of another one, and a timer that is started
// again only after it has fired.
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

// Within is a context that ends with life and has the values of ctx, which may end before.
func Within(life, ctx context.Context) context.Context { return within{life, ctx} }

type within struct {
	context.Context

	values context.Context
}

func (w within) Value(key any) any {
	if value := w.Context.Value(key); value != nil { // first: context looks up here how to end with its parent
		return value
	}
	return w.values.Value(key)
}

// Timer calls a function after some time. Start and Fired are guarded by its user, often with a lock that every call takes, and
// so only the first Start allocates. The zero value is not started.
type Timer struct {
	timer   *time.Timer
	started bool
}

// Start calls f after d, unless the timer is started already. f is the same each time, and calls Fired first.
func (t *Timer) Start(d time.Duration, f func()) {
	switch {
	case t.started:
		return
	case t.timer == nil:
		t.timer = time.AfterFunc(d, f)
	default:
		t.timer.Reset(d)
	}
	t.started = true
}

// Fired lets the timer be started again.
func (t *Timer) Fired() { t.started = false }
