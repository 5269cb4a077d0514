package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/wait"
)

// The steps of a run, in the order in which they happen. Each ends with a record.

// The times of a run. The lease counts from the first try of a record, so an order is never worked on by two processes if
// recordTime + stepTime + recordTime < lease; before the deliveries the cart comes in between, with cartHaste.
const (
	lease      = 30 * time.Second // how long an order is left to the process that works on it, counted from its last record
	stepTime   = 18 * time.Second // bounds what is done between two records
	recordTime = 4 * time.Second  // bounds the tries to make a record
	// cartHaste is how soon after the cart was read it may be emptied without another look, and how long that may take.
	cartHaste = 3 * time.Second
	// cartTime is how long an order still empties the cart that it came from. Until it is settled, the same cart is the same purchase:
	// what a customer cannot get rid of must not be charged again.
	cartTime = emptyCartTime
	// shipTries is how often in a row a shipment is tried that certainly was not made, while the caller may be waiting.
	shipTries = 3
	// slow is how long deliveries take before it is put on record that the cart is settled: the user's next order waits for it.
	slow = 200 * time.Millisecond
)

// charge takes the money, once. Without a card (the order was found in Charging) its outcome is unknown.
func (r *run) charge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	o := r.order
	if r.card == (creditcard.Card{}) {
		return r.doubt(ctx, errors.New("the process that charged it ended before the answer came"))
	}
	// We may have slept, or the store, and the order have been taken over. A machine that sleeps stops the monotonic clock.
	if time.Since(o.Changed.Round(0)) > lease-stepTime-recordTime {
		r.charges.end(r.timing)
		return r.refuse(ctx, Cancelled, ErrUnavailable, ErrTooLate)
	}
	transaction, err := r.chargeCard(ctx)
	r.card.ForgetCVV()
	switch {
	case errors.Is(err, ErrUnsent):
		return r.refuse(ctx, Cancelled, ErrPaymentUnreachable, err)
	case errors.Is(err, ErrRefused):
		return r.refuse(ctx, Declined, ErrDeclined, err)
	case err != nil:
		return r.doubt(ctx, err)
	}
	o.TransactionID = transaction
	if err = r.recordOutcome(ctx, Charged, ""); err == nil {
		return nil
	}
	r.pending.Problem = "its receipt could not be recorded before"
	switch { // the outcome is recorded before anything else happens
	case r.retryRecord(ctx):
	case r.recorded.Load().State != Charging:
		return o.error(ErrUnavailable, StepRecord, ErrFenced)
	default:
		return o.error(ErrInDoubt, StepRecord, fmt.Errorf("paid (transaction %s), and not recorded: %w", transaction, err))
	}
	if err := r.save(ctx, Charged, lease); err != nil { // it may have been recorded long before the answer came: the lease is renewed
		return o.error(ErrUnavailable, StepRecord, err)
	}
	return nil
}

func (r *run) chargeCard(ctx context.Context) (transaction string, err error) {
	defer func() { r.charges.end(r.timing) }()
	r.timing.began = time.Now()
	return r.Payment.Charge(ctx, r.order.ID, r.order.Total, r.card)
}

// refuse records that no money moved. Should that fail, and this process end, the order will be in doubt: safe.
func (r *run) refuse(ctx context.Context, to State, kind Kind, cause error) error {
	r.report(ctx, r.recordOutcome(ctx, to, brief(cause)))
	return r.order.error(kind, StepCharge, cause)
}

// doubt records that it is unknown whether the card was charged. The ledger may, if there is one.
func (r *run) doubt(ctx context.Context, cause error) error {
	unrecorded := r.record(ctx, InDoubt, brief(cause))
	r.report(ctx, unrecorded)
	if r.Ledger != nil && unrecorded == nil {
		return nil
	}
	return r.order.error(ErrInDoubt, StepCharge, cause)
}

// lookUp asks the ledger whether an order in doubt was charged. If it was not, it must never be: a charge may still be on its
// way. So the order goes to Refunding before the charge is reversed. The reversal, too, may take long; without that record,
// another process could find the charge meanwhile, and ship what is then paid back.
func (r *run) lookUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	o := r.order
	transaction, charged, err := r.Ledger.Lookup(ctx, o.ID)
	switch {
	case err != nil:
		err = r.postpone(ctx, StepLookup, err)
	case transaction != "" && charged != (money.Amount{}) && charged != o.Total:
		err = r.park(ctx, StepLookup, fmt.Errorf("%w: the ledger has a charge of %s, the order costs %s", ErrImplausible, charged, o.Total))
	case transaction != "":
		o.TransactionID = transaction
		err = r.record(ctx, Charged, "")
	default:
		err = r.record(ctx, Refunding, o.Reason)
	}
	if err != nil {
		return o.error(ErrInDoubt, StepLookup, err)
	}
	return nil
}

// ship sends the parcel, which cannot be undone. After ErrRefused and ErrUnsent no parcel was sent; after any other error one may
// have been. A shipping service that honours keys is asked until the order is shipped. Any other one gets a limited number of
// attempts that may each have sent a parcel. Their number is recorded before each is sent, so that it survives a crash.
func (r *run) ship(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	o := r.order
	if err := r.reserve(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		if time.Since(r.held) > recordTime+stepTime { // we may have slept, and the order have been taken over
			return r.postpone(ctx, StepShip, errors.New("too late to ship"))
		}
		tracking, err := r.Shipping.Ship(ctx, o.ID, o.Address, o.Lines())
		switch {
		case err == nil:
			r.reserved = false
			why := ""
			if o.TrackingID = tracking; r.holdsCard(tracking) {
				o.TrackingID, why = string(o.ID), "the tracking id may hold a card number: the shipping service has the order's id, as Idempotency-Key"
			}
			return r.recordOutcome(ctx, Placed, why)
		case errors.Is(err, ErrRefused):
			return r.unshippable(ctx, err)
		case r.ShipAttempts > 0 && !errors.Is(err, ErrUnsent):
			return r.perhapsShipped(ctx, err)
		case try == shipTries || !wait.For(ctx, 100*time.Millisecond<<try):
			return r.postpone(ctx, StepShip, err)
		}
		o.failed(StepShip, err)
	}
}

// holdsCard reports whether a tracking id repeats the card. In recovery the card is unknown: then any card number counts.
func (r *run) holdsCard(tracking string) bool {
	if r.card == (creditcard.Card{}) {
		return creditcard.HasNumber(creditcard.ASCIIDigits(tracking))
	}
	return r.card.IsIn(tracking)
}

// reserve records an attempt to ship before it is made. An order that has had all its attempts is parked: the last one was
// interrupted before its outcome was recorded, or recorded while more attempts were allowed.
func (r *run) reserve(ctx context.Context) error {
	o := r.order
	switch {
	case r.ShipAttempts == 0 || r.reserved:
		return nil
	case o.ShipAttempts >= r.ShipAttempts:
		cause := errors.New("the process that sent it ended before the answer came")
		if o.Reason != "" {
			cause = errors.New(o.Reason)
		}
		return r.park(ctx, StepShip, cause)
	}
	o.ShipAttempts++
	o.Reason = ""
	if err := r.save(ctx, Charged, lease); err != nil {
		o.ShipAttempts--
		return o.error(ErrUnavailable, StepRecord, err)
	}
	r.reserved = true
	return nil
}

// unreserve takes back an attempt that is on record and certainly was not made. The next record says so.
func (r *run) unreserve() {
	if r.reserved {
		r.order.ShipAttempts--
		r.reserved = false
	}
}

// perhapsShipped leaves the order to recovery for longer and longer or, when it has had all its attempts, to an operator.
func (r *run) perhapsShipped(ctx context.Context, cause error) error {
	r.reserved = false
	attempts := r.order.ShipAttempts
	if attempts >= r.ShipAttempts {
		return r.park(ctx, StepShip, cause)
	}
	pauses := []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute}
	return r.postponeFor(ctx, StepShip, cause, r.jitter(pauses[min(attempts, len(pauses))-1]))
}

// unshippable records that the shipping service refuses the order. If there is a ledger the money goes back at once, unless
// an earlier attempt may have made a parcel.
func (r *run) unshippable(ctx context.Context, cause error) error {
	r.unreserve()
	if r.order.ShipAttempts > 0 {
		return r.park(ctx, StepShip, cause)
	}
	if r.Ledger != nil {
		return r.record(ctx, Refunding, brief(cause))
	}
	r.report(ctx, r.record(ctx, Parked, brief(cause)))
	return r.order.error(ErrUnshippable, StepShip, cause)
}

// refund makes the net charge zero for ever, and tells the caller: of what was paid and cannot be shipped, that it was
// paid back; of what was not found to be paid, that it never will be.
func (r *run) refund(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	o, kind, to := r.order, ErrUnshippable, Refunded
	if o.RefundTo != (money.Amount{}) {
		return r.refundPart(ctx)
	}
	if o.TransactionID == "" {
		kind, to = ErrInDoubt, Cancelled
	}
	err := r.Ledger.Reverse(ctx, o.ID)
	if err != nil {
		err = r.postpone(ctx, StepReverse, err)
	} else {
		err = r.record(ctx, to, o.Reason)
	}
	if err != nil {
		return o.error(kind, StepReverse, err)
	}
	return o.failure()
}

// refundPart refunds a part of what was paid for a completed order. It is completed then, whether or not the ledger could.
func (r *run) refundPart(ctx context.Context) error {
	o := r.order
	total, reason := o.RefundTo, fmt.Sprintf("refunded %s of %s", o.RefundTo, o.Total)
	err := r.Ledger.Refund(ctx, o.ID, total)
	switch {
	case errors.Is(err, ErrRefused):
		total, reason = o.Refunded, "refund refused: "+brief(err)
	case err != nil:
		return r.postpone(ctx, StepReverse, err)
	}
	o.Refunded, o.RefundTo = total, money.Amount{}
	return r.record(ctx, Completed, reason)
}

// emptyCart is the first try, while the caller waits: the shop must not show a cart that has been bought. After a slow
// order the customer may have gone on shopping, and it is left to settleCart.
func (r *run) emptyCart(ctx context.Context) {
	if r.caller == nil || time.Since(r.order.Created.Round(0)) >= cartHaste {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cartHaste)
	defer cancel()
	if r.Cart.Empty(ctx, r.order.UserID) == nil {
		r.order.Delivered |= CartSettled
	}
}

// delivery is an attempt to make one of the pending deliveries.
type delivery struct {
	is  Delivery
	err error
}

// deliver makes the pending deliveries, side by side, and records how far it came. Each may be made more than once. One that
// is refused for good, or has failed for a day, becomes undeliverable; the others go on. Right after the answer only so many
// orders do so at once; recovery soon takes up the others.
func (r *run) deliver(ctx context.Context) error {
	if r.caller != nil {
		select {
		case r.deliveries <- struct{}{}:
			defer func() { <-r.deliveries }()
		default:
			return r.save(ctx, Placed, r.backoff(1))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	o := r.order
	seen := r.recorded.Load() // by the deliveries, while o changes
	made := make(chan delivery, 3)
	pending := 0
	for _, d := range []Delivery{CartSettled, EmailSent, EventPublished} {
		if o.pending().Has(d) {
			pending++
			go func() { made <- delivery{d, Guard(func() error { return r.deliverOne(ctx, d, seen) })} }()
		}
	}
	failed := r.collect(ctx, made, pending)
	switch {
	case len(failed) > 0:
	case o.Undeliverable != 0:
		return r.record(ctx, Undelivered, o.undelivered())
	default:
		return r.record(ctx, Completed, "")
	}
	causes := make([]error, len(failed))
	for i, d := range failed {
		causes[i] = fmt.Errorf("%s: %w", d.is.step(), d.err)
	}
	return r.postpone(ctx, failed[0].is.step(), errors.Join(causes...))
}

// deliverOne makes one delivery.
func (r *run) deliverOne(ctx context.Context, d Delivery, o *Order) error {
	switch {
	case d == CartSettled:
		return r.settleCart(ctx, o)
	case d == EmailSent:
		return r.Email.Confirm(ctx, o)
	case r.Events != nil:
		return r.Events.Publish(ctx, o)
	}
	return nil
}

// settleCart empties the cart unless it has changed since: what the customer has put into it later is theirs. The cart
// has no version, so after a day it is left alone for good.
func (r *run) settleCart(ctx context.Context, o *Order) error {
	if time.Since(o.Changed) > cartTime {
		return nil
	}
	looked := time.Now().Round(0)
	lines, err := r.Cart.Lines(ctx, o.UserID)
	if err != nil || !sameLines(lines, o.Items) {
		return err
	}
	if time.Since(looked) > cartHaste { // we may have slept, while the customer went on shopping
		return errors.New("the cart was read too long ago")
	}
	return r.Cart.Empty(ctx, o.UserID)
}

// collect waits for so many deliveries and returns those that have failed and are to be tried again.
func (r *run) collect(ctx context.Context, made <-chan delivery, pending int) (failed []delivery) {
	o := r.order
	late := time.NewTimer(slow)
	defer late.Stop()
	for isLate := false; pending > 0; {
		if isLate && o.Settled() && !r.recorded.Load().Settled() {
			r.report(ctx, r.save(ctx, Placed, lease))
		}
		select {
		case d := <-made:
			pending--
			switch {
			case d.err == nil:
				o.Delivered |= d.is
			case d.is != CartSettled && (errors.Is(d.err, ErrRefused) || o.triedEnough()):
				o.Undeliverable |= d.is
				o.failed(d.is.step(), d.err)
				r.report(ctx, o.error(ErrUnavailable, d.is.step(), fmt.Errorf("%w: %w", ErrGivenUp, d.err)))
			default:
				failed = append(failed, d)
			}
		case <-late.C:
			isLate = true
		}
	}
	return failed
}
