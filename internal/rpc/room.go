package rpc

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/arrival"
	"checkout/internal/order"
)

const (
	// defaultRoom is the room of a server that is made without one.
	defaultRoom = 256
	// probes is how many health checks find a place in a full room.
	probes = 16
	// headerUnit is how many bytes of metadata a call may have for each place that it takes.
	headerUnit = 4 << 10
	// messageTime is how long a call's message may take to arrive, and slowMessage after what time a call whose message has
	// not arrived gives way to another one in a full room.
	messageTime = 5 * time.Second
	slowMessage = time.Second
	// ready is how many orders wait for their turn in the admission, with all that belongs to them. While there are as many,
	// others wait in the lobby, which is looked at every lobbyEvery.
	ready      = 16
	lobbyEvery = 10 * time.Millisecond
	// refusingAtOnce is how many calls are refused at once by goroutines of their own. One more waits for its turn, and so does
	// all that follows on its connection, for refusalTime at most.
	refusingAtOnce = 64
	refusalTime    = 20 * time.Millisecond
	// watchTime is how long a health check may watch, and watchShare the part of the room that such watches may take.
	watchTime  = 30 * time.Second
	watchShare = 8
	// calm is how long no call must have been refused for orders to wait in the lobby again.
	calm = time.Second
)

// room bounds the calls in a server, those that are still being received among them. One more is refused by what reads its
// connection: before its message is read, and before there is a goroutine, a span or anything else of it. What a call
// holds while it waits is what a small heap has no place for.
//
// A call whose message does not arrive holds its place for seconds at most, and so does one that gRPC gives up before it has
// a goroutine. In a full room the oldest such call of the
// connection that has the most of them gives way, unless the new call is of the same connection.
//
// Orders that cannot begin soon wait in the lobby, with nothing but a small stack: without span, message and the rest. While
// calls are refused, more demand is at hand than can be met, and those who wait would only take memory from those in progress.
// Then few do.
type room struct {
	size    int
	queue   Queue
	methods map[string]bool // that the server has
	refused func(ctx context.Context, method string) error

	refusing chan struct{} // a place for each call that is being refused

	mu       sync.Mutex
	refusal  time.Time          // when a call found no place last
	taken    int                // places
	watches  int                // health checks that watch
	lobby    list.List          // of *call: orders that will not begin soon, first come, first served
	looking  bool               // somebody will look at the lobby
	awaiting list.List          // of *call: their messages are awaited, longest first
	peers    map[*peer.Peer]int // how many of them are of which connection
	timer    *time.Timer        // ends the first of them; nil when there are none
}

// call is a call in a room.
type call struct {
	*room
	peer   *peer.Peer
	places int
	watch  bool
	order  bool
	came   time.Time
	// refusal is why it finds no room. It has no place then, and nothing of what follows.
	refusal error
	over    func() // ends the refusal

	cancel context.CancelFunc

	arriving *list.Element // nil unless its message is awaited
	awaited  time.Time     // since when
	inside   bool
}

// Queue is the admission that orders wait for.
type Queue interface {
	// UnderWay is how many orders have had their turn and are not finished.
	UnderWay() int
	// Waiting is how many orders wait for their turn.
	Waiting() int
	// TooLate tells whether an order that arrives now, and stands behind so many others, would be finished too late.
	TooLate(ahead int, deadline time.Time) bool
	// TurnAway counts an order that is refused, and returns when to ask again.
	TurnAway() time.Duration
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func newRoom(size int, queue Queue, refused func(ctx context.Context, method string) error) *room {
	if size <= 0 {
		size = defaultRoom
	}
	return &room{size: size, queue: queue, refused: refused, refusing: make(chan struct{}, refusingAtOnce), methods: make(map[string]bool), peers: make(map[*peer.Peer]int)}
}

// options are those of a server with this room. One connection may fill it: whose calls do not fit, waits on its side.
func (r *room) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(r.enter),
		grpc.MaxConcurrentStreams(uint32(r.size)), //nolint:gosec // it is a count of calls
		grpc.StatsHandler(r),
		grpc.ChainUnaryInterceptor(r.received),
		grpc.ChainStreamInterceptor(r.receivedStream),
	}
}

// guarded registers services whose calls have to find room.
type guarded struct {
	*grpc.Server
	room *room
}

// RegisterService implements grpc.ServiceRegistrar.
func (g guarded) RegisterService(service *grpc.ServiceDesc, impl any) {
	with := *service
	with.Methods, with.Streams = slices.Clone(service.Methods), slices.Clone(service.Streams)
	for i, method := range service.Methods {
		g.room.methods["/"+service.ServiceName+"/"+method.MethodName] = true
		with.Methods[i].Handler = func(srv any, ctx context.Context, receive func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			if c := callOf(ctx); c != nil && c.refusal != nil {
				return nil, c.refusal
			}
			return method.Handler(srv, ctx, receive, intercept)
		}
	}
	for i, stream := range service.Streams {
		g.room.methods["/"+service.ServiceName+"/"+stream.StreamName] = true
		with.Streams[i].Handler = func(srv any, s grpc.ServerStream) error {
			if c := callOf(s.Context()); c != nil && c.refusal != nil {
				return c.refusal
			}
			return stream.Handler(srv, s)
		}
	}
	g.Server.RegisterService(&with, impl)
}

// enter is a tap.ServerInHandle. It is called by the goroutine that reads a connection, and must not wait.
func (r *room) enter(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !r.methods[info.FullMethodName] { // its goroutine ends at once
		return ctx, nil
	}
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	from, _ := peer.FromContext(ctx)
	c := &call{
		room: r, peer: from, places: 1 + headerSize(info.Header)/headerUnit, came: time.Now(), cancel: cancel,
		watch: info.FullMethodName == grpc_health_v1.Health_Watch_FullMethodName,
		order: info.FullMethodName == oteldemo.CheckoutService_PlaceOrder_FullMethodName || info.FullMethodName == checkoutv1.QuoteService_Quote_FullMethodName,
	}
	size := r.size
	if info.FullMethodName == grpc_health_v1.Health_Check_FullMethodName {
		size += probes
	}
	if deadline, _ := ctx.Deadline(); c.order && r.tooLate(deadline) || !c.admit(size) {
		cancel()
		return r.refuse(caller, r.refused(caller, info.FullMethodName))
	}
	return context.WithValue(arrival.With(ctx, c.came), callKey{}, c), nil
}

// refuse has a call refused by its goroutine, which does nothing else. What a tap refuses by itself, gRPC keeps until the
// deadline of the call, which may never come: a flood would fill the memory with it. So the connection waits until there is a
// place for the refusal, and its client is slowed down. Only when there is none for long is a call refused here.
func (r *room) refuse(ctx context.Context, err error) (context.Context, error) {
	select {
	case r.refusing <- struct{}{}:
	default:
		patience := time.NewTimer(refusalTime)
		defer patience.Stop()
		select {
		case r.refusing <- struct{}{}:
		case <-patience.C:
			return nil, err
		}
	}
	free := sync.OnceFunc(func() { <-r.refusing })
	keep := context.AfterFunc(ctx, free) // gRPC may give the call up before it has a goroutine
	over := func() { keep(); free() }
	return context.WithValue(ctx, callKey{}, &call{room: r, refusal: err, over: over}), nil
}

// tooLate tells whether an order that arrives now would be finished too late because of those who wait.
func (r *room) tooLate(deadline time.Time) bool {
	if r.queue == nil || deadline.IsZero() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ahead := r.lobby.Len()
	if ahead == 0 { // the admission will tell
		return false
	}
	return r.queue.TooLate(ahead+r.queue.Waiting(), deadline)
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

// admit takes places of the call's own in a room of that size.
func (c *call) admit(size int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch && c.watches >= max(c.size/watchShare, 1) {
		return false
	}
	if c.order && c.queue != nil && time.Since(c.room.refusal) < calm {
		size = min(size, c.queue.UnderWay()+ready)
	}
	for c.taken+c.places > size {
		if !c.displace() {
			c.room.refusal = time.Now()
			return false
		}
	}
	c.inside = true
	c.taken += c.places
	if c.watch {
		c.watches++
	}
	c.await()
	return true
}

// await notes that the call's message is awaited.
func (c *call) await() {
	c.arriving, c.awaited = c.awaiting.PushBack(c), time.Now()
	c.peers[c.peer]++
	if c.timer == nil {
		c.timer = time.AfterFunc(messageTime, c.overdue)
	}
}

// arrived notes that the call's message is awaited no longer.
func (c *call) arrived() {
	if c.arriving == nil {
		return
	}
	c.awaiting.Remove(c.arriving)
	c.arriving = nil
	if c.peers[c.peer]--; c.peers[c.peer] == 0 {
		delete(c.peers, c.peer)
	}
}

// displace ends a call whose message is slow to arrive, for the sake of c.
func (c *call) displace() bool {
	var displaced *call
	for e := c.awaiting.Front(); e != nil; e = e.Next() {
		one := e.Value.(*call)
		if time.Since(one.awaited) < slowMessage {
			break
		}
		if displaced == nil || c.peers[one.peer] > c.peers[displaced.peer] {
			displaced = one
		}
	}
	if displaced == nil || c.peers[displaced.peer] <= c.peers[c.peer] {
		return false
	}
	displaced.end()
	return true
}

// end ends a call whose message has not arrived. Its place is free at once: its goroutine only waits, and ends soon.
func (c *call) end() {
	c.arrived()
	c.leave()
	c.cancel()
}

func (c *call) leave() {
	if !c.inside {
		return
	}
	c.inside = false
	c.taken -= c.places
	if c.watch {
		c.watches--
	}
}

// overdue ends the calls whose messages should have arrived.
func (r *room) overdue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = nil
	for first := r.awaiting.Front(); first != nil; first = r.awaiting.Front() {
		c := first.Value.(*call)
		if left := messageTime - time.Since(c.awaited); left > 0 {
			r.timer = time.AfterFunc(left, r.overdue)
			return
		}
		c.end()
	}
}

// TagRPC implements stats.Handler: a goroutine takes the call up. It may have to wait for that in the lobby.
func (r *room) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	c := callOf(ctx)
	switch {
	case c == nil:
	case c.refusal != nil:
		over, cancel := context.WithCancel(ctx)
		cancel() // so that nobody observes it
		return over
	default:
		if turn := c.queueUp(); turn != nil {
			c.wait(ctx, turn)
		}
	}
	return ctx
}

// queueUp gives an order that has to wait its place in the lobby.
func (c *call) queueUp() (turn *list.Element) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.order || c.queue == nil || c.lobby.Len() == 0 && c.queue.Waiting() < ready {
		return nil
	}
	c.arrived() // nobody reads the message of who waits
	turn = c.lobby.PushBack(make(chan struct{}))
	c.lookLater()
	return turn
}

// wait waits in the lobby, until most of the order's time is over.
func (c *call) wait(ctx context.Context, turn *list.Element) {
	called := turn.Value.(chan struct{})
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lobby.Remove(turn) // does nothing for one that was called
	c.await()
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
			close(r.lobby.Remove(r.lobby.Front()).(chan struct{}))
		}
		r.lookLater()
	})
}

// HandleRPC implements stats.Handler.
func (r *room) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, over := event.(*stats.End); !over {
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived()
	c.leave()
	c.cancel()
}

// TagConn implements stats.Handler.
func (r *room) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (r *room) HandleConn(context.Context, stats.ConnStats) {}

// received is a grpc.UnaryServerInterceptor. Nothing is done for a caller who has gone.
func (r *room) received(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	r.receivedBy(ctx)
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	return handle(ctx, req)
}

func (r *room) receivedBy(ctx context.Context) {
	if c := callOf(ctx); c != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
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
	s.room.receivedBy(s.Context())
	return err
}

// callObserver counts calls that find no room. An Options.Telemetry may be one.
type callObserver interface {
	Refused(ctx context.Context, method string, err error)
}

// orderObserver counts orders that are refused because their calls find no room. A Placer may be one.
type orderObserver interface {
	Refused(ctx context.Context, err error)
}

// refuse makes what answers calls that find no room. It counts them as they would be counted inside.
func refuse(p Placer, opts Options) func(ctx context.Context, method string) error {
	calls, _ := opts.Telemetry.(callObserver)
	orders, _ := p.(orderObserver)
	return func(ctx context.Context, method string) error {
		failure := &order.Error{Kind: order.ErrOverloaded, RetryAfter: time.Second}
		if method == oteldemo.CheckoutService_PlaceOrder_FullMethodName {
			if opts.Queue != nil {
				failure.RetryAfter = opts.Queue.TurnAway()
			}
			if orders != nil {
				orders.Refused(ctx, failure)
			}
		}
		err := answer(failure)
		if calls != nil {
			calls.Refused(ctx, method, err)
		}
		return err
	}
}
