package order

import (
	"context"
	"errors"
	"sync"
	"time"
)

// World is what a Placer needs of it.
type World struct {
	Pricer    Pricer
	Store     Store
	Payment   Payment
	Carrier   Carrier
	Cart      Cart
	Mail      Mail
	Events    Events // nil when the shop has no broker: then no event is owed
	Admission Admission

	// Report is told of failures that no caller waits for. It must not be nil.
	Report func(ctx context.Context, id ID, err error)
}

// Placer places orders, and sees them through.
type Placer struct {
	World
	deliveries chan struct{} // a place for each order that makes its deliveries right after its answer

	flights sync.WaitGroup
	life    context.Context // ends when flights must
	end     context.CancelFunc
}

// deliveriesAtOnce bounds the orders whose deliveries are under way. What does not fit is in the store anyway, and is
// taken up by recovery.
const deliveriesAtOnce = 256

// NewPlacer makes a Placer. Close it.
func NewPlacer(w World) *Placer {
	p := &Placer{World: w, deliveries: make(chan struct{}, deliveriesAtOnce)}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Place turns the customer's cart into a paid order that is on its way. Its error is an *Error.
//
// An order whose parcel could not be sent in time is returned as it is, in state Charged: it is safe, and goes on.
func (p *Placer) Place(ctx context.Context, req Request) (*Order, error) {
	if err := req.Validate(time.Now()); err != nil {
		return nil, err
	}
	release, err := p.Admission.Admit(ctx)
	if err != nil {
		return nil, fail(ErrOverloaded, "", err)
	}
	// Reading and adding up: nothing has moved yet, and the caller may hang up.
	o, err := p.open(ctx, req)
	if err != nil {
		p.abandon(ctx, o, release)
		return nil, err
	}
	// Money and parcels move. The caller may hang up; we may not.
	return p.depart(ctx, o, req.Card, release).wait(ctx)
}

// leastTime is what must be left to a caller for a charge to be started: less, and they would never hear of it.
const leastTime = 100 * time.Millisecond

// open prices the order and records the intent to charge it. From then on a crash is somebody's work. An order that
// comes with an error may be on record, or not.
func (p *Placer) open(ctx context.Context, req Request) (o *Order, err error) {
	defer caught(&err)
	o, err = p.Pricer.Price(ctx, req)
	if err != nil {
		return nil, fail(ErrInternal, "", err)
	}
	if err := inTime(ctx); err != nil {
		return nil, &Error{Kind: ErrUnavailable, Step: StepCharge, Err: err}
	}
	if err := p.Store.Open(ctx, o, lease); err != nil {
		return o, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	}
	if err := inTime(ctx); err != nil { // the store has taken long
		return o, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	}
	return o, nil
}

// inTime tells whether the caller is there, and will be for as long as it takes to hear of a charge.
func inTime(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < leastTime {
		return errors.New("too little time left to charge")
	}
	return ctx.Err()
}

// abandon gives up an order that will never be charged, and its place. If it may be on record that is recorded, so that
// it does not look as if it had been charged.
func (p *Placer) abandon(ctx context.Context, o *Order, release func()) {
	if o == nil {
		release()
		return
	}
	p.flights.Go(func() {
		defer release()
		f := &flight{Placer: p, order: o}
		err := guard(func() error { return f.record(ctx, Declined, "never charged: it could not be recorded in time") })
		if !errors.Is(err, ErrFenced) { // it never was on record
			f.report(ctx, err)
		}
	})
}

// Close waits for the orders under way until ctx ends; then it lets go of them, recorded as they are. Nothing may be
// placed any more when it is called, and Recover must have returned.
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
	p.end()
	<-landed
}
