package demo

import (
	"context"
	"fmt"
	"sync"
)

// bell wakes those who wait for something to happen in the shop.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

// ring says that something has happened.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}

// await returns when done says so, which it is asked at every ring, or with ctx's cause.
func (b *bell) await(ctx context.Context, done func() bool) error {
	for {
		b.mu.Lock()
		rung := b.rung
		b.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the shop: %w", context.Cause(ctx))
		}
	}
}

// tail is the last of many: what a neighbour remembers is bounded.
type tail[T any] struct {
	limit int
	items []T
}

func (t *tail[T]) add(item T) {
	if len(t.items) >= 2*t.limit { // moved once in limit times, so that adding stays cheap
		t.items = append(t.items[:0], t.items[len(t.items)-t.limit+1:]...)
	}
	t.items = append(t.items, item)
}

// last returns the items kept, oldest first.
func (t *tail[T]) last() []T {
	return append([]T(nil), t.items[max(0, len(t.items)-t.limit):]...)
}
