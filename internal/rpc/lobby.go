package rpc

import (
	"context"
	"time"
)

// tooLate tells whether an order that arrives now would be finished too late because of those who wait.
func (c *call) tooLate(deadline time.Time) bool {
	if c.queue == nil || deadline.IsZero() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lobby.Len() == 0 { // the admission will tell
		return false
	}
	ahead, rank := c.queue.Waiting(), c.client.Rank()
	for e := c.lobby.Front(); e != nil && e.Value.(*call).rank <= rank; e = e.Next() {
		ahead++
	}
	return c.queue.TooLate(ahead, deadline)
}

// start notes that the call has a goroutine, and has an order wait in the lobby if it has to. It fails if another call has got the
// call's place.
func (c *call) start(ctx context.Context) bool {
	c.await()
	waits, dismissed := c.toLobby()
	if waits {
		return c.waitInLobby(ctx)
	}
	return !dismissed
}

// toLobby gives an order that has to wait its place in the lobby.
func (c *call) toLobby() (waits, dismissed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside == nil || !c.order || c.queue == nil || c.lobby.Len() == 0 && c.queue.Waiting() < ready {
		return false, c.dismissed
	}
	c.arrived() // the message of a call that waits is not read
	c.called = make(chan struct{})
	after := c.lobby.Back()
	for after != nil && after.Value.(*call).rank > c.rank {
		after = after.Prev()
	}
	if after == nil {
		c.turn = c.lobby.PushFront(c)
	} else {
		c.turn = c.lobby.InsertAfter(c, after)
	}
	c.lookLater()
	return true, false
}

// waitInLobby waits until most of the order's time is over, at most.
func (c *call) waitInLobby(ctx context.Context) bool {
	var patience <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(c.came.Add(deadline.Sub(c.came) * 3 / 4)))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-c.called:
	case <-patience:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != nil {
		c.lobby.Remove(c.turn)
		c.turn = nil
	}
	if c.dismissed {
		return false
	}
	c.await()
	return true
}

// lookLater sees to those in the lobby.
func (r *room) lookLater() {
	if r.looking || r.lobby.Len() == 0 {
		return
	}
	r.looking = true
	time.AfterFunc(lobbyEvery, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.looking = false
		for n := r.queue.Waiting(); n < ready && r.lobby.Len() > 0; n++ {
			c := r.lobby.Remove(r.lobby.Front()).(*call)
			c.turn = nil
			close(c.called)
		}
		r.lookLater()
	})
}
