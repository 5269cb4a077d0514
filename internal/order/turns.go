package order

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"checkout/internal/creditcard"
)

// turns let a user place one order at a time in this process. Who asks for the same meanwhile gets the same answer, and who
// asks for something else waits: without a place in the admission, and without a question to anybody. What happens in other
// processes is seen on record.
type turns struct {
	mu     sync.Mutex
	placed map[string]*turn // by user
}

// turn is a call that places an order of its user.
type turn struct {
	asked   Request // without the card
	began   time.Time
	waiting int                    // calls
	order   atomic.Pointer[flight] // once it is on record
	over    chan struct{}          // closed when the rest is known

	declined func() // to be called when its card is; nil: nobody counts
	placed   *Order
	failure  error
	own      bool // the outcome is its caller's own: they have gone
}

// maxWaiting is how many calls of a user may wait for one that places an order.
const maxWaiting = 32

// waitTime is when a call of a user is told to come again that finds as many.
const waitTime = time.Second

// take makes it req's turn, or returns whose it is. It fails when too many wait for that one.
func (t *turns) take(req Request) (mine, other *turn, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other = t.placed[req.UserID]; other != nil {
		if other.waiting == maxWaiting {
			return nil, nil, &Error{Kind: ErrOverloaded, RetryAfter: waitTime, Err: errors.New("too many calls of one user")}
		}
		other.waiting++
		return nil, other, nil
	}
	if t.placed == nil {
		t.placed = make(map[string]*turn)
	}
	req.Card = creditcard.Card{}
	mine = &turn{asked: req, began: time.Now(), over: make(chan struct{})}
	t.placed[req.UserID] = mine
	return mine, nil, nil
}

// end ends a turn.
func (t *turns) end(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.placed, mine.asked.UserID)
	close(mine.over)
}

// leave notes that a call waits no longer.
func (t *turns) leave(other *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	other.waiting--
}

// place places an order when it is the user's turn, unless another call's order turns out to be the same.
func (t *turns) place(ctx context.Context, req Request, place func(*turn) (*Order, error)) (*Order, error) {
	for {
		mine, other, err := t.take(req)
		if err != nil {
			return nil, err
		}
		if mine != nil {
			defer t.end(mine)
			mine.own, mine.failure = true, ErrInternal // should it panic
			mine.placed, mine.failure = place(mine)
			mine.own = ctx.Err() != nil
			return mine.placed, mine.failure
		}
		same := other.isFor(req)
		select {
		case <-other.over:
			if same && !other.own {
				return repeat(other.placed, other.failure)
			}
		case <-ctx.Done():
			t.leave(other)
			return other.soFar(same)
		}
	}
}

// isFor tells whether what req asks for is the order of this turn: the request is the same, and without a key it comes so
// early that the cart may be emptied for both.
func (t *turn) isFor(req Request) bool {
	asked := t.asked
	same := req.Key == asked.Key && req.Currency == asked.Currency && req.Email == asked.Email && req.Address == asked.Address
	return same && (req.Key != "" || time.Since(t.began) < cartHaste)
}

// soFar is the answer to a call whose time is over before the turn is.
func (t *turn) soFar(same bool) (*Order, error) {
	f := t.order.Load()
	switch {
	case f == nil:
		return nil, &Error{Kind: ErrBusy}
	case same:
		return f.recorded.Load().repeat()
	}
	return nil, &Error{Kind: ErrBusy, OrderID: f.recorded.Load().ID}
}

// repeat is the outcome of a call as another call is told it.
func repeat(o *Order, err error) (*Order, error) {
	if err == nil {
		return o.repeat()
	}
	if failure, ok := errors.AsType[*Error](err); ok && failure.OrderID != "" {
		again := *failure
		again.Repeated = true
		return nil, &again
	}
	return nil, err
}
