package order

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/wait"
)

const (
	// lease is how long an order is left to the process that works on it, counted from its last record.
	lease = 30 * time.Second
	// stepTime bounds what is done between two records, and recordTime the tries to make a record. The lease counts from
	// the first try of the record before, so an order never has two masters if recordTime + stepTime + recordTime < lease;
	// before the deliveries the cart comes in between, with cartHaste.
	stepTime   = 18 * time.Second
	recordTime = 4 * time.Second
	// patience is how long a step is repeated, and patientTries how often at least; then the order requires an operator. A service
	// that was away for a day itself gives the others time to come back.
	patience     = 24 * time.Hour
	patientTries = 5
	// shipTries is how often in a row a shipment is tried that certainly was not made, while the caller may be waiting.
	shipTries = 3
)

// flight is one order being taken further by this process: by Place right after it was opened, or by recovery.
type flight struct {
	*Placer
	order  *Order           // its goroutine's own; others look at recorded
	card   *creditcard.Card // Place's alone: it is never stored, so nobody else can charge
	number creditcard.Card  // the card without its CVV, for as long as Place's run ships

	recorded atomic.Pointer[Order] // a copy of the order as the store knows it
	answered chan struct{}         // closed when the caller can be told: placed, or failure
	placed   *Order
	failure  error
	alone    atomic.Bool // the caller has gone without it

	held       time.Time     // when the order's lease began: it is this run's until the lease is over
	reserved   bool          // the latest of order.ShipAttempts is on record and was not made: it is this run's to make
	unrecorded *HistoryEntry // what has happened to the order and could not be recorded in time
}

// depart sends an opened order off. It flies on when the caller has gone; release is called when its money and its
// parcel are settled, with its failure.
func (p *Placer) depart(ctx context.Context, o *Order, card creditcard.Card, release func(error)) *flight {
	card = card.Clone() // the caller's is cleared when it has its answer, which may be before the charge
	f := &flight{Placer: p, order: o, card: &card, number: card.WithoutCVV(), answered: make(chan struct{})}
	f.snapshot()
	p.flights.Go(func() {
		ctx, cancel := p.detach(ctx)
		defer cancel()
		err := guard(func() error {
			defer f.number.Clear()
			if err := f.forward(ctx); err != nil {
				return err
			}
			f.emptyCart(ctx)
			return nil
		})
		release(err) // before the answer: who has it may come again at once
		f.land(ctx, err)
		f.deliverIfRoom(ctx)
		f.testify(ctx)
	})
	return f
}

// detach makes a context that outlives the caller's, but not the service.
func (p *Placer) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(p.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// wait returns what the caller is told: the outcome, or, when their time is over, what is on record.
func (f *flight) wait(ctx context.Context) (*Order, error) {
	select {
	case <-f.answered:
	case <-ctx.Done():
		f.alone.Store(true)
		switch o := f.recorded.Load(); o.State {
		case Charging:
			return nil, &Error{Kind: ErrInDoubt, Step: StepCharge, OrderID: o.ID, Err: ctx.Err()}
		case Charged, Placed, InDoubt, Refunding:
			return o.answer()
		case Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
			<-f.answered // it is at rest: nothing is waited for any more, and only the answer tells how it came there
		}
	}
	return f.placed, f.failure
}

// land tells the caller. An order that is paid and recorded is an answer, whatever has gone wrong since.
func (f *flight) land(ctx context.Context, err error) {
	switch o := f.recorded.Load(); {
	case o.failure() == nil:
		f.placed = o
		f.report(ctx, err)
	case errors.Is(err, ErrInternal): // a bug of ours: the card may have been charged before it showed
		f.failure = &Error{Kind: ErrInDoubt, Step: StepCharge, OrderID: o.ID, Err: err}
		f.report(ctx, err)
	default:
		f.failure = err
	}
	close(f.answered)
	if f.alone.Load() {
		f.report(ctx, f.failure)
	}
}

// report tells of what no caller hears.
func (f *flight) report(ctx context.Context, err error) {
	if err != nil {
		f.Report(ctx, f.order.ID, err)
	}
}

// forward takes the order from its recorded state to Placed, or to where it rests. Place and recovery share it.
func (f *flight) forward(ctx context.Context) error {
	for {
		if f.rests(f.order.State) { // since it was left it cannot be taken further any more
			return f.save(ctx, f.order.State, UntilResolved)
		}
		var step func(context.Context) error
		switch f.order.State {
		case Charging:
			step = f.charge
		case InDoubt:
			step = f.inquire
		case Charged:
			step = f.ship
		case Refunding:
			step = f.reverse
		case Placed, Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
			return nil
		}
		if err := within(ctx, step); err != nil {
			return err
		}
	}
}

// within gives a step its time.
func within(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return step(ctx)
}

// charge takes the money, once. Without a card (the order was found in Charging) nobody here can know whether it was.
func (f *flight) charge(ctx context.Context) error {
	o, card := f.order, f.card
	f.card = nil
	if card == nil {
		return f.doubt(ctx, errors.New("the process that charged it ended before the answer came"))
	}
	defer card.Clear()
	// We may have slept, or the store, and the order have been taken over. A machine that sleeps stops the monotonic clock.
	if time.Since(o.Changed.Round(0)) > lease-stepTime-recordTime {
		return f.refuse(ctx, Cancelled, ErrUnavailable, errors.New("too late to charge"))
	}
	transaction, err := f.Payment.Charge(ctx, o.ID, o.Total, *card)
	switch {
	case errors.Is(err, ErrUnsent):
		return f.refuse(ctx, Cancelled, ErrPaymentUnreachable, err)
	case errors.Is(err, ErrRefused):
		return f.refuse(ctx, Declined, ErrDeclined, err)
	case err != nil:
		return f.doubt(ctx, err)
	}
	o.TransactionID = transaction
	if err := f.record(ctx, Charged, ""); err != nil { // nothing may follow that a crash would forget
		f.unrecorded = &HistoryEntry{State: Charged, Problem: "its receipt could not be recorded before"}
		switch {
		case f.testify(ctx):
		case f.recorded.Load().State != Charging:
			return &Error{Kind: ErrUnavailable, Step: StepRecord, OrderID: o.ID, Err: ErrFenced}
		default:
			return &Error{Kind: ErrInDoubt, Step: StepCharge, OrderID: o.ID, Err: fmt.Errorf("paid (transaction %s), and not recorded: %w", transaction, err)}
		}
		if err := f.save(ctx, Charged, lease); err != nil { // it may have been recorded long before the answer came: the lease is renewed
			return &Error{Kind: ErrUnavailable, Step: StepRecord, OrderID: o.ID, Err: err}
		}
	}
	return nil
}

// refuse records that no money moved. Should that fail, and this process end, the order will be in doubt: safe.
func (f *flight) refuse(ctx context.Context, to State, kind Kind, cause error) error {
	if err := f.record(ctx, to, brief(cause)); err != nil {
		f.unrecorded = &HistoryEntry{State: to, Problem: brief(cause)}
		f.report(ctx, err)
	}
	return &Error{Kind: kind, Step: StepCharge, OrderID: f.order.ID, Err: cause}
}

// doubt records that nobody here knows whether the card was charged. The ledger may, if there is one.
func (f *flight) doubt(ctx context.Context, cause error) error {
	unrecorded := f.record(ctx, InDoubt, brief(cause))
	f.report(ctx, unrecorded)
	if f.Ledger != nil && unrecorded == nil {
		return nil
	}
	return &Error{Kind: ErrInDoubt, Step: StepCharge, OrderID: f.order.ID, Err: cause}
}

// inquire asks the ledger whether an order in doubt was charged. If not so far, it must never be: a charge that is still
// on its way would find nobody who wants it. That intent is recorded first. A reversal may be on its way for long, too, and
// whoever comes after this process must not find the charge, believe it, and ship what is then paid back.
func (f *flight) inquire(ctx context.Context) error {
	o := f.order
	transaction, err := f.Ledger.Lookup(ctx, o.ID)
	switch {
	case err != nil:
		err = f.postpone(ctx, StepLookup, err)
	case transaction != "":
		o.TransactionID = transaction
		err = f.record(ctx, Charged, "")
	default:
		err = f.record(ctx, Refunding, o.Reason)
	}
	if err != nil {
		return &Error{Kind: ErrInDoubt, Step: StepLookup, OrderID: o.ID, Err: err}
	}
	return nil
}

// reverse makes the net charge zero for ever, and tells the caller: of what was paid and cannot be shipped, that it was
// paid back; of what was not found to be paid, that it never will be.
func (f *flight) reverse(ctx context.Context) error {
	o, kind, to := f.order, ErrUnshippable, Refunded
	if o.TransactionID == "" {
		kind, to = ErrInDoubt, Cancelled
	}
	err := f.Ledger.Reverse(ctx, o.ID)
	if err != nil {
		err = f.postpone(ctx, StepReverse, err)
	} else {
		err = f.record(ctx, to, o.Reason)
	}
	if err != nil {
		return &Error{Kind: kind, Step: StepReverse, OrderID: o.ID, Err: err}
	}
	return o.failure()
}

// record makes the order's new state durable, and why it came into it if that is not plain. Until it has succeeded,
// nothing may be done on the strength of it.
func (f *flight) record(ctx context.Context, to State, reason string) error {
	return f.recordFor(ctx, to, reason, f.hold(to))
}

// recordFor is record with the order left alone for as long as hold says. Charged is recorded with the first attempt to
// ship it, so that this needs no record of its own.
func (f *flight) recordFor(ctx context.Context, to State, reason string, hold time.Duration) error {
	before := *f.order
	o := f.order
	o.State, o.Reason, o.Changed, o.Attempts = to, reason, time.Now(), 0
	o.tell(HistoryEntry{At: o.Changed, State: to, Problem: reason})
	ships := to == Charged && f.ShipAttempts > 0
	if ships {
		o.ShipAttempts++
	}
	put := func(ctx context.Context) error { return f.Store.Save(ctx, o, before.State, hold) }
	if to == Cancelled {
		o.Key = "" // it is free for another try
		if before.State == Charging {
			put = func(ctx context.Context) error { return f.Store.Cancel(ctx, o, hold) }
		}
	}
	if err := f.persist(ctx, put); err != nil {
		*f.order = before
		return &Error{Kind: ErrUnavailable, Step: StepRecord, OrderID: before.ID, Err: err}
	}
	f.reserved = ships
	return nil
}

// hold is how long an order is left alone that has come into this state.
func (p *Placer) hold(s State) time.Duration {
	switch {
	case s.Final():
		return p.Retention
	case p.rests(s):
		return UntilResolved
	}
	return lease
}

// postpone leaves the order to recovery for a while, longer with each failure, or to an operator when it has failed for a
// day. It returns the failure.
func (f *flight) postpone(ctx context.Context, step Step, cause error) error {
	o := f.order
	if o.State != Placed && o.triedEnough() {
		return f.park(ctx, step, cause)
	}
	return f.postponeFor(ctx, step, cause, f.backoff(o.Attempts+1))
}

// triedEnough tells whether the step that has just failed was tried for long enough.
func (o *Order) triedEnough() bool {
	return time.Since(o.Changed) > patience && o.Attempts+1 >= patientTries
}

// postponeFor leaves the order to recovery for as long as hold says.
func (f *flight) postponeFor(ctx context.Context, step Step, cause error, hold time.Duration) error {
	o := f.order
	o.failed(step, cause)
	o.Attempts++
	if o.State != InDoubt && o.State != Refunding { // their reason is how they came there
		o.Reason = brief(cause)
	}
	f.withdraw()
	err := f.save(ctx, o.State, hold)
	return &Error{Kind: ErrUnavailable, Step: step, OrderID: o.ID, Err: errors.Join(cause, err)}
}

// park leaves the order to an operator. It returns the failure.
func (f *flight) park(ctx context.Context, step Step, cause error) error {
	o := f.order
	o.failed(step, cause)
	f.withdraw()
	reason := brief(cause)
	if o.State == Charged && o.ShipAttempts > 0 {
		reason = fmt.Sprintf("shipped or not? Attempts: %d, last: %s", o.ShipAttempts, reason)
	}
	failure := &Error{Kind: ErrUnavailable, Step: step, OrderID: o.ID, Err: fmt.Errorf("%w: %w", ErrGivenUp, cause)}
	if err := f.record(ctx, Parked, reason); err != nil { // it is tried once more
		failure.Err = errors.Join(cause, err)
	}
	return failure
}

// save records the order as it is.
func (f *flight) save(ctx context.Context, from State, hold time.Duration) error {
	return f.persist(ctx, func(ctx context.Context) error { return f.Store.Save(ctx, f.order, from, hold) })
}

// persist tries to record for a while, also for a while after the service has begun to end: it is the one thing that must not
// be left undone. What testify repeats is tried once.
func (f *flight) persist(ctx context.Context, put func(context.Context) error) error {
	began := time.Now().Round(0) // a machine that sleeps stops the monotonic clock
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	defer context.AfterFunc(f.recording, cancel)()
	for try := 0; ; try++ {
		err := put(ctx)
		if err == nil {
			f.held = began
			f.snapshot()
			return nil
		}
		if errors.Is(err, ErrFenced) || f.unrecorded != nil || !wait.For(ctx, 20*time.Millisecond<<min(try, 5)) {
			return err
		}
	}
}

// testify goes on trying to record what has happened and could not be recorded in time: nobody else knows of it. It lasts
// until it is recorded, or the service ends. It tells whether the order is this run's to go on with. Whoever has taken it over
// meanwhile could only put it in doubt, unless an earlier try had been recorded.
func (f *flight) testify(ctx context.Context) bool {
	for tries := 1; f.unrecorded != nil; tries++ {
		if !wait.For(f.life, f.backoff(min(tries, 3))) {
			return false
		}
		err := f.attest(ctx)
		if errors.Is(err, ErrFenced) && f.unrecorded.State != Placed {
			err = f.contradict(ctx)
		}
		if errors.Is(err, ErrFenced) && f.known(ctx) {
			f.unrecorded = nil
			return false
		}
		if errors.Is(err, ErrFenced) || errors.Is(err, ErrNotFound) {
			f.report(ctx, fmt.Errorf("not recorded as %s (transaction %q): %w", f.unrecorded.State, f.order.TransactionID, err))
			f.unrecorded = nil
			return false
		}
		if err == nil {
			f.unrecorded = nil
		}
	}
	return true
}

// attest records it. What is placed is left to recovery at once.
func (f *flight) attest(ctx context.Context) error {
	to, hold := f.unrecorded.State, f.hold(f.unrecorded.State)
	if to == Placed {
		hold = 0
	}
	return f.recordFor(ctx, to, f.unrecorded.Problem, hold)
}

// known tells whether it was recorded all the same, by a try whose answer was lost. Then somebody else has gone on with the
// order.
func (f *flight) known(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	o, err := f.Store.Get(ctx, f.order.ID)
	if err != nil {
		return false
	}
	known := o.State == f.unrecorded.State
	if receipt, parcel := f.order.TransactionID, f.order.TrackingID; receipt != "" { // it may have gone further
		known = o.TransactionID == receipt && (parcel == "" || o.TrackingID == parcel)
	}
	if known {
		f.recorded.Store(o)
	}
	return known
}

// contradict takes the order back that was put in doubt because this process alone knows better.
func (f *flight) contradict(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	defer context.AfterFunc(f.life, cancel)()
	o, err := f.Store.Take(ctx, f.order.ID)
	if err != nil {
		return err
	}
	if o.State != InDoubt {
		return ErrFenced
	}
	o.TransactionID = f.order.TransactionID
	f.order = o
	return f.attest(ctx)
}

// snapshot keeps a copy of the order as it is on record, for callers who cannot wait.
func (f *flight) snapshot() {
	o := *f.order
	f.recorded.Store(&o)
}
