package telemetry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/redact"
)

type transport struct {
	*Telemetry
	next                http.RoundTripper
	duration            metric.Float64Histogram
	requests, responses metric.Int64Histogram
	start               []trace.SpanStartOption
}

// Transport observes the requests that go through next, by the stable semantic conventions for HTTP (the name of the span
// may be the older one). A span ends when the body of the response has been read or closed.
func (t *Telemetry) Transport(next http.RoundTripper) http.RoundTripper {
	return &transport{
		Telemetry: t,
		next:      next,
		duration:  t.duration(httpDuration),
		requests:  t.size(httpRequestSize),
		responses: t.size(httpResponseSize),
		start:     []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)},
	}
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &exchange{transport: t, began: time.Now(), sent: max(req.ContentLength, 0)}
	method := cmp.Or(req.Method, http.MethodGet)
	x.attrs = server(append(make([]attribute.KeyValue, 0, 6), httpRequestMethod.String(method)), req.URL)
	//nolint:spancheck // finish ends it
	x.ctx, x.span = t.tracer.Start(req.Context(), t.conventions.http+method, t.start...)
	if x.span.IsRecording() {
		x.span.SetAttributes(urlFull.String(withoutUser(req.URL)))
	}
	req = req.WithContext(x.ctx)
	req.Header = req.Header.Clone() // a RoundTripper must not change the request
	t.propagator.Inject(x.ctx, propagation.HeaderCarrier(req.Header))

	res, err := t.next.RoundTrip(req)
	if err != nil {
		x.finish(err)
		return res, err
	}
	x.status = res.StatusCode
	x.attrs = append(x.attrs, httpStatusCode.Int(res.StatusCode),
		networkProtocolVersion.String(strconv.Itoa(res.ProtoMajor)+"."+strconv.Itoa(res.ProtoMinor)))
	x.body, res.Body = res.Body, x
	return res, nil
}

// exchange is a request and its response, as the body of the latter.
type exchange struct {
	*transport
	ctx            context.Context // of the span, for the exemplars of the metrics
	span           trace.Span
	attrs          []attribute.KeyValue
	began          time.Time
	status         int // 0 without a response
	body           io.ReadCloser
	sent, received int64
	finished       atomic.Bool
}

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

func (x *exchange) Close() error {
	defer x.finish(nil)
	return x.body.Close()
}

// finish ends the exchange, which failed with err unless that is nil. Only the first call counts.
func (x *exchange) finish(err error) {
	if x.finished.Swap(true) {
		return
	}
	switch {
	case x.status >= http.StatusBadRequest: // whatever came after that
		x.attrs = append(x.attrs, errorType.String(strconv.Itoa(x.status)))
		x.span.SetStatus(codes.Error, "")
	case err != nil:
		x.attrs = append(x.attrs, errorType.String(errorKind(err)))
		x.span.SetStatus(codes.Error, redact.Text(err.Error()))
	}
	x.span.SetAttributes(x.attrs...)
	x.span.End()
	record := []metric.RecordOption{measurement(x.attrs...)}
	x.duration.Record(x.ctx, time.Since(x.began).Seconds(), record...)
	x.requests.Record(x.ctx, x.sent, record...)
	x.responses.Record(x.ctx, x.received, record...)
}

// server adds the server of a URL.
func server(attrs []attribute.KeyValue, u *url.URL) []attribute.KeyValue {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return serverAt(attrs, u.Hostname(), port)
}

// withoutUser is a URL without the user's name and password.
func withoutUser(u *url.URL) string {
	if u.User == nil {
		return u.String()
	}
	bare := *u
	bare.User = url.UserPassword("REDACTED", "REDACTED")
	return bare.String()
}
