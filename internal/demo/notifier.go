package demo

import (
	"context"
	"fmt"
	"sync"
)

// notifier wakes those who wait for something to happen in the shop.
type notifier struct {
	mu      sync.Mutex
	changed chan struct{}
}

func newNotifier() *notifier { return &notifier{changed: make(chan struct{})} }

// notify says that something has happened.
func (n *notifier) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// await returns when done does, which is called at every change, or with the cause of ctx.
func (n *notifier) await(ctx context.Context, done func() bool) error {
	for {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the shop: %w", context.Cause(ctx))
		}
	}
}

// tail is the last of many: what a server remembers is bounded.
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
