package order

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"checkout/internal/money"
	"checkout/internal/wait"
)

// Asking twice. A request asks for the same order as another when it has the same idempotency key or, without one, when it
// comes while the user's order is under way, or when the cart is empty because that order was placed.

// terms are what a request asks for. The card does not count: it is not on record. Neither do the contents of the cart: they
// may be gone.
type terms struct {
	userID, key string
	currency    money.Currency
	email       EmailAddress
	address     Address
}

func (r Request) terms() terms { return terms{r.UserID, r.Key, r.Currency, r.Email, r.Address} }
func (o *Order) terms() terms  { return terms{o.UserID, o.Key, o.Currency, o.Email, o.Address} }

// existing answers a request that asks for the same order as another one: as one that is being placed in this process, or as
// one on record that has the same key. Otherwise it returns the call that is to place the order: the user's only one in this
// process, and admitted.
func (p *Placer) existing(ctx context.Context, req Request) (*call, *Order, error) {
	c, answer, err := p.joinInFlight(ctx, req)
	if c == nil {
		return nil, answer, err
	}
	if c.declined, err = p.Admission.Allow(req); err != nil {
		err = Fail(ErrOverloaded, "", err)
	} else if err = p.admit(ctx, c); err == nil && req.Key != "" {
		answer, err = p.replay(ctx, c)
	}
	if answer != nil || err != nil {
		c.end(ctx, answer, err)
		return nil, answer, err
	}
	return c, nil, nil
}

// admit waits until the order may be placed.
func (p *Placer) admit(ctx context.Context, c *call) error {
	admitted, err := p.Admission.Admit(ctx)
	if err != nil {
		return Fail(ErrOverloaded, "", err)
	}
	c.admitted = admitted
	return nil
}

// calls are those that place an order, or those that price a cart, by user: one of each in this process. Who asks for the same meanwhile gets the same
// answer, and who asks for something else waits: without a place in the admission, and without a question to anybody. What
// happens in other processes is seen on record.
type calls struct {
	mu      sync.Mutex
	placing map[string]*call
	joined  atomic.Int64 // that wait for another call or its order
}

// call is a call of Place that places an order.
type call struct {
	*calls

	request Request
	began   time.Time
	waiters int
	run     atomic.Pointer[run] // once the order is on record
	ended   chan struct{}       // closed when the rest is known

	declined func()              // to be called when its card is; nil: nobody counts
	admitted func(failure error) // to be called when it is under way no longer; nil: it is not, or its run is
	placed   *Order
	failure  error
	left     bool // its caller has gone: the outcome is nobody else's
}

const (
	// maxWaiters is how many calls of a user may wait for one that places an order, and waitTime after how long another one
	// may come again.
	maxWaiters = 32
	waitTime   = time.Second
)

// joinInFlight begins the user's call that places an order, unless there is one: then it waits for that. It returns its answer
// if that is for the same order.
func (p *Placer) joinInFlight(ctx context.Context, req Request) (*call, *Order, error) {
	for {
		c, other, err := p.calls.begin(req, p.MaxJoined-int(p.quotes.joined.Load()))
		if other == nil {
			return c, nil, err
		}
		// Without a key it comes early enough if the cart may be emptied for both.
		same := other.request.terms() == req.terms() && (req.Key != "" || time.Since(other.began) < cartHaste)
		if !other.wait(ctx) {
			answer, err := other.soFar(same)
			return nil, answer, err
		}
		if same && !other.left {
			answer, err := repeated(other.placed, other.failure)
			return nil, answer, err
		}
	}
}

// wait waits for the end of another call, or of ctx. It is for who got that call from begin.
func (c *call) wait(ctx context.Context) (ended bool) {
	defer c.joined.Add(-1)
	select {
	case <-c.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// Joined is how many calls wait for other calls of their users or for their orders, at most MaxJoined. They hold memory, but
// no place in the admission.
func (p *Placer) Joined() int {
	return min(int(p.calls.joined.Load()+p.quotes.joined.Load()), p.MaxJoined)
}

// begin begins a call of the user, or returns the one to wait for. It fails when too many do, at most so many of all users.
func (s *calls) begin(req Request, most int) (c, other *call, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other = s.placing[req.UserID]; other != nil {
		if other.waiters == maxWaiters || s.joined.Load() >= int64(most) {
			return nil, nil, &Error{Kind: ErrOverloaded, RetryAfter: waitTime, Err: Limit("too many calls of one user")}
		}
		other.waiters++
		s.joined.Add(1)
		return nil, other, nil
	}
	if s.placing == nil {
		s.placing = make(map[string]*call)
	}
	c = &call{calls: s, request: req, began: time.Now(), ended: make(chan struct{})}
	s.placing[req.UserID] = c
	return c, nil, nil
}

// end ends a call. Without an outcome it has panicked.
func (c *call) end(ctx context.Context, placed *Order, failure error) {
	if placed == nil && failure == nil {
		failure = &Error{Kind: ErrInternal}
	}
	c.release(outcome(ctx, failure))
	c.placed, c.failure, c.left = placed, failure, ctx.Err() != nil
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.placing, c.request.UserID)
	close(c.ended)
}

// outcome is the failure of a call as the admission counts it: that its caller has hung up is nobody else's failure.
func outcome(ctx context.Context, failure error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return failure
}

// release gives the call's place in the admission back, if it has one.
func (c *call) release(failure error) {
	if c.admitted != nil {
		c.handOver()(failure)
	}
}

// handOver returns how to give the call's place back, which is now up to somebody else.
func (c *call) handOver() func(failure error) {
	admitted := c.admitted
	c.admitted = nil
	return admitted
}

// soFar is the answer to a call whose time is over while it waits for this one.
func (c *call) soFar(same bool) (*Order, error) {
	c.mu.Lock()
	c.waiters--
	c.mu.Unlock()
	r := c.run.Load()
	switch {
	case r == nil:
		return nil, &Error{Kind: ErrBusy}
	case same:
		return r.recorded.Load().repeated()
	}
	return nil, &Error{Kind: ErrBusy, OrderID: r.recorded.Load().ID}
}

// replay is the answer of the order that was placed with the call's key, if there is one. It is waited for without a place in
// the admission.
func (p *Placer) replay(ctx context.Context, c *call) (*Order, error) {
	o, err := p.lookup(ctx, c.request)
	if o == nil || err != nil {
		return nil, err
	}
	c.release(ErrBusy)
	return p.replayAnswer(ctx, o, c.request.terms())
}

// emptyCartTime is for how long an empty cart is taken for a lost answer, when there is no key to tell.
const emptyCartTime = 24 * time.Hour

// replayIfEmptied answers a call that could not be priced. If its cart is empty the answer may be that of the order that has
// emptied it.
func (p *Placer) replayIfEmptied(ctx context.Context, c *call, failure error) (*Order, error) {
	c.release(outcome(ctx, failure))
	if !errors.Is(failure, ErrEmptyCart) {
		return nil, failure
	}
	req := c.request
	o, err := p.lookup(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case o == nil, req.Key == "" && (!o.mayHaveEmptiedCart() || o.terms() != req.terms()):
		return nil, failure
	}
	return p.replayAnswer(ctx, o, req.terms())
}

// mayHaveEmptiedCart tells whether the order has emptied the cart lately, or was about to.
func (o *Order) mayHaveEmptiedCart() bool {
	switch o.State {
	case Charging, Charged, Placed, Completed, Undelivered:
		return time.Since(o.Created) < emptyCartTime
	case Declined, InDoubt, Refunding, Refunded, Cancelled, Parked:
	}
	return false
}

// lookup returns the order of the request's key or, without one, the user's latest; nil if there is none.
func (p *Placer) lookup(ctx context.Context, req Request) (*Order, error) {
	o, err := p.Store.Find(ctx, req.UserID, req.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}
	}
	return o, nil
}

// replayAnswer waits for the answer of an order that was asked for before.
func (p *Placer) replayAnswer(ctx context.Context, o *Order, asked terms) (*Order, error) {
	if o.terms() != asked {
		return nil, &Error{Kind: ErrKeyReused, OrderID: o.ID}
	}
	return p.await(ctx, o, p.answered).repeated()
}

// waitFor waits until an order is out of the way of the next one. If that is the same purchase the answer is that of the
// order, unless that was placed and its cart has been dealt with: then only the cart can tell whether this is the same once
// more.
func (p *Placer) waitFor(ctx context.Context, conflict, next *Order) (*Order, error) {
	if next.Key != "" && conflict.Key == next.Key {
		return p.replayAnswer(ctx, conflict, next.terms())
	}
	same := conflict.terms() == next.terms() && sameLines(next.Lines(), conflict.Items)
	began := time.Now().Round(0)
	soon := func() bool { return time.Since(began) < cartHaste }
	o := p.await(ctx, conflict, func(o *Order) bool {
		return o.Settled() || p.requiresOperator(o.State) || same && p.answered(o) && (o.State == Charged || !soon())
	})
	emptied := (o.State == Placed || o.State == Completed) && o.Settled() && soon()
	switch {
	case same && !emptied: // or, after so long, perhaps not emptied at all
		return o.repeated()
	case o.Settled():
		return nil, nil
	case p.requiresOperator(o.State) && o.failure() != nil: // and it cannot be superseded: money may have moved for the very same things
		return o.repeated()
	}
	return nil, &Error{Kind: ErrBusy, OrderID: o.ID}
}

// answered tells whether callers need not wait for the order any longer.
func (p *Placer) answered(o *Order) bool {
	switch o.State {
	case Charging:
		return false
	case Charged:
		return o.Attempts > 0 // its first caller has been answered, too
	case InDoubt, Refunding:
		return p.requiresOperator(o.State)
	case Placed, Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
	}
	return true
}

// await follows an order that somebody else works on, perhaps in another process, until done or ctx ends. It returns the
// order as it was last seen.
func (p *Placer) await(ctx context.Context, o *Order, done func(*Order) bool) *Order {
	const first, last = 5 * time.Millisecond, 250 * time.Millisecond
	p.calls.joined.Add(1)
	defer p.calls.joined.Add(-1)
	for delay := first; !done(o) && wait.For(ctx, p.jitter(delay)); delay = min(2*delay, last) {
		if fresh, err := p.Store.Get(ctx, o.ID); err == nil {
			o = fresh
		}
	}
	return o
}

// canBeSuperseded tells whether an order that requires an operator may be left behind as its user's latest by the next one.
// Where money may have moved for the very same things, it may not.
func (o *Order) canBeSuperseded(next *Order) bool {
	switch {
	case o.State != InDoubt && o.State != Parked && o.State != Refunding:
		return false
	case o.TransactionID == "" || o.ShipAttempts > 0:
		return !sameLines(next.Lines(), o.Items)
	}
	return o.terms() != next.terms() || !sameLines(next.Lines(), o.Items)
}

// repeated is the outcome of a call as another call gets it.
func repeated(o *Order, err error) (*Order, error) {
	if err == nil {
		return o.repeated()
	}
	if failure, ok := errors.AsType[*Error](err); ok && failure.OrderID != "" {
		again := *failure
		again.Repeated = true
		return nil, &again
	}
	return nil, err
}

// repeated is the answer to another call than the one that placed the order. It says so: an order counts once.
func (o *Order) repeated() (*Order, error) {
	err := o.failure()
	if failure, ok := errors.AsType[*Error](err); ok {
		failure.Repeated = true
		return nil, failure
	}
	answer := *o
	answer.Repeated = true
	return &answer, nil
}

// failure is the answer of an order that is not on its way; nil for one that is.
func (o *Order) failure() error {
	failure := &Error{Step: StepCharge, OrderID: o.ID}
	if o.Reason != "" {
		failure.Err = errors.New(o.Reason)
	}
	if o.TrackingID != "" { // it was placed; if it was refunded later, who asks again gets the answer of before
		return nil
	}
	switch o.State {
	case Charged, Placed, Completed, Undelivered:
		return nil
	case Parked:
		switch {
		case o.TransactionID == "":
			failure.Kind = ErrInDoubt
		case o.ShipAttempts > 0: // it is paid, and may have been shipped
			return nil
		default:
			failure.Kind, failure.Step = ErrUnshippable, StepShip
		}
	case Charging, InDoubt:
		failure.Kind = ErrInDoubt
	case Declined:
		failure.Kind = ErrDeclined
	case Cancelled:
		failure.Kind = ErrPaymentUnreachable
	case Refunded:
		failure.Kind, failure.Step = ErrRefunded, StepShip
	case Refunding:
		failure.Kind = ErrInDoubt
		if o.TransactionID != "" {
			failure.Kind, failure.Step = ErrUnshippable, StepShip
		}
	}
	return failure
}
