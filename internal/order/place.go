package order

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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
	// ShipAttempts is how many attempts to ship an order may each have made a parcel, at most. 0: the carrier honours keys, so
	// that an order is one parcel however often it is sent.
	ShipAttempts int
	Cart         Cart
	Email        Email
	Events       Events // nil when the shop has no broker: then no event is owed
	Admission    Admission
	Customers    Customers // nil: everybody may ask for anything

	// Background is how many orders make their deliveries at once, and how many of each queue recovery takes up at once. While
	// e-mail or the broker is slow each of them holds memory; what does not fit is on record, and recovery takes it up. 0: 128.
	Background int

	// Retention is how long a finished order's record is kept, and its key remembered. 0: seven days.
	Retention time.Duration

	// Report is told of failures that no caller waits for. It must not be nil.
	Report func(ctx context.Context, id ID, err error)
	// Resumed is told of every order that recovery takes up, and then how that went. What it returns is the context of the
	// attempt. Nil: nobody wants to know.
	Resumed func(ctx context.Context, o *Order) (context.Context, func(error))
	// Random returns a number of at least 0 and less than n, so that what failed together does not return together. Nil
	// is math/rand.
	Random func(n int64) int64
}

// Placer places orders, and sees them through.
type Placer struct {
	Dependencies
	turns      turns
	charges    pace
	deliveries chan struct{} // a place for each order that makes its deliveries right after its answer

	flights       sync.WaitGroup
	life          context.Context // ends when flights must
	end           context.CancelFunc
	recording     context.Context // ends closeTime after life
	stopRecording context.CancelFunc
}

// closeTime is how long the record may take for the orders that are cut off when the service ends.
const closeTime = 2 * time.Second

// defaultRetention is Dependencies.Retention where that is not set.
const defaultRetention = 7 * 24 * time.Hour

// defaultBackground is Dependencies.Background where that is not set.
const defaultBackground = 128

// NewPlacer makes a Placer. Close it.
func NewPlacer(w Dependencies) *Placer {
	if w.Random == nil {
		w.Random = rand.Int64N
	}
	if w.Resumed == nil {
		w.Resumed = func(ctx context.Context, _ *Order) (context.Context, func(error)) { return ctx, func(error) {} }
	}
	if w.Retention <= 0 {
		w.Retention = defaultRetention
	}
	if w.Background <= 0 {
		w.Background = defaultBackground
	}
	p := &Placer{Dependencies: w, deliveries: make(chan struct{}, w.Background)}
	p.Payment = pacedPayment{w.Payment, &p.charges}
	p.life, p.end = context.WithCancel(context.Background())
	p.recording, p.stopRecording = context.WithCancel(context.Background())
	return p
}

// Place turns the customer's cart into a paid order that is on its way. Asked again for the same order it gives the same
// answer. Its error is an *Error.
//
// An order whose parcel could not be sent in time is returned as it is, in state Charged: it is safe, and goes on.
func (p *Placer) Place(ctx context.Context, req Request) (*Order, error) {
	req = req.normalized()
	if err := req.Validate(time.Now()); err != nil {
		return nil, err
	}
	return p.turns.place(ctx, req, func(mine *turn) (*Order, error) { return p.place(ctx, req, mine) })
}

// place is Place when it is the user's turn.
func (p *Placer) place(ctx context.Context, req Request, mine *turn) (*Order, error) {
	if p.Customers != nil {
		var err error
		if mine.declined, err = p.Customers.Allow(req); err != nil {
			return nil, fail(ErrOverloaded, "", err)
		}
	}
	for delay := tick; ; delay = min(2*delay, longTick) {
		o, rival, err := p.try(ctx, req, mine)
		switch {
		case errors.Is(err, ErrEmptyCart):
			return p.replay(ctx, req, err)
		case rival == nil:
			return o, err
		}
		// Another order of the user stands in the way. It is the answer, or it is waited for.
		if answer, err := p.yield(ctx, rival, o, req); answer != nil || err != nil {
			return answer, err
		}
		wait.For(ctx, p.jitter(delay))
	}
}

// try places the order. If a rival stands in its way it returns that, and what would have been placed if that is known.
func (p *Placer) try(ctx context.Context, req Request, mine *turn) (o, rival *Order, err error) {
	release, err := p.Admission.Admit(ctx)
	if err != nil {
		return nil, nil, fail(ErrOverloaded, "", err)
	}
	// Reading and adding up: nothing has moved yet, and the caller may hang up.
	o, rival, err = p.open(ctx, req)
	switch {
	case rival != nil:
		release(ErrBusy)
		return o, rival, nil
	case err != nil:
		p.abandon(ctx, o, err, release)
		return nil, nil, err
	}
	// Money and parcels move. The caller may hang up; we may not.
	f := p.depart(ctx, o, req.Card, func(failure error) {
		if errors.Is(failure, ErrDeclined) && mine.declined != nil {
			mine.declined()
		}
		release(failure)
	})
	mine.order.Store(f)
	o, err = f.wait(ctx)
	return o, nil, err
}

// leastTime is what must be left to a caller beside the time that a charge takes lately, so that it is started: with less they
// would never hear of it.
const leastTime = 100 * time.Millisecond

// open prices the order and records the intent to charge it, unless a rival stands in the way. From then on a crash is
// somebody's work. An order that comes with an error may be on record or not; one that comes with a rival is not.
func (p *Placer) open(ctx context.Context, req Request) (o, rival *Order, err error) {
	defer caught(&err)
	if before, err := p.before(ctx, req); before != nil || err != nil {
		return nil, before, err
	}
	asked := time.Now() // the cart may be emptied on behalf of another order from here on
	o, err = p.Pricer.Price(ctx, req)
	if err != nil {
		return nil, nil, fail(ErrInternal, "", err)
	}
	if err := p.inTime(ctx); err != nil {
		return nil, nil, &Error{Kind: ErrUnavailable, Step: StepCharge, Err: err}
	}
	if req.Expected != (money.Amount{}) && req.Expected != o.Total {
		return nil, nil, &Error{Kind: ErrPriceChanged, Total: o.Total}
	}
	o.Key = req.Key
	o.tell(HistoryEntry{At: o.Created, State: o.State})
	rival, err = p.Store.Open(ctx, Opening{Order: o, Hold: lease, CartRead: asked})
	if rival != nil && rival.givesWay(o, req) {
		rival, err = p.Store.Open(ctx, Opening{Order: o, Hold: lease, CartRead: asked, Supersede: rival.ID})
	}
	switch {
	case errors.Is(err, ErrUnsent):
		return nil, nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	case err != nil:
		return o, nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	case rival != nil:
		return o, rival, nil
	}
	if err := p.inTime(ctx); err != nil { // the store has taken long
		return o, nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	}
	return o, nil, nil
}

// inTime tells whether the caller is there, and will be for as long as it takes to hear of a charge.
func (p *Placer) inTime(ctx context.Context) error {
	needed := leastTime + p.charges.expected()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < needed {
		return fmt.Errorf("too little time left to charge: it takes up to %v", needed.Round(time.Millisecond))
	}
	return ctx.Err()
}

// abandon gives up an order that will never be charged, and its place. That is recorded if the order may be on record or may
// still get there, so that it does not look as if it had been charged: nobody else knows, so it is tried until it is done.
func (p *Placer) abandon(ctx context.Context, o *Order, failure error, release func(error)) {
	if errors.Is(ctx.Err(), context.Canceled) { // the caller has hung up: that is nobody else's failure
		failure = ctx.Err()
	}
	if o == nil {
		release(failure)
		return
	}
	p.flights.Go(func() {
		defer release(failure) // at last, so that orders that cannot be recorded are not more than may be under way
		f := &flight{Placer: p, order: o}
		f.report(ctx, guard(func() error {
			const why = "never charged: it could not be recorded in time"
			if f.record(ctx, Cancelled, why) != nil {
				f.unrecorded = &HistoryEntry{State: Cancelled, Problem: why}
			}
			f.testify(ctx)
			return nil
		}))
	})
}

// CutOff lets go of the orders under way: they are recorded as they are, and their callers are answered. What a slow record
// has not taken after closeTime is as after a crash.
func (p *Placer) CutOff() {
	p.end()
	time.AfterFunc(closeTime, p.stopRecording)
}

// Close waits for the orders under way until ctx ends; then it cuts them off. Nothing may be placed any more when it is
// called, and Recover must have returned.
func (p *Placer) Close(ctx context.Context) {
	landed := make(chan struct{})
	go func() {
		defer close(landed)
		p.flights.Wait()
	}()
	select {
	case <-landed:
	case <-ctx.Done():
	}
	p.CutOff()
	<-landed
	p.stopRecording()
}
