package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"checkout/internal/fair"
	"checkout/internal/wait"
)

// call is a call in a room.
type call struct {
	*room

	places int
	watch  bool // a health check that watches
	check  bool // one that does not
	order  bool
	came   time.Time
	client *fair.Client
	rank   float64
	over   context.CancelFunc

	// Of its goroutine.
	refusal error // why it found no room
	sends   bool  // it has an answer
	placed  bool  // it has placed an order

	// Guarded by the room's mutex.
	phase   phase
	counted bool          // among the late ones
	since   time.Time     // when that began
	at      int           // its index in room.inside
	called  chan struct{} // closed when it must leave the lobby
	sent    bool          // its answer has left
	isStuck bool          // its answer has waited for too long, without a place
}

// phase is what a call does or waits for.
type phase int

const (
	outside   phase = iota // it has no places
	entered                // waits for a goroutine
	waiting                // waits for its turn, in the lobby
	receiving              // waits for its message
	working                // is being handled
	answering              // waits until its answer has left

	phases = iota
)

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// enter takes the call's places.
func (c *call) enter() {
	c.at = len(c.inside)
	c.inside = append(c.inside, c)
	c.taken += c.places
	c.rank = c.client.Enter(c.places)
	if c.watch {
		c.watches++
	}
	c.move(entered)
	c.sweeps.Start(slowMessage, c.sweep)
}

// leave gives them back.
func (c *call) leave() {
	if c.phase == outside {
		return
	}
	last := len(c.inside) - 1
	c.inside[c.at] = c.inside[last]
	c.inside[c.at].at = c.at
	c.inside[last] = nil
	c.inside = c.inside[:last]
	c.taken -= c.places
	c.client.Leave(c.places)
	if c.watch {
		c.watches--
	}
	c.move(outside)
}

func (c *call) move(to phase) {
	if c.counted {
		c.late -= c.places
		c.counted = false
	}
	if c.order {
		c.orders[c.phase]--
		c.orders[to]++
	}
	c.phase, c.since = to, time.Now()
}

// waits reports whether the call may lose its place because it only waits: for its turn, or for its client to send the message or
// take the answer. In an overload, busy clients are late as well, so the latter is for unproven clients only. A health check has
// the time that its message needs.
func (c *call) waits() bool {
	switch c.phase {
	case waiting:
		return true
	case answering:
		return !c.client.Proven()
	case entered, receiving:
		return !c.client.Proven() && !c.check
	case outside, working:
	}
	return false
}

// isWaitingOrder reports whether the call waits and is an order without an answer.
func (c *call) isWaitingOrder() bool { return c.order && c.phase != answering && c.waits() }

// isLate reports whether the call's message is late. A proven client may be busy.
func (c *call) isLate() bool {
	late := slowMessage
	if c.client.Proven() {
		late = lateMessage
	}
	return c.phase == receiving && time.Since(c.since) >= late
}

// dismiss takes the places of a call that waits.
func (c *call) dismiss() {
	switch c.phase {
	case waiting:
		c.call()
	case receiving:
		c.over()
	case answering: // a client that is only busy takes it soon, and must get the answers of its other orders
		time.AfterFunc(lateAnswer, c.stuck)
	case outside, entered, working:
	}
	c.leave()
}

// received notes that the call's message is here.
func (c *call) received() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == receiving {
		c.move(working)
		c.client.Begin(c.rank)
	}
}

// rest lets the answer of a declined charge wait, without a place, so that its time tells nothing of the card. When too many
// calls have no place it does not.
func (c *call) rest(ctx context.Context) {
	c.mu.Lock()
	waits := c.resting+c.joined() < c.size/2
	if waits {
		c.resting++
		c.leave()
	}
	c.mu.Unlock()
	if !waits {
		return
	}
	wait.For(ctx, declineStep-time.Since(c.came)%declineStep)
	c.mu.Lock()
	c.resting--
	c.mu.Unlock()
}

// end ends the call. While its answer has not left it keeps its places.
func (c *call) end(failure error) {
	c.over()
	c.mu.Lock()
	defer c.mu.Unlock()
	if failure == nil && c.sends && !c.sent && c.phase != outside {
		c.move(answering)
		return
	}
	switch status.Code(failure) {
	case codes.OK:
		c.served()
	case codes.ResourceExhausted, codes.FailedPrecondition:
	default: // it was in vain
		c.client.End(false)
	}
	c.leave()
}

// served counts a call that was answered, if it has placed an order: what costs nothing says nothing of a client.
func (c *call) served() {
	if c.placed {
		c.client.End(true)
	}
}

// TagRPC implements stats.Handler: a goroutine takes the call up. It may have to wait for that in the lobby.
func (r *room) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	c := callOf(ctx)
	if c == nil || c.start(ctx) {
		return ctx
	}
	c.refusal = c.refused(ctx, info.FullMethodName)
	unobserved, cancel := context.WithCancel(ctx)
	cancel()
	return unobserved
}

// HandleRPC implements stats.Handler.
func (r *room) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, over := event.(*stats.End)
	c := callOf(ctx)
	switch {
	case !over || c == nil:
	case c.refusal != nil:
		c.over()
	default:
		c.end(end.Error)
	}
}

// TagConn implements stats.Handler.
func (r *room) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler. Answers that could not be sent before the connection was closed need no places any more.
func (r *room) HandleConn(ctx context.Context, event stats.ConnStats) {
	client := fair.Of(ctx)
	if _, over := event.(*stats.ConnEnd); !over || client == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.inside) - 1; i >= 0; i-- {
		if c := r.inside[i]; c.client == client && c.phase == answering {
			c.leave()
		}
	}
}

// unary is a grpc.UnaryServerInterceptor. Nothing is done for a caller who has gone.
func (r *room) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if r.gone(ctx) {
		return nil, status.FromContextError(context.Canceled).Err()
	}
	c := callOf(ctx)
	if c == nil {
		return handle(ctx, req)
	}
	c.received()
	resp, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	return c.answer(resp), nil
}

// stream is a grpc.StreamServerInterceptor. Health checks end some time.
func (r *room) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := stream.Context()
	if info.FullMethod == grpc_health_v1.Health_Watch_FullMethodName {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, watchTime)
		defer cancel()
	}
	return handle(srv, incoming{bounded{stream, ctx}})
}

// incoming is a stream that tells its call when the caller's message is here.
type incoming struct{ bounded }

func (s incoming) RecvMsg(m any) error {
	err := s.bounded.RecvMsg(m)
	if c := callOf(s.Context()); c != nil {
		c.received()
	}
	return err
}
