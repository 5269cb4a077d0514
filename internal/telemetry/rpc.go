package telemetry

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// rpc observes the RPCs of a server, or those to one server: a span and the metrics of the conventions in force for each.
// All attributes that can be known before a call are made before it, once a method and once an outcome, because every
// order makes a dozen calls.
type rpc struct {
	*Telemetry
	kind    trace.SpanKind
	peer    []attribute.KeyValue // of a client: whom it has dialled
	meters  []rpcMeter           // one a convention
	methods sync.Map             // full name, as in "/oteldemo.CartService/GetCart" → *rpcMethod
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
	start    []trace.SpanStartOption
	identity [][]attribute.KeyValue // for the metrics, one a convention
	size     [][]metric.RecordOption
	outcomes [codes.Unauthenticated + 1]atomic.Pointer[rpcOutcome]
}

// rpcOutcome is what is known of the end of a method's call.
type rpcOutcome struct {
	span   []attribute.KeyValue
	record [][]metric.RecordOption // one a convention
}

func (t *Telemetry) newRPC(kind trace.SpanKind, peer []attribute.KeyValue) *rpc {
	r := &rpc{Telemetry: t, kind: kind, peer: peer}
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
		identity := append(meter.identity(service, name), r.peer...)
		all = append(all, identity...) // of the same key, the last wins: the stable rpc.method
		m.identity = append(m.identity, identity)
		m.size = append(m.size, recordOptions(identity))
	}
	distinct := attribute.NewSet(all...)
	m.start = []trace.SpanStartOption{trace.WithSpanKind(r.kind), trace.WithAttributes(distinct.ToSlice()...)}
	return m
}

// outcome is what is known of a call that ended with code, which gRPC defines.
func (m *rpcMethod) outcome(code codes.Code) *rpcOutcome {
	if o := m.outcomes[code].Load(); o != nil {
		return o
	}
	o := new(rpcOutcome)
	failed := errorType.String(codeName(code))
	if m.failed(code) {
		o.span = append(o.span, failed)
	}
	for i, meter := range m.meters {
		o.span = append(o.span, meter.status(code))
		attrs := append(slices.Clone(m.identity[i]), meter.status(code))
		if meter.failing && m.failed(code) {
			attrs = append(attrs, failed)
		}
		o.record = append(o.record, recordOptions(attrs))
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

type rpcKey struct{}

// begin starts the span of a call.
func (m *rpcMethod) begin(ctx context.Context, options []trace.SpanStartOption) context.Context {
	ctx, _ = m.tracer.Start(ctx, m.span, options...) //nolint:spancheck // end ends it
	return context.WithValue(ctx, rpcKey{}, m)
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

func (m *rpcMethod) end(ctx context.Context, event *stats.End) {
	s := status.Convert(event.Error)
	code := s.Code()
	if code > codes.Unauthenticated { // what gRPC does not define counts as UNKNOWN
		code = codes.Unknown
	}
	o := m.outcome(code)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(o.span...)
		if m.failed(code) {
			span.SetStatus(otelcodes.Error, redact(s.Message()))
		}
		span.End()
	}
	elapsed := event.EndTime.Sub(event.BeginTime).Seconds()
	for i, meter := range m.meters {
		meter.duration.Record(ctx, elapsed*meter.perSecond, o.record[i]...)
	}
}

// rpcHandler is what the handlers of clients and servers have in common.
type rpcHandler struct{}

// HandleRPC implements stats.Handler.
func (rpcHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	m, ok := ctx.Value(rpcKey{}).(*rpcMethod)
	if !ok {
		return
	}
	switch event := event.(type) {
	case *stats.OutHeader:
		if span := trace.SpanFromContext(ctx); event.Client && span.IsRecording() {
			span.SetAttributes(address(networkPeerAddress, networkPeerPort, event.RemoteAddr)...)
		}
	case *stats.InPayload:
		m.measure(ctx, event.Client, event.Length)
	case *stats.OutPayload:
		m.measure(ctx, !event.Client, event.Length)
	case *stats.End:
		m.end(ctx, event)
	}
}

// TagConn implements stats.Handler.
func (rpcHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (rpcHandler) HandleConn(context.Context, stats.ConnStats) {}

// rpcClient observes the calls of clients.
type rpcClient struct {
	rpcHandler
	*Telemetry
	servers sync.Map // the target as it was dialled → *rpc
}

// DialOptions make a client's calls observed: each attempt has its span, and takes its trace context along. The same
// options may serve any number of clients.
func (t *Telemetry) DialOptions() []grpc.DialOption {
	c := &rpcClient{Telemetry: t}
	return []grpc.DialOption{grpc.WithStatsHandler(c), grpc.WithChainUnaryInterceptor(c.aim)}
}

type serverKey struct{}

// aim tells TagRPC whom the client has dialled. gRPC itself tells it only when a connection is there, and that there is
// none is when one wants to know.
func (c *rpcClient) aim(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return next(context.WithValue(ctx, serverKey{}, c.server(cc.Target())), method, req, reply, cc, opts...)
}

func (c *rpcClient) server(target string) *rpc {
	if r, ok := c.servers.Load(target); ok {
		return r.(*rpc)
	}
	r, _ := c.servers.LoadOrStore(target, c.newRPC(trace.SpanKindClient, hostPort(target)))
	return r.(*rpc)
}

// TagRPC implements stats.Handler. Streams are left alone: this service has none but one that waits for changes for ever.
func (c *rpcClient) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	server, ok := ctx.Value(serverKey{}).(*rpc)
	if !ok {
		return ctx
	}
	m := server.method(info.FullMethodName)
	ctx = m.begin(ctx, m.start)
	out := outgoing{make([]string, 0, 6)}
	c.propagator.Inject(ctx, &out)
	return metadata.AppendToOutgoingContext(ctx, out.pairs...)
}

// rpcServer observes the calls of a server.
type rpcServer struct {
	rpcHandler
	*rpc
}

// ServerHandler observes the calls of a server. Only the methods that names.go lists leave telemetry: not health checks,
// and not what callers make up.
func (t *Telemetry) ServerHandler() stats.Handler {
	s := rpcServer{rpc: t.newRPC(trace.SpanKindServer, nil)}
	for _, name := range servedMethods() {
		s.method(name)
	}
	return s
}

type connKey struct{}

// TagConn keeps what is known of the connection, for the spans of its calls.
func (s rpcServer) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	ends := append(address(serverAddress, serverPort, info.LocalAddr), address(networkPeerAddress, networkPeerPort, info.RemoteAddr)...)
	return context.WithValue(ctx, connKey{}, trace.WithAttributes(ends...))
}

// TagRPC implements stats.Handler.
func (s rpcServer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	known, ok := s.methods.Load(info.FullMethodName)
	if !ok {
		return ctx
	}
	m := known.(*rpcMethod)
	options := m.start
	if ends, ok := ctx.Value(connKey{}).(trace.SpanStartEventOption); ok {
		options = append(slices.Clip(options), ends)
	}
	return m.begin(s.propagator.Extract(ctx, incoming{ctx}), options)
}

// outgoing carries a context into the metadata of a call.
type outgoing struct{ pairs []string }

func (o *outgoing) Get(string) string     { return "" }
func (o *outgoing) Keys() []string        { return nil }
func (o *outgoing) Set(key, value string) { o.pairs = append(o.pairs, key, value) }

// incoming carries a context out of the metadata of a call.
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
