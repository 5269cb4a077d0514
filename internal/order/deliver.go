package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// cartTime is how long an order may still empty the cart that it came from: two take-overs, and some more.
const cartTime = 90 * time.Second

// cartHaste is how soon after the cart was asked for it may be emptied without another look, and how long that may take.
const cartHaste = 3 * time.Second

// emptyCart is the first try, while the caller waits: the shop must not show a cart that has been bought. After a slow
// order the customer may have gone on shopping, and it is left to settleCart.
func (f *flight) emptyCart(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cartHaste)
	defer cancel()
	if f.order.State == Placed && time.Since(f.order.Created.Round(0)) < cartHaste && f.Cart.Empty(ctx, f.order.UserID) == nil {
		f.order.Delivered |= CartSettled
	}
}

// deliverIfRoom makes the deliveries right after the answer. Beyond the bound they are left to recovery, soon.
func (f *flight) deliverIfRoom(ctx context.Context) {
	if f.order.State != Placed {
		return
	}
	f.report(ctx, guard(func() error {
		select {
		case f.deliveries <- struct{}{}:
			defer func() { <-f.deliveries }()
			return within(ctx, f.deliver)
		default:
			return f.save(ctx, Placed, f.backoff(1))
		}
	}))
}

// slow is how long deliveries take before it is put on record that the cart is settled: the user's next order waits for it.
const slow = 200 * time.Millisecond

// delivery is one of the things that are pending, and then how it went.
type delivery struct {
	is   Delivery
	step Step
	do   func(context.Context, *Order) error
	err  error
}

// deliver makes the pending deliveries, side by side, and records how far it came. Each may be made more than once. One that
// is refused for good, or has failed for a day, becomes undeliverable; the others go on.
func (f *flight) deliver(ctx context.Context) error {
	o := f.order
	seen := *o // by the deliveries, while the record of o changes
	made := make(chan delivery, 3)
	pending := 0
	for _, d := range []delivery{
		{is: CartSettled, step: StepEmptyCart, do: f.settleCart},
		{is: EmailSent, step: StepEmail, do: f.Email.Confirm},
		{is: EventPublished, step: StepPublish, do: f.publish},
	} {
		if o.pending().Has(d.is) {
			pending++
			go func() {
				d.err = guard(func() error { return d.do(ctx, &seen) })
				made <- d
			}()
		}
	}
	failed := f.collect(ctx, made, pending)
	switch {
	case len(failed) > 0:
	case o.Undeliverable != 0:
		return f.record(ctx, Undelivered, o.undelivered())
	default:
		return f.record(ctx, Completed, "")
	}
	causes := make([]error, len(failed))
	for i, d := range failed {
		causes[i] = fmt.Errorf("%s: %w", d.step, d.err)
	}
	return f.postpone(ctx, failed[0].step, errors.Join(causes...))
}

// collect waits for so many deliveries and returns those that have failed and are to be tried again.
func (f *flight) collect(ctx context.Context, made <-chan delivery, pending int) (failed []delivery) {
	o := f.order
	late := time.NewTimer(slow)
	defer late.Stop()
	for isLate := false; pending > 0; {
		if isLate && o.Settled() && !f.recorded.Load().Settled() {
			f.report(ctx, f.save(ctx, Placed, lease))
		}
		select {
		case d := <-made:
			pending--
			switch {
			case d.err == nil:
				o.Delivered |= d.is
			case d.is != CartSettled && (errors.Is(d.err, ErrRefused) || o.triedEnough()):
				o.Undeliverable |= d.is
				o.failed(d.step, d.err)
				f.report(ctx, &Error{Kind: ErrUnavailable, Step: d.step, OrderID: o.ID, Err: fmt.Errorf("%w: %w", ErrGivenUp, d.err)})
			default:
				failed = append(failed, d)
			}
		case <-late.C:
			isLate = true
		}
	}
	return failed
}

// pending are the deliveries that are still to be made.
func (o *Order) pending() Delivery {
	return (CartSettled | EmailSent | EventPublished) &^ (o.Delivered | o.Undeliverable | o.Skipped)
}

// undelivered names the deliveries that could not be made, each with its latest failure.
func (o *Order) undelivered() string {
	var parts []string
	for _, d := range []delivery{{is: EmailSent, step: StepEmail}, {is: EventPublished, step: StepPublish}} {
		if !o.Undeliverable.Has(d.is) {
			continue
		}
		part := string(d.step)
		for _, e := range slices.Backward(o.History) {
			if e.Step == d.step {
				part += ": " + e.Problem
				break
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// publish tells the rest of the shop, if there is a broker to tell it by.
func (f *flight) publish(ctx context.Context, o *Order) error {
	if f.Events == nil {
		return nil
	}
	return f.Events.Publish(ctx, o)
}

// settleCart empties the cart unless it has changed since: what the customer has put into it later is theirs. The cart
// has no version, so after a while it is left alone for good.
func (f *flight) settleCart(ctx context.Context, o *Order) error {
	if time.Since(o.Changed) > cartTime {
		return nil
	}
	looked := time.Now().Round(0)
	lines, err := f.Cart.Lines(ctx, o.UserID)
	if err != nil || !sameLines(lines, o.Items) {
		return err
	}
	if time.Since(looked) > cartHaste { // we may have slept, while the customer went on shopping
		return errors.New("it was looked at too long ago")
	}
	return f.Cart.Empty(ctx, o.UserID)
}

// sameLines tells whether a cart still holds what was ordered, in whatever order and however split.
func sameLines(cart []Line, items []Item) bool {
	left := make(map[string]int64, len(items))
	for _, item := range items {
		left[item.ProductID] += int64(item.Quantity)
	}
	for _, line := range cart {
		left[line.ProductID] -= int64(line.Quantity)
	}
	for _, n := range left {
		if n != 0 {
			return false
		}
	}
	return true
}
