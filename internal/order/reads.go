package order

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// reads are calls that run side by side, as many at once as the process can afford. The first that fails ends the rest.
type reads struct {
	p     *Pricing
	step  Step // what they are for
	ctx   context.Context
	group *errgroup.Group
}

func (p *Pricing) start(ctx context.Context, step Step) *reads {
	group, ctx := errgroup.WithContext(ctx)
	return &reads{p, step, ctx, group}
}

// do runs f beside the others. It waits for a place first, so that orders in want of one hold no goroutines for it.
func (r *reads) do(f func(ctx context.Context) error) {
	place := int64(1)
	if r.p.orders.Load() > fewOrders {
		place = 2
	}
	if err := r.p.reads.Acquire(r.ctx, place); err != nil {
		r.group.Go(func() error { return fail(ErrUnavailable, r.step, context.Cause(r.ctx)) })
		return
	}
	r.group.Go(func() error {
		defer r.p.reads.Release(place)
		return guard(func() error { return f(r.ctx) })
	})
}

func (r *reads) wait() error { return r.group.Wait() }

// guard turns a panic of f into an ErrInternal, so that a bug met by one order is that order's alone.
func guard(f func() error) (err error) {
	defer caught(&err)
	makeRoom(0)
	return f()
}

// makeRoom has a goroutine's stack grow at once to what a call of a neighbour takes. Otherwise it doubles again and again in
// the middle of the call, and is copied each time with all that stands on it: a twentieth of an order's CPU.
//
//go:noinline
func makeRoom(i int) byte {
	var room [7 << 10]byte
	return room[i]
}

// caught, deferred, makes err of a panic.
func caught(err *error) {
	if cause := recover(); cause != nil {
		*err = &Error{Kind: ErrInternal, Err: fmt.Errorf("panic: %v\n%s", cause, debug.Stack())}
	}
}
