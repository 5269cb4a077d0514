// Package fair shares a server between its clients by weighted fair queueing: calls are served in the order of their ranks. A
// client's ranks grow with each of its calls, so that the thousandth call of one client waits longer than the first of another.
// They grow faster if its calls fail, and more slowly if they succeed.
package fair

import (
	"context"
	"sync/atomic"
)

const (
	// extreme is how many times more a call weighs than one of an unknown client if all calls of its client fail, and how
	// many times less if all succeed.
	extreme = 32
	// memory is how many calls are remembered of a client, about.
	memory = 128
	// mostStuck is how many answers may wait for a client that does not take them.
	mostStuck = 4
)

// Clients are those of a server. The zero value has none. Neither they nor a Client may be used concurrently.
type Clients struct {
	now float64 // the rank of the latest call that was begun
}

// Client is one of them: a connection. A nil Client is an unknown one.
type Client struct {
	all    *Clients
	hangUp func()

	last         float64 // the rank of its latest call
	held         int     // places
	served, vain int     // calls
	stuck        int     // answers that it does not take
	proven       atomic.Bool
}

// New makes an unknown client. hangUp closes its connection.
func (all *Clients) New(hangUp func()) *Client { return &Client{all: all, hangUp: hangUp} }

type clientKey struct{}

// With returns a context of calls of that client.
func With(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// Of returns the client of a call.
func Of(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

type rankKey struct{}

// WithRank returns a context of a call with that rank.
func WithRank(ctx context.Context, rank float64) context.Context {
	return context.WithValue(ctx, rankKey{}, rank)
}

// Rank is that of a call.
func Rank(ctx context.Context) float64 {
	rank, _ := ctx.Value(rankKey{}).(float64)
	return rank
}

// Share is the client's part of the server, with so many more places, weighted by the success of its calls.
func (c *Client) Share(more int) float64 {
	if c == nil {
		return 0
	}
	return float64(c.held+more) * c.weight()
}

// Holds reports whether the client has any places.
func (c *Client) Holds() bool { return c == nil || c.held > 0 }

// Rank is that of the client's next call.
func (c *Client) Rank() float64 {
	if c == nil {
		return 0
	}
	return max(c.last, c.all.now) + c.weight()
}

// Enter gives a call places, and returns its rank.
func (c *Client) Enter(places int) (rank float64) {
	if c == nil {
		return 0
	}
	c.held += places
	c.last = c.Rank()
	return c.last
}

// Begin begins a call.
func (c *Client) Begin(rank float64) {
	if c != nil {
		c.all.now = max(c.all.now, rank)
	}
}

// Leave gives a call's places back.
func (c *Client) Leave(places int) {
	if c != nil {
		c.held -= places
	}
}

// End ends a call.
func (c *Client) End(served bool) {
	if c == nil {
		return
	}
	if served {
		c.served++
		c.stuck = 0 // a client that takes an answer is only slow: its other orders must be answered
	} else {
		c.vain++
	}
	if c.served+c.vain > memory {
		c.served, c.vain = c.served/2, c.vain/2
	}
	c.proven.Store(c.served > c.vain)
}

// Stuck counts an answer that the client does not take. If there are too many, its connection is closed.
func (c *Client) Stuck() {
	if c == nil {
		return
	}
	if c.stuck++; c.stuck > mostStuck {
		c.hangUp()
	}
}

// Unstuck counts one that it has taken after all.
func (c *Client) Unstuck() {
	if c != nil {
		c.stuck = max(c.stuck-1, 0)
	}
}

// Proven reports whether more of the client's calls succeeded than failed. It needs no guard.
func (c *Client) Proven() bool { return c != nil && c.proven.Load() }

// weight is that of a call.
func (c *Client) weight() float64 {
	weight := float64(1+c.vain) / float64(1+c.served)
	return min(max(weight, 1./extreme), extreme)
}
