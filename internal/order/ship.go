package order

import (
	"context"
	"errors"
	"time"

	"checkout/internal/wait"
)

// Shipping is an act in the world like the charge. An attempt was certainly not made (ErrRefused, ErrUnsent), or it was made,
// or nobody knows: then there may be a parcel. A carrier that honours keys is asked until the order is shipped. Any other one
// gets a limited number of attempts that may each have made a parcel. Their number is on record before each is sent, so that a
// crash cannot make it forgotten.

// ship sends the parcel. What certainly was not done is tried again a little, and then left to recovery.
func (f *flight) ship(ctx context.Context) error {
	o := f.order
	if err := f.reserve(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		if time.Since(f.held) > recordTime+stepTime { // we may have slept, and the order have been taken over
			return f.postpone(ctx, StepShip, errors.New("too late to ship"))
		}
		tracking, err := f.Shipping.Ship(ctx, o.ID, o.Address, o.Lines())
		switch {
		case err == nil && f.number.IsIn(tracking):
			f.reserved = false
			return f.park(ctx, StepShip, errors.New("shipped under a tracking id that repeats the card"))
		case err == nil:
			o.TrackingID = tracking
			return f.shipped(ctx)
		case errors.Is(err, ErrRefused):
			return f.unshippable(ctx, err)
		case f.ShipAttempts > 0 && !errors.Is(err, ErrUnsent):
			return f.perhapsShipped(ctx, err)
		case try == shipTries || !wait.For(ctx, 100*time.Millisecond<<try):
			return f.postpone(ctx, StepShip, err)
		}
		o.failed(StepShip, err)
	}
}

// reserve records an attempt to ship before it is made. An order that has had all its attempts is parked: the last one was
// interrupted before its outcome was recorded, or recorded while more attempts were allowed.
func (f *flight) reserve(ctx context.Context) error {
	o := f.order
	switch {
	case f.ShipAttempts == 0 || f.reserved:
		return nil
	case o.ShipAttempts >= f.ShipAttempts:
		cause := errors.New("the process that sent it ended before the answer came")
		if o.Reason != "" {
			cause = errors.New(o.Reason)
		}
		return f.park(ctx, StepShip, cause)
	}
	o.ShipAttempts++
	o.Reason = ""
	if err := f.save(ctx, Charged, lease); err != nil {
		o.ShipAttempts--
		return &Error{Kind: ErrUnavailable, Step: StepRecord, OrderID: o.ID, Err: err}
	}
	f.reserved = true
	return nil
}

// withdraw takes back an attempt that is on record and certainly was not made. The next record says so.
func (f *flight) withdraw() {
	if f.reserved {
		f.order.ShipAttempts--
		f.reserved = false
	}
}

// shipped records the parcel.
func (f *flight) shipped(ctx context.Context) error {
	f.reserved = false
	err := f.record(ctx, Placed, "")
	if err != nil {
		f.unrecorded = &HistoryEntry{State: Placed}
	}
	return err
}

// perhapsShipped leaves the order to recovery for longer and longer or, when it has had all its attempts, to an operator.
func (f *flight) perhapsShipped(ctx context.Context, cause error) error {
	f.reserved = false
	attempts := f.order.ShipAttempts
	if attempts >= f.ShipAttempts {
		return f.park(ctx, StepShip, cause)
	}
	pauses := []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute}
	return f.postponeFor(ctx, StepShip, cause, f.jitter(pauses[min(attempts, len(pauses))-1]))
}

// unshippable records that the carrier refuses the order. If there is a ledger the money goes back at once, unless an earlier
// attempt may have made a parcel.
func (f *flight) unshippable(ctx context.Context, cause error) error {
	f.withdraw()
	if f.order.ShipAttempts > 0 {
		return f.park(ctx, StepShip, cause)
	}
	if f.Ledger != nil {
		return f.record(ctx, Refunding, brief(cause))
	}
	f.report(ctx, f.record(ctx, Parked, brief(cause)))
	return &Error{Kind: ErrUnshippable, Step: StepShip, OrderID: f.order.ID, Err: cause}
}
