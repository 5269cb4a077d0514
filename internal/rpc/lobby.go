package rpc

import (
	"context"
	"time"
)

// tooLate reports whether an order that arrives now would be finished too late because of those who wait.
func (c *call) tooLate(deadline time.Time) bool {
	if c.queue == nil || deadline.IsZero() {
		return false
	}
	if c.lobby.Len() == 0 { // the admission will tell
		return false
	}
	return c.queue.TooLate(c.queue.Waiting()+c.lobby.Ahead(c.client.Rank()), deadline)
}

// start notes that the call has a goroutine, after its time in the lobby if it has to wait there. It fails if the call has no place.
func (c *call) start(ctx context.Context) bool {
	called := make(chan struct{}) // before the lock is taken
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.toLobby(called) {
		c.mu.Unlock()
		c.waitInLobby(ctx, called)
		c.mu.Lock()
		c.call()
	}
	if c.phase == outside {
		return false
	}
	c.move(receiving)
	return true
}

// toLobby has an order wait, if it has to, until called is closed.
func (c *call) toLobby(called chan struct{}) bool {
	if c.phase == outside || !c.order || c.queue == nil || c.lobby.Len() == 0 && c.queue.Waiting() < ready {
		return false
	}
	c.move(waiting)
	c.called = called
	c.lobby.Add(c, c.rank)
	c.looks.Start(lobbyEvery, c.look)
	return true
}

// waitInLobby waits until most of the order's time is over, at most.
func (c *call) waitInLobby(ctx context.Context, called <-chan struct{}) {
	var patience <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(c.came.Add(deadline.Sub(c.came) * 3 / 4)))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-called:
	case <-patience:
	case <-ctx.Done():
	}
}

// call has the call leave the lobby.
func (c *call) call() {
	if c.lobby.Remove(c) {
		close(c.called)
	}
}

// look calls those whose turn is soon.
func (r *room) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks.Fired()
	for n := r.queue.Waiting(); n < ready && r.lobby.Len() > 0; n++ {
		r.lobby.First().call()
	}
	if r.lobby.Len() > 0 {
		r.looks.Start(lobbyEvery, r.look)
	}
}
