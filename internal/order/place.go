package order

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"checkout/internal/money"
	"checkout/internal/wait"
)

// Dependencies are what a Placer works with.
type Dependencies struct {
	Pricer   Pricer
	Store    Store
	Payment  Payment
	Ledger   Ledger // nil when the payment service cannot be asked, and does not honour keys
	Shipping Shipping
	// ShipAttempts is how many attempts to ship an order may each have sent a parcel, at most. 0: no limit, because the service
	// honours keys.
	ShipAttempts int
	Cart         Cart
	Email        Email
	Events       Events // nil when the shop has no broker: then no event is pending
	Admission    Admission

	// Background is how many orders make their deliveries at once, and how many of each queue recovery takes up at once. While
	// e-mail or the broker is slow each of them holds memory; what does not fit is on record, and recovery takes it up. 0: 128.
	Background int

	// MaxJoined is how many calls may wait for other calls of their users, of all users together. 0: 128.
	MaxJoined int

	// Retention is how long a finished order's record is kept, and its key remembered. 0: seven days.
	Retention time.Duration

	// Report gets the failures that no caller waits for. It must not be nil.
	Report func(ctx context.Context, id ID, err error)
	// Resumed is called with every order that recovery takes up. It returns the context of the attempt, and what is called with
	// its outcome. Nil: it is not observed.
	Resumed func(ctx context.Context, o *Order) (context.Context, func(error))
	// Random returns a number of at least 0 and less than n, which spreads retries. Nil is math/rand.
	Random func(n int64) int64
}

// Placer places and completes orders.
type Placer struct {
	Dependencies

	calls      calls
	charges    latency
	deliveries chan struct{} // a slot for each order that makes its deliveries right after its answer
	unrecorded atomic.Bool   // the latest intent could not be recorded
	retrying   sync.Map      // the runs that try to record an outcome which only they know, by the order's id

	runs          sync.WaitGroup
	life          context.Context // ends when runs must
	end           context.CancelFunc
	recording     context.Context // ends closeTime after life
	stopRecording context.CancelFunc
}

// closeTime is how long the record may take for the orders that are cut off when the service ends.
const closeTime = 2 * time.Second

// What Dependencies says where it is not set.
const (
	defaultRetention  = 7 * 24 * time.Hour
	defaultBackground = 128
	defaultJoined     = 128
)

// NewPlacer makes a Placer. Close it.
func NewPlacer(d Dependencies) *Placer {
	if d.Random == nil {
		d.Random = rand.Int64N
	}
	if d.Resumed == nil {
		d.Resumed = func(ctx context.Context, _ *Order) (context.Context, func(error)) { return ctx, func(error) {} }
	}
	if d.Retention <= 0 {
		d.Retention = defaultRetention
	}
	if d.Background <= 0 {
		d.Background = defaultBackground
	}
	if d.MaxJoined <= 0 {
		d.MaxJoined = defaultJoined
	}
	p := &Placer{Dependencies: d, deliveries: make(chan struct{}, d.Background)}
	p.life, p.end = context.WithCancel(context.Background())
	p.recording, p.stopRecording = context.WithCancel(context.Background())
	return p
}

// Place turns the customer's cart into a paid order that is on its way. Asked again for the same order it gives the same
// answer. Its error is an *Error.
//
// An order whose parcel could not be sent in time is returned as it is, in state Charged: it is safe, and goes on.
func (p *Placer) Place(ctx context.Context, req Request) (placed *Order, err error) {
	req = req.normalized()
	if err := req.Validate(time.Now()); err != nil {
		return nil, err
	}
	call, placed, err := p.existing(ctx, req) // asked before: the same answer
	if call == nil {
		return placed, err
	}
	defer func() { call.end(ctx, placed, err) }()
	o, err := p.price(ctx, req) // reads only: nothing has moved, and the caller may hang up
	if err != nil {
		return p.replayIfEmptied(ctx, call, err)
	}
	run, placed, err := p.open(ctx, call, o) // the intent is durable: from here on a crash is recoverable
	if run == nil {
		return placed, err
	}
	return run.finish(ctx) // charge, ship, empty the cart: the caller may hang up, we may not
}

// price reads what the cart holds, and what that costs. It fails if the customer has agreed to another total.
func (p *Placer) price(ctx context.Context, req Request) (o *Order, err error) {
	defer caught(&err)
	began := time.Now()
	if o, err = p.Pricer.Price(ctx, req); err != nil {
		return nil, Fail(ErrInternal, "", err)
	}
	if req.Expected != (money.Amount{}) && req.Expected != o.Total {
		return nil, &Error{Kind: ErrPriceChanged, Total: o.Total}
	}
	o.ID, o.Key, o.Trace = newID(began), req.Key, req.Trace
	o.enter(Charging, HistoryEntry{})
	o.Created = began // no later than the cart was read
	return o, nil
}

// clockTick is how finely the store's clock counts: after it, a newer order may supersede one that has just been settled. It
// may take longer, up to slowTick a time, when the store's clock was set back.
const (
	clockTick = 2 * time.Millisecond
	slowTick  = 250 * time.Millisecond
)

// open records the intent to charge the order, and returns its run. While another order of the user is in the way it waits
// for that one, which may be the answer, and prices again what is in the cart then.
func (p *Placer) open(ctx context.Context, c *call, o *Order) (*run, *Order, error) {
	for delay := clockTick; ; delay = min(2*delay, slowTick) {
		charge, err := p.reserveCharge(ctx)
		if err != nil {
			answer, err := p.replayIfEmptied(ctx, c, p.held(&Error{Kind: ErrUnavailable, Step: StepCharge, Err: err}))
			return nil, answer, err
		}
		conflict, err := p.insert(ctx, o, charge)
		if conflict != nil || err != nil {
			p.charges.end(charge)
		}
		switch {
		case errors.Is(err, ErrUnsent):
			return nil, nil, err
		case err != nil:
			p.cancel(ctx, c, o, err)
			return nil, nil, err
		case conflict == nil:
			return p.start(c, o, charge), nil, nil
		}
		c.release(ErrBusy)
		if answer, err := p.waitFor(ctx, conflict, o); answer != nil || err != nil {
			return nil, answer, err
		}
		wait.For(ctx, p.jitter(delay))
		if err := p.admit(ctx, c); err != nil {
			return nil, nil, err
		}
		if o, err = p.price(ctx, c.request); err != nil {
			answer, err := p.replayIfEmptied(ctx, c, err)
			return nil, answer, err
		}
	}
}

// insert records the order as its user's latest, unless another one is in the way. After an error, but for ErrUnsent, it may
// be on record or not.
func (p *Placer) insert(ctx context.Context, o *Order, charge timing) (conflict *Order, err error) {
	defer caught(&err)
	opening := Opening{Order: o, Hold: lease, CartRead: o.Created}
	conflict, err = p.Store.Open(ctx, opening)
	if conflict != nil && conflict.canBeSuperseded(o) {
		opening.Supersede = conflict.ID
		conflict, err = p.Store.Open(ctx, opening)
	}
	if err == nil && conflict == nil {
		err = charge.inTime(ctx) // the store may have taken long
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		p.unrecorded.Store(err != nil)
	}
	if err != nil {
		return nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err, MayBePaid: true}
	}
	return conflict, nil
}

// held is the failure of an order for which there was no place or time. While orders cannot be recorded that is the reason, because
// those hold their places until their cancellation is on record.
func (p *Placer) held(failure error) error {
	if p.unrecorded.Load() {
		return &Error{Kind: ErrUnavailable, Step: StepRecord, Err: failure, MayBePaid: true}
	}
	return failure
}

// leastTime is what must be left to a caller beside the recent duration of charges; with less it would not get the answer.
const leastTime = 100 * time.Millisecond

// reserveCharge counts a charge as under way. It fails if the caller has left, or has too little time left for it.
func (p *Placer) reserveCharge(ctx context.Context) (timing, error) {
	left := time.Duration(math.MaxInt64)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	charge, ok := p.charges.reserve(left - leastTime)
	err := charge.inTime(ctx)
	if ok && err != nil {
		p.charges.end(charge)
	}
	return charge, err
}

// inTime fails if the caller has left, or has too little time left for the charge and its answer.
func (t timing) inTime(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < leastTime+t.expected {
		return fmt.Errorf("%w: it takes up to %v", ErrTooLate, (leastTime + t.expected).Round(time.Millisecond))
	}
	return ctx.Err()
}

// cancel records that an order was not and will not be charged, whether or not its intent has reached the record. Only this
// process knows, so it tries until it is done. Until then the call keeps its place, which limits how many such orders there are.
func (p *Placer) cancel(ctx context.Context, c *call, o *Order, failure error) {
	release, failure := c.handOver(), outcome(ctx, failure)
	p.runs.Go(func() {
		defer release(failure)
		r := &run{Placer: p, order: o}
		r.report(ctx, Guard(func() error {
			_ = r.recordOutcome(ctx, Cancelled, "never charged: it could not be recorded in time")
			r.retryRecord(ctx)
			return nil
		}))
	})
}

// CutOff ends the runs of the orders in progress: they are recorded as they are, and their callers are answered. Orders that a
// slow record has not taken after closeTime are as after a crash.
func (p *Placer) CutOff() {
	p.end()
	time.AfterFunc(closeTime, p.stopRecording)
}

// Close waits for the orders under way until ctx ends; then it cuts them off. Nothing may be placed any more when it is
// called, and Recover must have returned.
func (p *Placer) Close(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.runs.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	p.CutOff()
	<-ended
	p.stopRecording()
}
