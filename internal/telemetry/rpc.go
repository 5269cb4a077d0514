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

	"checkout/internal/arrival"
	"checkout/internal/creditcard"
	"checkout/internal/redact"
)

// rpc observes the RPCs of a server, or those to one server: a span and the metrics of the conventions in force for each.
// Attributes are built once per method and status code, because every order makes a dozen calls.
type rpc struct {
	*Telemetry
	kind    trace.SpanKind
	start   []trace.SpanStartOption
	server  []attribute.KeyValue // for a client: the name that was dialled
	meters  []rpcMeter           // one per convention
	methods table[string, *rpcMethod]
}

// rpcMeter measures RPCs under the names of one convention.
type rpcMeter struct {
	rpcConvention
	duration            metric.Float64Histogram
	requests, responses metric.Int64Histogram // nil if the convention has none
}

// rpcMethod is a method and its attributes.
type rpcMethod struct {
	*rpc
	span     string
	attrs    []attribute.KeyValue   // of the span
	identity [][]attribute.KeyValue // of the metrics, one per convention
	size     [][]metric.RecordOption
	outcomes table[codes.Code, *rpcOutcome]
}

// rpcOutcome is the attributes of a method's calls that end with one status code.
type rpcOutcome struct {
	span   []attribute.KeyValue // without the peer; if the call failed, error.type is the last
	record [][]metric.RecordOption
}

// table builds the value of a key once. Keys are never removed: they must be few.
type table[K comparable, V any] struct{ entries sync.Map }

func (t *table[K, V]) get(key K, build func(K) V) V {
	if v, ok := t.entries.Load(key); ok {
		return v.(V)
	}
	v, _ := t.entries.LoadOrStore(key, build(key))
	return v.(V)
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

// newMethod builds the method with the full name "/package.Service/Method".
func (r *rpc) newMethod(full string) *rpcMethod {
	service, name, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	m := &rpcMethod{rpc: r, span: service + "/" + name}
	var all []attribute.KeyValue
	for _, meter := range r.meters {
		identity := append(meter.identity(service, name), r.server...)
		all = slices.Concat(identity, all) // the last rpc.method wins: the old one, which the shop's tests query with rpc.service
		m.identity = append(m.identity, identity)
		m.size = append(m.size, recordOptions(identity))
	}
	distinct := attribute.NewSet(all...)
	m.attrs = distinct.ToSlice()
	return m
}

func (m *rpcMethod) newOutcome(code codes.Code) *rpcOutcome {
	o := &rpcOutcome{span: slices.Clone(m.attrs)}
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
	return o
}

// outcome returns the attributes of a status code. Codes that gRPC does not define count as UNKNOWN.
func (m *rpcMethod) outcome(code codes.Code) *rpcOutcome {
	return m.outcomes.get(defined(code), m.newOutcome)
}

func defined(code codes.Code) codes.Code {
	if code > codes.Unauthenticated {
		return codes.Unknown
	}
	return code
}

// failed reports whether code is an error of this side, by the semantic conventions for RPC: for a client everything but
// OK; for a server not what the caller did wrong.
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

// rpcCall is a call in progress, and its context.
type rpcCall struct {
	context.Context // of the span
	*rpcMethod

	span trace.Span
	out  outgoing             // of a client's call: the metadata that telemetry adds
	at   peer.Peer            // of a client's call: its server's end, once there is a connection
	peer []attribute.KeyValue // empty as long as there is no connection
	// explained says that the span has its error already: PlaceOrder's, in the order's terms.
	explained bool

	caller trace.SpanContext               // of a server's call
	anew   atomic.Pointer[context.Context] // of a server's call that has left its caller's trace
}

type rpcKey struct{}

func (c *rpcCall) Value(key any) any {
	if key == (rpcKey{}) {
		return c
	}
	if anew := c.anew.Load(); anew != nil {
		return (*anew).Value(key)
	}
	return c.Context.Value(key)
}

// leaveTrace begins the call's span anew, in a trace of its own, if the ids of its caller's hold the number of the card. The span
// until then never ends, so it is not exported.
func (c *rpcCall) leaveTrace(card creditcard.Card) {
	if !c.caller.IsValid() || !card.NumberIn(c.caller.TraceID().String()+c.caller.SpanID().String()) {
		return
	}
	ctx := c.Context
	ctx, c.span = c.tracer.Start(ctx, c.rpcMethod.span, append(slices.Clone(c.start), trace.WithNewRoot())...) //nolint:spancheck // end ends it
	c.anew.Store(&ctx)
}

// callOf returns the call that ctx belongs to, or nil.
func callOf(ctx context.Context) *rpcCall {
	c, _ := ctx.Value(rpcKey{}).(*rpcCall)
	return c
}

// begin starts the span of a call. Its attributes are set when it ends: no sampler of OTEL_TRACES_SAMPLER reads them.
func (m *rpcMethod) begin(ctx context.Context, more ...trace.SpanStartOption) *rpcCall {
	start := m.start
	if len(more) > 0 {
		start = slices.Concat(start, more)
	}
	ctx, span := m.tracer.Start(ctx, m.span, start...)      //nolint:spancheck // end ends it
	return &rpcCall{Context: ctx, rpcMethod: m, span: span} //nolint:spancheck // see above
}

// measure records the size of a message, a request or a response.
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

// end ends the span of the call, which took so long and failed with err, unless that is nil.
func (c *rpcCall) end(took time.Duration, err error) {
	s := status.Convert(err)
	o := c.outcome(s.Code())
	for i, meter := range c.meters {
		meter.duration.Record(c, took.Seconds()*meter.perSecond, o.record[i]...)
	}
	if !c.span.IsRecording() {
		return
	}
	attrs := o.span
	switch failed := c.failed(defined(s.Code())); {
	case failed && c.explained:
		attrs = attrs[:len(attrs)-1]
	case failed:
		c.span.SetStatus(otelcodes.Error, redact.Text(s.Message()))
	}
	c.span.SetAttributes(c.peer...)
	c.span.SetAttributes(attrs...)
	c.span.End()
}

// rpcClient observes the calls of clients.
type rpcClient struct {
	*Telemetry
	servers table[string, *rpc] // by the target as it was dialled
}

// DialOptions make a client's calls observed: each has its span, and propagates its trace context. The same options may
// serve any number of clients. Streams are not observed.
//
// An interceptor sees all that is emitted; a stats.Handler, which sees more, would cost some twenty objects a call.
func (t *Telemetry) DialOptions() []grpc.DialOption {
	c := &rpcClient{Telemetry: t}
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(c.call)}
}

// call is a grpc.UnaryClientInterceptor.
func (c *rpcClient) call(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	server := c.servers.get(conn.Target(), func(target string) *rpc { return c.newRPC(trace.SpanKindClient, hostPort(target)) })
	began := time.Now()
	call := server.methods.get(method, server.newMethod).begin(ctx)
	c.propagator.Inject(call, &call.out)
	err := next(metadata.AppendToOutgoingContext(call, call.out...), method, req, reply, conn, append(opts, grpc.Peer(&call.at))...)
	if call.at.Addr != nil {
		call.peer = address(networkPeerAddress, networkPeerPort, call.at.Addr)
		call.measure(call, false, size(req))
	}
	if err == nil {
		call.measure(call, true, size(reply))
	}
	call.end(time.Since(began), err)
	return err
}

// size is that of a message as it is sent, uncompressed.
func size(message any) int {
	m, _ := message.(proto.Message)
	return proto.Size(m)
}

// outgoing is a carrier: keys and values of metadata to append.
type outgoing []string

func (*outgoing) Get(string) string       { return "" }
func (*outgoing) Keys() []string          { return nil }
func (o *outgoing) Set(key, value string) { *o = append(*o, key, value) }

// rpcServer observes the calls of a server.
type rpcServer struct {
	*rpc
	observed map[string]*rpcMethod
}

// ServerHandler observes the calls of a server, but only to the methods that names.go lists: neither health checks nor
// methods that callers invent leave telemetry.
func (t *Telemetry) ServerHandler() stats.Handler {
	s := rpcServer{t.newRPC(trace.SpanKindServer, nil), make(map[string]*rpcMethod)}
	for _, name := range servedMethods() {
		s.observed[name] = s.newMethod(name)
	}
	return s
}

// Refused counts a call that was refused before its request was read.
func (s rpcServer) Refused(ctx context.Context, method string, err error) {
	m, ok := s.observed[method]
	if !ok {
		return
	}
	o := m.outcome(status.Code(err))
	for i, meter := range s.meters {
		meter.duration.Record(ctx, 0, o.record[i]...)
	}
}

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
		c.end(event.EndTime.Sub(arrival.Of(ctx, event.BeginTime)), event.Error)
	}
}

func (rpcServer) HandleConn(context.Context, stats.ConnStats) {}

type connKey struct{}

// TagConn implements stats.Handler: it keeps both ends of the connection for the spans of its calls.
func (s rpcServer) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	ends := append(address(serverAddress, serverPort, info.LocalAddr), address(networkPeerAddress, networkPeerPort, info.RemoteAddr)...)
	return context.WithValue(ctx, connKey{}, ends)
}

// TagRPC implements stats.Handler. The span starts when the request arrived, if it waited before it was handled.
func (s rpcServer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	m, ok := s.observed[info.FullMethodName]
	if !ok || ctx.Err() != nil { // the caller has gone already
		return ctx
	}
	var waited []trace.SpanStartOption
	now := time.Now()
	if arrival := arrival.Of(ctx, now); now.Sub(arrival) >= time.Millisecond {
		waited = append(waited, trace.WithTimestamp(arrival))
	}
	ctx = s.propagator.Extract(ctx, incoming{ctx})
	call := m.begin(ctx, waited...)
	call.caller = trace.SpanContextFromContext(ctx)
	call.peer, _ = ctx.Value(connKey{}).([]attribute.KeyValue)
	return call
}

// incoming is a carrier: the metadata of a request.
type incoming struct{ ctx context.Context }

func (i incoming) Values(key string) []string { return metadata.ValueFromIncomingContext(i.ctx, key) }
func (i incoming) Set(string, string)         {}
func (i incoming) Keys() []string             { return nil }
func (i incoming) Get(key string) string {
	if values := i.Values(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// hostPort is the server of a gRPC target: "cart:8080", "dns:///cart:8080".
func hostPort(target string) []attribute.KeyValue {
	target = target[strings.LastIndexByte(target, '/')+1:]
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return []attribute.KeyValue{serverAddress.String(target)}
	}
	return serverAt(nil, host, port)
}

// serverAt adds a server, and its port if that is a number.
func serverAt(attrs []attribute.KeyValue, host, port string) []attribute.KeyValue {
	attrs = append(attrs, serverAddress.String(host))
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
