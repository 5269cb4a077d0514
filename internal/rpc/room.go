package rpc

import (
	"container/list"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
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
	// what keeps the server busy.
	messageTime = 5 * time.Second
	slowMessage = 100 * time.Millisecond
	// lateAnswer is after how long an answer that has lost its place counts as one that the client does not take.
	lateAnswer = time.Second
	// ready is how many orders wait for their turn in the admission, with all that belongs to them. While there are as many,
	// others wait in the lobby, which is looked at every lobbyEvery.
	ready      = 16
	lobbyEvery = 10 * time.Millisecond
	// arriving is how many orders may be here in an overload that neither wait nor are in progress: they are being received or
	// answered.
	arriving = 3 * ready
	// refusingAtOnce is how many calls are refused at once by goroutines of their own. One more waits for its turn, and so does
	// all that follows on its connection, for refusalTime at most.
	refusingAtOnce = 64
	refusalTime    = 20 * time.Millisecond
	// declineStep is what the time of a declined charge is rounded up to.
	declineStep = 250 * time.Millisecond
	// refusalPatience is how long the message of a call that is refused may take to arrive.
	refusalPatience = time.Second
	// watchTime is how long a health check may watch, and watchShare the part of the room that such watches may take.
	watchTime  = 30 * time.Second
	watchShare = 8
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

	refusing chan struct{} // a place for each call that is being refused

	mu      sync.Mutex
	refusal time.Time   // when an order found no place last
	taken   int         // places, those of calls that have joined others included
	orders  int         // that have places
	watches int         // health checks that watch
	resting int         // declined charges whose answers wait
	lobby   list.List   // of *call: orders that will not begin soon, by their ranks
	looking bool        // a goroutine will look at the lobby
	inside  list.List   // of *call: those that have places
	timer   *time.Timer // ends those whose messages do not arrive
	sweeps  time.Time   // when it does; zero when there are none

	silent atomic.Int64 // orders with a goroutine that waits for their message
}

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
	// refusal is why it finds no room. It has no place then, and nothing of what follows.
	refusal error
	over    func() // ends the refusal

	cancel context.CancelFunc

	// Guarded by the room's mutex.
	inside    *list.Element // nil when it has no places
	turn      *list.Element // its place in the lobby; nil when it has none
	called    chan struct{} // closed when it may leave the lobby
	dismissed bool          // its place is another's
	sends     bool          // it has an answer
	sent      bool          // that has left
	answered  int64         // since when its answer has waited to leave (UnixNano); 0: it does not
	isStuck   bool          // and waited for too long without a place

	awaited atomic.Int64 // since when its message is awaited (UnixNano); 0: it is not
	silent  atomic.Bool  // it has a goroutine that waits for its message
}

// Queue is the admission that orders wait for.
type Queue interface {
	// UnderWay is how many orders have had their turn and are not finished.
	UnderWay() int
	// Waiting is how many orders wait for their turn.
	Waiting() int
	// TooLate tells whether an order that arrives now, and stands behind so many others, would be finished too late.
	TooLate(ahead int, deadline time.Time) bool
	// GiveWay refuses the last of those who wait, if its rank is higher.
	GiveWay(rank float64) bool
	// Reject counts an order that is refused, and returns when to ask again.
	Reject() time.Duration
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func newRoom(size int, queue Queue, joined func() int, refused func(ctx context.Context, method string) error) *room {
	if size <= 0 {
		size = defaultRoom
	}
	if joined == nil {
		joined = func() int { return 0 }
	}
	return &room{
		size: size, queue: queue, joined: joined, refused: refused, refusing: make(chan struct{}, refusingAtOnce),
		gone: func(context.Context) bool { return false },
	}
}

// options are those of a server with this room. One connection may fill it: whose calls do not fit, waits on its side.
func (r *room) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(r.enter),
		grpc.MaxConcurrentStreams(uint32(r.size)), //nolint:gosec // it is a count of calls
		grpc.StatsHandler(r),
		grpc.ForceServerCodecV2(&codec{encoding.GetCodecV2(proto.Name)}),
		grpc.UnknownServiceHandler(unimplemented),
		grpc.ChainUnaryInterceptor(r.received),
		grpc.ChainStreamInterceptor(r.receivedStream),
	}
}

// enter is a tap.ServerInHandle. It is called by the goroutine that reads a connection, and must not wait for long.
func (r *room) enter(ctx context.Context, info *tap.Info) (context.Context, error) {
	if strings.Count(info.FullMethodName, "/") < 2 || info.FullMethodName[0] != '/' { // its goroutine ends at once
		return ctx, nil
	}
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	c := &call{
		room: r, places: 1 + headerSize(info.Header)/headerUnit, came: time.Now(), cancel: cancel,
		watch: info.FullMethodName == grpc_health_v1.Health_Watch_FullMethodName,
		check: info.FullMethodName == grpc_health_v1.Health_Check_FullMethodName,
		order: info.FullMethodName == oteldemo.CheckoutService_PlaceOrder_FullMethodName || info.FullMethodName == checkoutv1.QuoteService_Quote_FullMethodName,
	}
	c.client = fair.Of(ctx)
	if deadline, _ := ctx.Deadline(); c.order && c.tooLate(deadline) || !c.admit() {
		cancel()
		return r.refuse(caller, r.refused(caller, info.FullMethodName))
	}
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

// Busy tells whether connections should not be read for now, because much of the room is taken by what ends soon: not by
// orders in progress, nor by those that wait for their turn.
func (r *room) Busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	orders := r.lobby.Len()
	if r.queue != nil {
		orders += r.queue.UnderWay() + r.queue.Waiting()
	}
	if len(r.refusing) >= refusingAtOnce*3/4 || r.overloaded() && r.present()-orders >= arriving {
		return true
	}
	working := r.inUse() - orders
	if working < r.size/2 {
		return false
	}
	for e := r.inside.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*call); c.answered != 0 || c.silent.Load() && c.isSlow() {
			working -= c.places
		}
	}
	return working >= r.size/2
}

// inUse is how many places are taken.
func (r *room) inUse() int { return r.taken - r.joined() }

// present is how many orders are here, or just arriving.
func (r *room) present() int { return r.orders - int(r.silent.Load()) - r.joined() }

// overloaded tells whether an order was refused lately.
func (r *room) overloaded() bool { return r.queue != nil && time.Since(r.refusal) < calm }

// enoughWait tells whether no further order may wait in an overload.
func (r *room) enoughWait() bool {
	return r.lobby.Len()+r.queue.Waiting() >= ready || r.present() >= r.queue.UnderWay()+arriving
}

// admit takes places of the call's own.
func (c *call) admit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch && c.watches >= max(c.size/watchShare, 1) {
		return false
	}
	size := c.size
	if c.check {
		size += probes
	}
	full := false
	for !full && c.inUse()+c.places > size {
		full = !c.displace(false)
	}
	enough := c.order && c.client.Holds() && c.overloaded() && c.enoughWait()
	if full || enough && !c.displace(true) && !c.queue.GiveWay(c.client.Rank()) {
		if c.order {
			c.room.refusal = time.Now()
		}
		return false
	}
	c.enter()
	return true
}

// displace takes the places of the latest call that only waits of the client with the greatest share, unless that is this one's.
func (c *call) displace(anOrder bool) bool {
	var last *call
	most := 2 * c.client.Share(c.places) // so that equals do not displace each other all the time
	for e := c.room.inside.Back(); e != nil; e = e.Prev() {
		o := e.Value.(*call)
		if !o.waits() || anOrder && (!o.order || o.answered != 0) { // most do not, and it is cheap to tell
			continue
		}
		if share := o.client.Share(0); share >= most && (last == nil || share > most) {
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

// waits tells whether the call may lose its place because nothing is done for it now: it waits for its turn. Or it waits for its
// message, or for its caller to take the answer: but in an overload those of busy clients are late, too, and so only where calls
// have mostly been in vain.
func (c *call) waits() bool {
	return c.turn != nil || !c.client.Proven() && (c.answered != 0 || c.awaited.Load() != 0)
}

// isSlow tells whether the call's message is late.
func (c *call) isSlow() bool {
	since := c.awaited.Load()
	return since != 0 && time.Now().UnixNano()-since >= int64(slowMessage)
}

// dismiss takes the places of a call that waits.
func (c *call) dismiss() {
	switch {
	case c.turn != nil:
		c.dismissed = true
		c.lobby.Remove(c.turn)
		c.turn = nil
		close(c.called)
	case c.answered != 0: // a client that is only busy takes it soon, and must get the answers of its other orders
		time.AfterFunc(lateAnswer, c.stuck)
	case c.silent.Load():
		c.cancel()
	default:
		c.dismissed = true
	}
	c.leave()
}

// stuck counts an answer that the client has not taken.
func (c *call) stuck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sent {
		c.isStuck = true
		c.client.End(false)
		c.client.Stuck()
	}
}

// enter takes the call's places.
func (c *call) enter() {
	c.awaited.Store(time.Now().UnixNano())
	c.inside = c.room.inside.PushBack(c)
	c.rank = c.client.Enter(c.places)
	c.taken += c.places
	if c.watch {
		c.watches++
	}
	if c.order {
		c.orders++
	}
	c.sweepIn(messageTime / 5)
}

// leave gives them back.
func (c *call) leave() {
	if c.inside == nil {
		return
	}
	c.arrived()
	c.room.inside.Remove(c.inside)
	c.inside = nil
	c.taken -= c.places
	c.client.Leave(c.places)
	if c.watch {
		c.watches--
	}
	if c.order && c.answered == 0 {
		c.orders--
	}
}

// await notes that the call has a goroutine, which waits for its message from now on.
func (c *call) await() {
	c.awaited.Store(time.Now().UnixNano())
	if !c.silent.Swap(true) && c.order {
		c.room.silent.Add(1)
	}
}

// arrived notes that the call's message is awaited no longer.
func (c *call) arrived() {
	c.awaited.Store(0)
	if c.silent.Swap(false) && c.order {
		c.room.silent.Add(-1)
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

// sweepIn has the calls looked at after that time at the latest.
func (r *room) sweepIn(d time.Duration) {
	at := time.Now().Add(d)
	switch {
	case !r.sweeps.IsZero() && r.sweeps.Before(at):
		return
	case r.timer == nil:
		r.timer = time.AfterFunc(d, r.sweep)
	default:
		r.timer.Reset(d)
	}
	r.sweeps = at
}

// sweep ends the calls whose messages should have arrived, or whose answers should have left. Their places are free at once:
// their goroutines only wait, and end soon.
func (r *room) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps = time.Time{}
	now := time.Now().UnixNano()
	var next *list.Element
	for e := r.inside.Front(); e != nil; e = next {
		next = e.Next()
		c := e.Value.(*call)
		if since := max(c.awaited.Load(), c.answered); since != 0 && now-since >= int64(messageTime) {
			c.dismiss()
		}
	}
	if r.inside.Len() > 0 {
		r.sweepIn(messageTime / 5)
	}
}

// TagRPC implements stats.Handler: a goroutine takes the call up. It may have to wait for that in the lobby.
func (r *room) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	c := callOf(ctx)
	switch {
	case c == nil:
	case c.refusal != nil:
		over, cancel := context.WithCancel(ctx)
		cancel() // so that it is not observed
		return over
	default:
		if !c.start(ctx) {
			c.refusal, c.over = c.refused(ctx, info.FullMethodName), c.cancel
			over, cancel := context.WithCancel(ctx)
			cancel()
			return over
		}
	}
	return ctx
}

// HandleRPC implements stats.Handler.
func (r *room) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, over := event.(*stats.End)
	if !over {
		return
	}
	c := callOf(ctx)
	if c == nil {
		return
	}
	if c.refusal != nil {
		c.over()
		return
	}
	c.arrived()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
	switch {
	case end.Error == nil && c.sends && !c.sent && c.inside != nil:
		if c.order {
			c.orders--
		}
		c.answered = time.Now().UnixNano()
		return
	case end.Error == nil && !c.check:
		c.client.End(true)
	case end.Error != nil && status.Code(end.Error) != codes.ResourceExhausted && status.Code(end.Error) != codes.FailedPrecondition:
		c.client.End(false)
	}
	c.leave()
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
	var next *list.Element
	for e := r.inside.Front(); e != nil; e = next {
		next = e.Next()
		if c := e.Value.(*call); c.client == client && c.answered != 0 {
			c.leave()
		}
	}
}

// received is a grpc.UnaryServerInterceptor. Nothing is done for a caller who has gone.
func (r *room) received(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	receivedBy(ctx)
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
	c.begin()
	resp, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sends = true
	return &leaving{resp, c}, nil
}

func (c *call) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client.Begin(c.rank)
}

func receivedBy(ctx context.Context) {
	if c := callOf(ctx); c != nil {
		c.arrived()
	}
}

// receivedStream is received for calls that are answered with a stream. Health checks end some time.
func (r *room) receivedStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := stream.Context()
	if info.FullMethod == grpc_health_v1.Health_Watch_FullMethodName {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, watchTime)
		defer cancel()
	}
	return handle(srv, receiving{bounded{stream, ctx}, r})
}

// receiving is a stream that tells the room when the caller's message is here.
type receiving struct {
	bounded
	room *room
}

func (s receiving) RecvMsg(m any) error {
	err := s.bounded.RecvMsg(m)
	receivedBy(s.Context())
	return err
}
