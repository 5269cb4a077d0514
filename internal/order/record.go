package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"checkout/internal/wait"
)

const (
	// patience is how long a step is repeated, and patientTries how often at least; then the order requires an operator. A service
	// that was away for a day itself gives the others time to come back.
	patience     = 24 * time.Hour
	patientTries = 5
)

// postpone leaves the order to recovery for a while, longer with each failure, or to an operator when it has failed for a
// day. It returns the failure.
func (r *run) postpone(ctx context.Context, step Step, cause error) error {
	o := r.order
	if o.State != Placed && o.triedEnough() {
		return r.park(ctx, step, cause)
	}
	return r.postponeFor(ctx, step, cause, r.backoff(o.Attempts+1))
}

// triedEnough reports whether the step that has just failed was tried for long enough.
func (o *Order) triedEnough() bool {
	return time.Since(o.Changed) > patience && o.Attempts+1 >= patientTries
}

// postponeFor leaves the order to recovery for as long as hold says.
func (r *run) postponeFor(ctx context.Context, step Step, cause error, hold time.Duration) error {
	o := r.order
	o.failed(step, cause)
	o.Attempts++
	if o.State != InDoubt && o.State != Refunding { // their reason is how they came there
		o.Reason = brief(cause)
	}
	r.unreserve()
	err := r.save(ctx, o.State, hold)
	return o.error(ErrUnavailable, step, errors.Join(cause, err))
}

// park leaves the order to an operator. It returns the failure.
func (r *run) park(ctx context.Context, step Step, cause error) error {
	o := r.order
	o.failed(step, cause)
	r.unreserve()
	reason := brief(cause)
	if o.State == Charged && o.ShipAttempts > 0 {
		reason = fmt.Sprintf("shipped or not? Attempts: %d, last: %s", o.ShipAttempts, reason)
	}
	failure := o.error(ErrUnavailable, step, fmt.Errorf("%w: %w", ErrGivenUp, cause))
	if err := r.record(ctx, Parked, reason); err != nil { // it is tried once more
		failure.Err = errors.Join(cause, err)
	}
	return failure
}

// recordOutcome is record for an outcome that only this run knows. If it cannot be recorded in time it is left to retryRecord.
func (r *run) recordOutcome(ctx context.Context, to State, reason string) error {
	err := r.record(ctx, to, reason)
	if err != nil {
		r.pending = &HistoryEntry{State: to, Problem: reason}
	}
	return err
}

// record makes the order's new state durable, and why it came into it if that is not plain.
func (r *run) record(ctx context.Context, to State, reason string) error {
	return r.recordFor(ctx, to, reason, r.hold(to))
}

// hold is how long an order is left alone that has come into this state.
func (p *Placer) hold(s State) time.Duration {
	switch {
	case s.Final():
		return p.Retention
	case p.requiresOperator(s):
		return UntilResolved
	}
	return lease
}

func (p *Placer) requiresOperator(s State) bool { return s.RequiresOperator(p.Ledger != nil) }

// recordFor is record with the order left alone for as long as hold says. Charged is recorded with the first attempt to
// ship it, so that this needs no record of its own.
func (r *run) recordFor(ctx context.Context, to State, reason string, hold time.Duration) error {
	before, o := *r.order, r.order
	o.enter(to, HistoryEntry{Problem: reason})
	reserved := to == Charged && r.ShipAttempts > 0
	if reserved {
		o.ShipAttempts++
	}
	if err := r.save(ctx, before.State, hold); err != nil {
		*r.order = before
		return before.error(ErrUnavailable, StepRecord, err)
	}
	r.reserved = reserved
	return nil
}

// enter brings the order into a state.
func (o *Order) enter(to State, why HistoryEntry) {
	o.State, o.Reason, o.Changed, o.Attempts = to, why.Problem, time.Now(), 0
	why.At, why.State = o.Changed, to
	o.append(why)
	if to == Cancelled {
		o.Key = "" // it is free for another try
	}
}

// save tries to record the order as it is for a while, also for a while after the service has begun to end.
// What retryRecord repeats is tried once.
func (r *run) save(ctx context.Context, from State, hold time.Duration) (err error) {
	began := time.Now().Round(0) // a machine that sleeps stops the monotonic clock
	ctx, cancel := context.WithTimeout(wait.Within(r.recording, ctx), recordTime)
	defer cancel()
	for try := 0; ; try++ {
		if from == Charging && r.order.State == Cancelled {
			err = r.Store.Cancel(ctx, r.order, hold)
		} else {
			err = r.Store.Save(ctx, r.order, from, hold)
		}
		if err == nil {
			r.held = began
			r.snapshot()
			return nil
		}
		if errors.Is(err, ErrFenced) || r.pending != nil || !wait.For(ctx, 20*time.Millisecond<<min(try, 5)) {
			return err
		}
	}
}

// snapshot keeps a copy of the order as it is on record, for callers who cannot wait.
func (r *run) snapshot() {
	o := *r.order
	r.recorded.Store(&o)
}

// retryRecord tries to record the pending outcome, which only this run knows, until it is recorded or the service ends. It
// tells whether this run goes on with the order. A process that has taken the order over meanwhile could only put it in
// doubt, unless an earlier try had been recorded.
func (r *run) retryRecord(ctx context.Context) bool {
	if r.pending == nil {
		return true
	}
	r.retrying.Store(r.order.ID, r)
	defer r.retrying.Delete(r.order.ID)
	for tries := 1; r.pending != nil; tries++ {
		if !wait.For(r.life, r.backoff(min(tries, 3))) {
			return false
		}
		r.order.Epoch = max(r.order.Epoch, r.claimed.Load())
		err := r.recordPending(ctx)
		if errors.Is(err, ErrFenced) && r.pending.State != Placed {
			err = r.reclaim(ctx)
		}
		switch {
		case err == nil:
			r.pending = nil
		case errors.Is(err, ErrFenced) && r.wasRecorded(ctx):
			r.pending = nil
			return false
		case errors.Is(err, ErrFenced) && r.claimed.Load() > r.order.Epoch: // by this process: it is this run's again
		case errors.Is(err, ErrFenced) || errors.Is(err, ErrNotFound):
			r.report(ctx, fmt.Errorf("not recorded as %s (transaction %q): %w", r.pending.State, r.order.TransactionID, err))
			r.pending = nil
			return false
		}
	}
	return true
}

// recordPending records the pending outcome. What is placed is left to recovery at once.
func (r *run) recordPending(ctx context.Context) error {
	to, hold := r.pending.State, r.hold(r.pending.State)
	if to == Placed {
		hold = 0
	}
	return r.recordFor(ctx, to, r.pending.Problem, hold)
}

// wasRecorded reports whether the pending outcome was recorded all the same, by a try whose answer was lost. Then another
// process has gone on with the order.
func (r *run) wasRecorded(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	o, err := r.Store.Get(ctx, r.order.ID)
	if err != nil {
		return false
	}
	recorded := o.State == r.pending.State
	if receipt, parcel := r.order.TransactionID, r.order.TrackingID; receipt != "" { // it may have gone further
		recorded = o.TransactionID == receipt && (parcel == "" || o.TrackingID == parcel)
	}
	if recorded {
		r.recorded.Store(o)
	}
	return recorded
}

// reclaim takes the order back that was put in doubt because this process alone knows better.
func (r *run) reclaim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(wait.Within(r.life, ctx), recordTime)
	defer cancel()
	o, err := r.Store.Take(ctx, r.order.ID)
	if err != nil {
		return err
	}
	if o.State != InDoubt {
		return ErrFenced
	}
	o.TransactionID = r.order.TransactionID
	r.order = o
	return r.recordPending(ctx)
}
