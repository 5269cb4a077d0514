package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

type transport struct {
	*Telemetry
	next                http.RoundTripper
	duration            metric.Float64Histogram
	requests, responses metric.Int64Histogram
	begin               []trace.SpanStartOption

	mu    sync.Mutex
	known map[exchanged]*httpOutcome
}

// exchanged is all that a request and its answer have in common with others.
type exchanged struct {
	method, scheme, host string
	status, major, minor int    // 0 without an answer
	failure              string // the error.type, if there is one
}

// httpOutcome is what is told of exchanges of one kind: made once, because every order has three.
type httpOutcome struct {
	span   []attribute.KeyValue // all but the URL
	record []metric.RecordOption
}

// outcomesKept bounds the kinds of exchanges that are remembered, whatever neighbours answer.
const outcomesKept = 64

// Transport observes the requests that go through next, by the stable semantic conventions for HTTP, the span's name aside. A span ends when
// the body of its answer has been read or closed.
func (t *Telemetry) Transport(next http.RoundTripper) http.RoundTripper {
	return &transport{
		Telemetry: t,
		next:      next,
		duration:  t.duration(httpDuration),
		requests:  t.size(httpRequestSize),
		responses: t.size(httpResponseSize),
		begin:     []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)},
		known:     make(map[exchanged]*httpOutcome),
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &exchange{transport: t, start: time.Now(), sent: req.ContentLength}
	x.is = exchanged{method: method(req), scheme: req.URL.Scheme, host: req.URL.Host}
	//nolint:spancheck // finish ends it
	x.ctx, x.span = t.tracer.Start(req.Context(), t.conventions.http+x.is.method, t.begin...)
	if x.span.IsRecording() {
		x.span.SetAttributes(urlFull.String(plain(req.URL)))
	}
	req = req.WithContext(x.ctx)
	req.Header = req.Header.Clone() // a RoundTripper leaves the request as it was
	t.propagator.Inject(x.ctx, headerCarrier(req.Header))

	res, err := t.next.RoundTrip(req)
	if err != nil {
		x.finish(err)
		return res, err
	}
	x.is.status, x.is.major, x.is.minor = res.StatusCode, res.ProtoMajor, res.ProtoMinor
	x.body, res.Body = res.Body, x
	return res, nil
}

// exchange is a request and its answer, and the body of that.
type exchange struct {
	*transport
	is             exchanged
	ctx            context.Context // of the span, for the metrics' exemplars
	span           trace.Span
	start          time.Time
	body           io.ReadCloser
	sent, received int64
	finished       atomic.Bool
}

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	n, err := x.body.Read(p)
	x.received += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		x.finish(nil)
	case err != nil:
		x.finish(err)
	}
	return n, err
}

// Close implements io.Closer.
func (x *exchange) Close() error {
	defer x.finish(nil)
	return x.body.Close()
}

// finish ends the exchange, with what went wrong or nil. Only the first call counts.
func (x *exchange) finish(err error) {
	if x.finished.Swap(true) {
		return
	}
	switch {
	case x.is.status >= http.StatusBadRequest: // whatever came after that
		x.is.failure = strconv.Itoa(x.is.status)
		x.span.SetStatus(codes.Error, "")
	case err != nil:
		x.is.failure = errorKind(err)
		x.span.SetStatus(codes.Error, redact(err.Error()))
	}
	o := x.outcome(x.is)
	x.span.SetAttributes(o.span...)
	x.span.End()
	x.duration.Record(x.ctx, time.Since(x.start).Seconds(), o.record...)
	x.requests.Record(x.ctx, max(x.sent, 0), o.record...)
	x.responses.Record(x.ctx, x.received, o.record...)
}

// outcome is what is told of such an exchange.
func (t *transport) outcome(is exchanged) *httpOutcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.known[is]
	if o == nil {
		o = is.outcome()
		if len(t.known) < outcomesKept {
			t.known[is] = o
		}
	}
	return o
}

func (e exchanged) outcome() *httpOutcome {
	attrs := append([]attribute.KeyValue{httpRequestMethod.String(e.method)}, server(&url.URL{Scheme: e.scheme, Host: e.host})...)
	if e.status != 0 {
		attrs = append(attrs, httpStatusCode.Int(e.status), networkProtocolVersion.String(strconv.Itoa(e.major)+"."+strconv.Itoa(e.minor)))
	}
	if e.failure != "" {
		attrs = append(attrs, errorType.String(e.failure))
	}
	return &httpOutcome{attrs, recordOptions(attrs)}
}

func method(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

// headerCarrier carries a context into the header of a request. It knows the names that are always sent as net/http wants
// them, which would otherwise make them anew each time.
type headerCarrier http.Header

func (h headerCarrier) Get(string) string { return "" }
func (h headerCarrier) Keys() []string    { return nil }
func (h headerCarrier) Set(key, value string) {
	switch key {
	case traceparent:
		key = "Traceparent"
	case "baggage":
		key = "Baggage"
	default:
		key = http.CanonicalHeaderKey(key)
	}
	h[key] = []string{value}
}

// server is whom a URL names.
func server(u *url.URL) []attribute.KeyValue {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	attrs := []attribute.KeyValue{serverAddress.String(u.Hostname())}
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, serverPort.Int(n))
	}
	return attrs
}

// plain is a URL without a user's name and password.
func plain(u *url.URL) string {
	if u.User == nil {
		return u.String()
	}
	bare := *u
	bare.User = url.UserPassword("REDACTED", "REDACTED")
	return bare.String()
}
