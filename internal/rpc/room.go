package rpc

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/arrival"
	"checkout/internal/fair"
	"checkout/internal/wait"
)

const (
	// defaultRoom is the room of a server that is made without one.
	defaultRoom = 256
	// probes is how many health checks find a place in a full room.
	probes = 16
	// headerUnit is how many bytes of metadata a call may have for each place that it takes.
	headerUnit = 4 << 10
	// messageTime is how long a call's message may take to arrive, or its answer to leave. After slowMessage it does not count as
	// what keeps the server busy, and is late, but that of a proven client only after lateMessage.
	messageTime = 5 * time.Second
	slowMessage = 100 * time.Millisecond
	lateMessage = time.Second
	// lateAnswer is after how long an answer that has lost its place counts as one that the client does not take.
	lateAnswer = time.Second
	// ready is how many orders wait for their turn in the admission, with all that belongs to them. While there are as many,
	// others wait in the lobby, which is looked at every lobbyEvery.
	ready      = 16
	lobbyEvery = 10 * time.Millisecond
	// arriving is how many calls may be here that neither wait nor are in progress: they are being received or answered. Then
	// connections are not read, and in an overload no further order may wait.
	arriving = 3 * ready
	// refusingAtOnce is how many calls each processor refuses at once, each by a goroutine, before the server is busy. More would
	// only take memory. mostRefusals is the limit. While the server is busy, connections are read so slowly that it is not reached,
	// unless the process was stopped for a while.
	refusingAtOnce = 3
	mostRefusals   = 256
	// declineStep is what the time of a declined charge is rounded up to.
	declineStep = 250 * time.Millisecond
	// watchTime is how long a health check may watch, and watchShare the part of the room that such watches may take.
	watchTime  = 30 * time.Second
	watchShare = 8
	// lateShare is the part of the room for calls whose messages are late.
	lateShare = 4
	// calm is how long an overload lasts after the last order that found no place.
	calm = time.Second
)

// room bounds the calls in a server, those that are still being received among them. One more is refused by what reads its
// connection: before its message is read, and before there is a goroutine, a span or anything else of it. What a call
// holds while it waits is what a small heap has no place for.
//
// While the room is busy, connections are not read: what is in it ends soon, unless orders wait for their turn. A call whose
// message does not arrive, or whose answer is not taken, loses its place after seconds, and much sooner while the room is busy.
//
// Orders that cannot begin soon wait in the lobby, with nothing but a small stack: without span, message and the rest. In an
// overload few orders may wait, because those that wait take memory from those in progress.
//
// A call that has joined another of its user waits for that one and takes no place, so that one user's calls leave the room to
// others. How many there may be is the Placer's to bound.
//
// Clients have fair shares: a call finds a place in a full room if another client has more places than its own, and if one of
// them is that of a call that only waits: for its turn, its message or its caller. That one loses its place then.
type room struct {
	size    int
	queue   Queue
	joined  func() int
	refused func(ctx context.Context, method string) error
	gone    func(ctx context.Context) bool // the caller has closed the connection

	refusing atomic.Int64 // calls that are being refused

	mu      sync.Mutex
	refusal time.Time         // when an order found no place last
	inside  []*call           // that have places
	taken   int               // places, those of calls that have joined others included
	orders  [phases]int       // that are in each phase, but for outside
	late    int               // places of late calls, of those found by a sweep
	watches int               // health checks that watch
	resting int               // declined charges whose answers wait
	lobby   fair.Queue[*call] // orders that will not begin soon
	looks   wait.Timer        // calls look
	sweeps  wait.Timer        // calls sweep
}

// Queue is the admission that orders wait for.
type Queue interface {
	// UnderWay is how many orders have had their turn and are not finished.
	UnderWay() int
	// Waiting is how many orders wait for their turn.
	Waiting() int
	// TooLate reports whether an order that arrives now, and stands behind so many others, would be finished too late.
	TooLate(ahead int, deadline time.Time) bool
	// GiveWay refuses the last of those who wait, if its rank is higher.
	GiveWay(rank float64) bool
	// Reject counts an order that is refused, and returns when to ask again.
	Reject() time.Duration
}

func newRoom(size int, queue Queue, joined func() int, refused func(ctx context.Context, method string) error) *room {
	if size <= 0 {
		size = defaultRoom
	}
	if joined == nil {
		joined = func() int { return 0 }
	}
	return &room{
		size: size, queue: queue, joined: joined, refused: refused,
		gone: func(context.Context) bool { return false },
	}
}

// options are those of a server with this room. One connection may fill it; further calls of it wait at the client.
func (r *room) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(r.enter),
		grpc.MaxConcurrentStreams(uint32(r.size)), //nolint:gosec // it is a count of calls
		grpc.StatsHandler(r),
		grpc.ForceServerCodecV2(&codec{encoding.GetCodecV2(proto.Name)}),
		grpc.UnknownServiceHandler(unimplemented),
		grpc.ChainUnaryInterceptor(r.unary),
		grpc.ChainStreamInterceptor(r.stream),
	}
}

// enter is a tap.ServerInHandle. The goroutine that reads a connection calls it and holds the connection's lock, so it must not wait.
func (r *room) enter(ctx context.Context, info *tap.Info) (context.Context, error) {
	c := &call{
		room: r, places: 1 + headerSize(info.Header)/headerUnit, came: time.Now(), client: fair.Of(ctx),
		watch: info.FullMethodName == grpc_health_v1.Health_Watch_FullMethodName,
		check: info.FullMethodName == grpc_health_v1.Health_Check_FullMethodName,
		order: info.FullMethodName == oteldemo.CheckoutService_PlaceOrder_FullMethodName || info.FullMethodName == checkoutv1.QuoteService_Quote_FullMethodName,
	}
	malformed := strings.Count(info.FullMethodName, "/") < 2 || info.FullMethodName[0] != '/' // gRPC refuses it, unobserved
	if deadline, _ := ctx.Deadline(); malformed || !c.admit(deadline) {
		return c.refuse(ctx, info.FullMethodName)
	}
	ctx, c.over = context.WithCancel(ctx)
	return context.WithValue(fair.WithRank(arrival.With(ctx, c.came), c.rank), callKey{}, c), nil
}

// headerSize is that of the metadata as HTTP/2 counts it (RFC 9113, §6.5.2).
func headerSize(header metadata.MD) (size int) {
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + 32
		}
	}
	return size
}

// Busy reports whether connections should not be read for now, because much of the room is taken by what ends soon: not by
// orders in progress, nor by those that wait for their turn. A room at whose lock others wait is busy.
func (r *room) Busy() bool {
	if !r.mu.TryLock() {
		return true
	}
	defer r.mu.Unlock()
	orders := r.lobby.Len()
	if r.queue != nil {
		orders += r.queue.UnderWay() + r.queue.Waiting()
	}
	if int(r.refusing.Load()) >= refusingAtOnce*runtime.GOMAXPROCS(0) || r.overloaded() && r.present()-orders >= arriving {
		return true
	}
	working, most := r.inUse()-orders, min(r.size/2, arriving)
	if working < most {
		return false
	}
	for _, c := range r.inside {
		if c.phase == answering || c.phase == receiving && time.Since(c.since) >= slowMessage {
			working -= c.places
		}
	}
	return working >= most
}

// mostLate is how many places late calls may have. The stack of each takes as much memory as the rest of it.
func (r *room) mostLate() int { return max(r.size/lateShare, 1) }

// inUse is how many places are taken.
func (r *room) inUse() int { return r.taken - r.joined() }

// present is how many orders are here, or just arriving.
func (r *room) present() int {
	return r.orders[entered] + r.orders[waiting] + r.orders[working] - r.joined()
}

// overloaded reports whether an order was refused lately.
func (r *room) overloaded() bool { return r.queue != nil && time.Since(r.refusal) < calm }

// enoughWait reports whether no further order may wait in an overload.
func (r *room) enoughWait() bool {
	return r.lobby.Len()+r.queue.Waiting() >= ready || r.present() >= r.queue.UnderWay()+arriving
}

// admit takes places of the call's own.
func (c *call) admit(deadline time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.order && c.tooLate(deadline) || c.watch && c.watches >= max(c.size/watchShare, 1) {
		return false
	}
	size := c.size
	if c.check {
		size += probes
	}
	full := !c.check && !c.client.Proven() && c.late >= c.mostLate() && !c.displace((*call).isLate)
	for !full && c.inUse()+c.places > size {
		full = !c.displace((*call).waits)
	}
	enough := c.order && c.client.Holds() && c.overloaded() && c.enoughWait()
	if full || enough && !c.displace((*call).isWaitingOrder) && !c.queue.GiveWay(c.client.Rank()) {
		if c.order {
			c.room.refusal = time.Now()
		}
		return false
	}
	c.enter()
	return true
}

// displace takes the places of a call that may lose them. It is the latest one of the client with the greatest share, which has to
// be twice the share of this call's client. A late call counts twice.
func (c *call) displace(may func(*call) bool) bool {
	var last *call
	most := 2 * c.client.Share(c.places)
	for _, o := range c.inside {
		if !may(o) { // the cheapest test first
			continue
		}
		share := o.client.Share(0)
		if o.isLate() {
			share *= 2
		}
		if share > most || share == most && (last == nil || o.came.After(last.came)) {
			last, most = o, share
		}
	}
	if last == nil {
		return false
	}
	if last.order {
		c.room.refusal = time.Now()
	}
	last.dismiss()
	return true
}

// sweep ends calls whose messages have not arrived in time, or whose answers have not left, and late calls beyond mostLate. Their
// places are free at once: their goroutines only wait, and end soon.
func (r *room) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps.Fired()
	for i := len(r.inside) - 1; i >= 0; i-- { // the last one takes the place in the list of who leaves
		c := r.inside[i]
		switch {
		case c.phase != waiting && c.phase != working && time.Since(c.since) >= messageTime:
			c.dismiss()
		case !c.isLate() || c.counted:
		case r.late >= r.mostLate():
			c.dismiss()
		default:
			r.late += c.places
			c.counted = true
		}
	}
	if len(r.inside) > 0 {
		r.sweeps.Start(slowMessage, r.sweep)
	}
}
