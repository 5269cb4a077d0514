package telemetry

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/internal/order"
)

// rpc observes the RPCs of a server, or those to one server: a span and the metrics of the conventions in force for each.
// All attributes that can be known before a call are made before it, once a method and once an outcome, because every
// order makes a dozen calls.
type rpc struct {
	*Telemetry
	kind    trace.SpanKind
	start   []trace.SpanStartOption
	server  []attribute.KeyValue // of a client: whom it has dialled
	meters  []rpcMeter           // one a convention
	methods sync.Map             // full name, as in "/oteldemo.CartService/GetCart" → *rpcMethod
	last    atomic.Pointer[rpcPeer]
}

// rpcMeter measures RPCs under the names of one convention.
type rpcMeter struct {
	rpcConvention
	duration            metric.Float64Histogram
	requests, responses metric.Int64Histogram // nil when the convention has none
}

// rpcMethod is what is known of a method before it is called.
type rpcMethod struct {
	*rpc
	span     string
	facts    []attribute.KeyValue   // of the span
	identity [][]attribute.KeyValue // for the metrics, one a convention
	size     [][]metric.RecordOption
	outcomes [codes.Unauthenticated + 1]atomic.Pointer[rpcOutcome]
}

// rpcOutcome is what is known of the end of a method's call.
type rpcOutcome struct {
	span   []attribute.KeyValue // all but who the peer was; if the call failed, error.type is the last
	record [][]metric.RecordOption
	last   atomic.Pointer[rpcFacts]
}

// rpcFacts are all that is told of the end of a call with a peer.
type rpcFacts struct {
	peer  *rpcPeer
	attrs []attribute.KeyValue
}

// rpcPeer is what is known of a connection.
type rpcPeer struct {
	remote net.Addr
	attrs  []attribute.KeyValue
}

// with is all that is told of the end of a call with that peer; nil for one that had none. The peer is nearly always that
// of the call before.
func (o *rpcOutcome) with(peer *rpcPeer) []attribute.KeyValue {
	if peer == nil {
		return o.span
	}
	facts := o.last.Load()
	if facts == nil || facts.peer != peer {
		facts = &rpcFacts{peer, slices.Concat(peer.attrs, o.span)}
		o.last.Store(facts)
	}
	return facts.attrs
}

func (t *Telemetry) newRPC(kind trace.SpanKind, server []attribute.KeyValue) *rpc {
	r := &rpc{Telemetry: t, kind: kind, start: []trace.SpanStartOption{trace.WithSpanKind(kind)}, server: server}
	for _, c := range t.conventions.rpc {
		names := c.metrics(kind)
		m := rpcMeter{rpcConvention: c, duration: t.duration(names.duration)}
		if names.requestSize != "" {
			m.requests, m.responses = t.size(names.requestSize), t.size(names.responseSize)
		}
		r.meters = append(r.meters, m)
	}
	return r
}

// method is what is known of the method of that full name. The names are those of generated code, hence few.
func (r *rpc) method(full string) *rpcMethod {
	if m, ok := r.methods.Load(full); ok {
		return m.(*rpcMethod)
	}
	m, _ := r.methods.LoadOrStore(full, r.newMethod(full))
	return m.(*rpcMethod)
}

func (r *rpc) newMethod(full string) *rpcMethod {
	service, name, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	m := &rpcMethod{rpc: r, span: service + "/" + name}
	var all []attribute.KeyValue
	for _, meter := range r.meters {
		identity := append(meter.identity(service, name), r.server...)
		all = slices.Concat(identity, all) // of two rpc.method the last wins, the old one: the shop's tests ask for it with rpc.service
		m.identity = append(m.identity, identity)
		m.size = append(m.size, recordOptions(identity))
	}
	distinct := attribute.NewSet(all...)
	m.facts = distinct.ToSlice()
	return m
}

// peerAt is what is known of the connection to remote. A client has one at a time, mostly.
func (r *rpc) peerAt(remote net.Addr) *rpcPeer {
	tcp, ok := remote.(*net.TCPAddr)
	if last := r.last.Load(); ok && last != nil && last.remote == tcp {
		return last
	}
	peer := &rpcPeer{remote, address(networkPeerAddress, networkPeerPort, remote)}
	if ok {
		r.last.Store(peer)
	}
	return peer
}

// outcome is what is known of a call that ended with code, which gRPC defines.
func (m *rpcMethod) outcome(code codes.Code) *rpcOutcome {
	if o := m.outcomes[code].Load(); o != nil {
		return o
	}
	o := &rpcOutcome{span: slices.Clone(m.facts)}
	failed := errorType.String(codeName(code))
	for i, meter := range m.meters {
		o.span = append(o.span, meter.status(code))
		attrs := append(slices.Clone(m.identity[i]), meter.status(code))
		if meter.failing && m.failed(code) {
			attrs = append(attrs, failed)
		}
		o.record = append(o.record, recordOptions(attrs))
	}
	if m.failed(code) {
		o.span = append(o.span, failed)
	}
	m.outcomes[code].Store(o)
	return o
}

// failed tells whether code is an error of this side, by the semantic conventions for RPC: for a client everything but
// OK is; a server is not to blame for what its caller got wrong.
func (r *rpc) failed(code codes.Code) bool {
	if r.kind == trace.SpanKindClient {
		return code != codes.OK
	}
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// rpcCall is a call under way, and its context.
type rpcCall struct {
	context.Context // that of the span
	*rpcMethod

	span trace.Span
	peer *rpcPeer // nil as long as there is no connection
	// explained says that the span tells already why the call fails: PlaceOrder's does, in the order's terms.
	explained bool
}

type rpcKey struct{}

// Value implements context.Context.
func (c *rpcCall) Value(key any) any {
	if key == (rpcKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// callOf is the call that ctx belongs to, or nil.
func callOf(ctx context.Context) *rpcCall {
	c, _ := ctx.Value(rpcKey{}).(*rpcCall)
	return c
}

// begin starts the span of a call. What is told of it is told at its end, all at once: the samplers that can be chosen by
// OTEL_TRACES_SAMPLER ask for none of it.
func (m *rpcMethod) begin(ctx context.Context, peer *rpcPeer, more ...trace.SpanStartOption) *rpcCall {
	start := m.start
	if len(more) > 0 {
		start = slices.Concat(start, more)
	}
	ctx, span := m.tracer.Start(ctx, m.span, start...)                  //nolint:spancheck // end ends it
	return &rpcCall{Context: ctx, rpcMethod: m, span: span, peer: peer} //nolint:spancheck // see above
}

// measure records the size of a message: on its way in, to a client, it is a response.
func (m *rpcMethod) measure(ctx context.Context, response bool, length int) {
	for i, meter := range m.meters {
		switch {
		case meter.requests == nil:
		case response:
			meter.responses.Record(ctx, int64(length), m.size[i]...)
		default:
			meter.requests.Record(ctx, int64(length), m.size[i]...)
		}
	}
}

// end ends the span of the call, which has taken so long and failed with err, or not.
func (c *rpcCall) end(took time.Duration, err error) {
	s := status.Convert(err)
	code := s.Code()
	if code > codes.Unauthenticated { // what gRPC does not define counts as UNKNOWN
		code = codes.Unknown
	}
	o := c.outcome(code)
	for i, meter := range c.meters {
		meter.duration.Record(c, took.Seconds()*meter.perSecond, o.record[i]...)
	}
	if !c.span.IsRecording() {
		return
	}
	facts := o.with(c.peer)
	switch failed := c.failed(code); {
	case failed && c.explained:
		facts = facts[:len(facts)-1]
	case failed:
		c.span.SetStatus(otelcodes.Error, redact(s.Message()))
	}
	c.span.SetAttributes(facts...)
	c.span.End()
}

// rpcClient observes the calls of clients.
type rpcClient struct {
	*Telemetry
	servers sync.Map // the target as it was dialled → *rpc
}

// DialOptions make a client's calls observed: each has its span, and takes its trace context along. The same options may
// serve any number of clients. Streams are left alone: this service has none but one that waits for changes for ever.
//
// An interceptor sees less than a stats.Handler, but all that is told, and gRPC makes some twenty objects more of each
// call that a handler watches.
func (t *Telemetry) DialOptions() []grpc.DialOption {
	c := &rpcClient{Telemetry: t}
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(c.call)}
}

// call is a grpc.UnaryClientInterceptor.
func (c *rpcClient) call(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	server := c.server(conn.Target())
	began := time.Now()
	call := server.method(method).begin(ctx, nil)
	out := new(outgoing)
	out.pairs = out.room[:0]
	c.propagator.Inject(call, out)
	var at peer.Peer
	err := next(metadata.AppendToOutgoingContext(call, out.pairs...), method, req, reply, conn, append(opts, grpc.Peer(&at))...)
	if at.Addr != nil { // there was a connection
		call.peer = server.peerAt(at.Addr)
		call.measure(call, false, size(req))
	}
	if err == nil {
		call.measure(call, true, size(reply))
	}
	call.end(time.Since(began), err)
	return err
}

// size is that of a message as it travels, uncompressed.
func size(message any) int {
	m, _ := message.(proto.Message)
	return proto.Size(m)
}

func (c *rpcClient) server(target string) *rpc {
	if r, ok := c.servers.Load(target); ok {
		return r.(*rpc)
	}
	r, _ := c.servers.LoadOrStore(target, c.newRPC(trace.SpanKindClient, hostPort(target)))
	return r.(*rpc)
}

// rpcServer observes the calls of a server.
type rpcServer struct{ *rpc }

// ServerHandler observes the calls of a server. Only the methods that names.go lists leave telemetry: not health checks,
// and not what callers make up.
func (t *Telemetry) ServerHandler() stats.Handler {
	s := rpcServer{rpc: t.newRPC(trace.SpanKindServer, nil)}
	for _, name := range servedMethods() {
		s.method(name)
	}
	return s
}

// Refused counts a call that was refused before there was anything else of it.
func (s rpcServer) Refused(ctx context.Context, method string, err error) {
	known, ok := s.methods.Load(method)
	if !ok {
		return
	}
	o := known.(*rpcMethod).outcome(min(status.Code(err), codes.Unauthenticated))
	for i, meter := range s.meters {
		meter.duration.Record(ctx, 0, o.record[i]...)
	}
}

// HandleRPC implements stats.Handler.
func (rpcServer) HandleRPC(ctx context.Context, event stats.RPCStats) {
	c := callOf(ctx)
	if c == nil {
		return
	}
	switch event := event.(type) {
	case *stats.InPayload:
		c.measure(c, false, event.Length)
	case *stats.OutPayload:
		c.measure(c, true, event.Length)
	case *stats.End:
		c.end(event.EndTime.Sub(order.Arrival(ctx, event.BeginTime)), event.Error)
	}
}

// HandleConn implements stats.Handler.
func (rpcServer) HandleConn(context.Context, stats.ConnStats) {}

type connKey struct{}

// TagConn keeps what is known of the connection, for the spans of its calls.
func (s rpcServer) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	ends := append(address(serverAddress, serverPort, info.LocalAddr), address(networkPeerAddress, networkPeerPort, info.RemoteAddr)...)
	return context.WithValue(ctx, connKey{}, &rpcPeer{info.RemoteAddr, ends})
}

// TagRPC implements stats.Handler.
func (s rpcServer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	known, ok := s.methods.Load(info.FullMethodName)
	if !ok || ctx.Err() != nil { // whose caller has gone before anybody looked at it, is none
		return ctx
	}
	peer, _ := ctx.Value(connKey{}).(*rpcPeer)
	now := time.Now()
	arrival := order.Arrival(ctx, now)
	ctx = s.propagator.Extract(ctx, incoming{ctx})
	if now.Sub(arrival) < time.Millisecond {
		return known.(*rpcMethod).begin(ctx, peer)
	}
	return known.(*rpcMethod).begin(ctx, peer, trace.WithTimestamp(arrival)) // it has waited until anybody looked at it
}

// hostPort is the server of a gRPC target: "cart:8080", "dns:///cart:8080".
func hostPort(target string) []attribute.KeyValue {
	target = target[strings.LastIndexByte(target, '/')+1:]
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return []attribute.KeyValue{serverAddress.String(target)}
	}
	attrs := []attribute.KeyValue{serverAddress.String(host)}
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, serverPort.Int(n))
	}
	return attrs
}

// address is one end of a connection.
func address(host, port attribute.Key, a net.Addr) []attribute.KeyValue {
	switch a := a.(type) {
	case nil:
		return nil
	case *net.TCPAddr:
		return []attribute.KeyValue{host.String(a.IP.String()), port.Int(a.Port)}
	default:
		return []attribute.KeyValue{host.String(a.String())}
	}
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(slices.Clone(attrs)...))}
}
