package order

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// calls are those in this process that place an order or price a cart: one of each per user. Meanwhile, the same request of that
// user gets the same answer, and another one waits, without a place in the admission and without calls to services. What
// happens in other processes is seen on record.
type calls struct {
	mu     sync.Mutex
	byTurn map[turn]*call
	joined atomic.Int64 // that wait for another call or its order
}

// turn is what one call at a time has.
type turn struct {
	userID string
	quote  bool // a cart is priced; false: an order is placed
}

// call is a call that has its user's turn.
type call struct {
	*calls

	turn    turn
	request Request
	began   time.Time
	waiters int
	run     atomic.Pointer[run] // once the order is on record
	ended   chan struct{}       // closed when the rest is known

	declined func()              // to be called when its card is; nil: declines are not counted
	admitted func(failure error) // to be called when it is under way no longer; nil: it is not, or its run is
	placed   *Order
	failure  error
	left     bool // its caller has left: other callers do not share the outcome
}

const (
	// maxWaiters is how many calls of a user may wait for one that places an order, and waitTime after how long another one
	// may come again.
	maxWaiters = 32
	waitTime   = time.Second
)

// joinInFlight begins a call when it is the user's turn: while another one has it, it waits for that. It returns the other
// one's answer if that has placed the same order.
func (p *Placer) joinInFlight(ctx context.Context, req Request, quote bool) (*call, *Order, error) {
	for {
		c, other, err := p.calls.begin(turn{req.UserID, quote}, req, p.MaxJoined)
		if other == nil {
			return c, nil, err
		}
		// Without a key it comes early enough if the cart may be emptied for both.
		same := !quote && other.request.terms() == req.terms() && (req.Key != "" || time.Since(other.began) < cartHaste)
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

// wait waits for the end of another call, which begin returned, or of ctx.
func (c *call) wait(ctx context.Context) (ended bool) {
	defer c.joined.Add(-1)
	select {
	case <-c.ended:
		return true
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiters--
		return false
	}
}

// Joined is how many calls wait for other calls of their users or for their orders, at most MaxJoined. They hold memory, but
// no place in the admission.
func (p *Placer) Joined() int {
	return min(int(p.calls.joined.Load()), p.MaxJoined)
}

// begin begins a call, or returns the one to wait for. It fails when too many do, at most so many of all users.
func (s *calls) begin(t turn, req Request, most int) (c, other *call, err error) {
	c = &call{calls: s, turn: t, request: req, began: time.Now(), ended: make(chan struct{})} // not with the lock in hand
	s.mu.Lock()
	defer s.mu.Unlock()
	if other = s.byTurn[t]; other != nil {
		if other.waiters == maxWaiters || s.joined.Load() >= int64(most) {
			return nil, nil, &Error{Kind: ErrOverloaded, RetryAfter: waitTime, Err: Limit("too many calls of one user")}
		}
		other.waiters++
		s.joined.Add(1)
		return nil, other, nil
	}
	if s.byTurn == nil {
		s.byTurn = make(map[turn]*call)
	}
	s.byTurn[t] = c
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
	delete(c.byTurn, c.turn)
	close(c.ended)
}

// outcome is the failure of a call as the admission counts it: that its caller has hung up is not the failure of others.
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

// handOver returns the function that gives the call's place back; from now on its receiver has to call it.
func (c *call) handOver() func(failure error) {
	admitted := c.admitted
	c.admitted = nil
	return admitted
}

// soFar is the answer to a call whose time is over while it waits for this one.
func (c *call) soFar(same bool) (*Order, error) {
	r := c.run.Load()
	switch {
	case r == nil:
		return nil, &Error{Kind: ErrBusy, MayBePaid: true}
	case same:
		return r.recorded.Load().repeated()
	}
	return nil, &Error{Kind: ErrBusy, OrderID: r.recorded.Load().ID, MayBePaid: true}
}
