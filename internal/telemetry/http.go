package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type transport struct {
	*Telemetry
	next                http.RoundTripper
	duration            metric.Float64Histogram
	requests, responses metric.Int64Histogram
}

// Transport observes the requests that go through next, by the stable semantic conventions for HTTP. A span ends when
// the body of its answer has been read or closed.
func (t *Telemetry) Transport(next http.RoundTripper) http.RoundTripper {
	return &transport{
		Telemetry: t,
		next:      next,
		duration:  t.duration(httpDuration),
		requests:  t.size(httpRequestSize),
		responses: t.size(httpResponseSize),
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &exchange{transport: t, start: time.Now(), sent: req.ContentLength}
	x.attrs = append(x.attrs, httpRequestMethod.String(method(req)))
	x.attrs = append(x.attrs, server(req.URL)...)
	//nolint:spancheck // finish ends it
	x.ctx, x.span = t.tracer.Start(req.Context(), method(req), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(x.attrs...), trace.WithAttributes(urlFull.String(plain(req.URL))))
	req = req.Clone(x.ctx) // a RoundTripper leaves the request as it was
	t.propagator.Inject(x.ctx, propagation.HeaderCarrier(req.Header))

	res, err := t.next.RoundTrip(req)
	if err != nil {
		x.finish(err)
		return res, err
	}
	x.answered(res)
	res.Body = &body{ReadCloser: res.Body, exchange: x}
	return res, nil
}

// exchange is a request and its answer.
type exchange struct {
	*transport
	ctx            context.Context // of the span, for the metrics' exemplars
	span           trace.Span
	start          time.Time
	attrs          []attribute.KeyValue // of span and metrics
	sent, received int64
	failed         bool
	once           sync.Once
}

func (x *exchange) answered(res *http.Response) {
	facts := []attribute.KeyValue{
		httpStatusCode.Int(res.StatusCode),
		networkProtocolVersion.String(strconv.Itoa(res.ProtoMajor) + "." + strconv.Itoa(res.ProtoMinor)),
	}
	if res.StatusCode >= http.StatusBadRequest {
		x.failed = true
		facts = append(facts, errorType.String(strconv.Itoa(res.StatusCode)))
		x.span.SetStatus(codes.Error, "")
	}
	x.span.SetAttributes(facts...)
	x.attrs = append(x.attrs, facts...)
}

// finish ends the exchange, with what went wrong or nil. Only the first call counts.
func (x *exchange) finish(err error) {
	x.once.Do(func() {
		if err != nil && !x.failed {
			kind := errorType.String(errorKind(err))
			x.attrs = append(x.attrs, kind)
			x.span.SetAttributes(kind)
			x.span.SetStatus(codes.Error, redact(err.Error()))
		}
		x.span.End()
		with := metric.WithAttributeSet(attribute.NewSet(x.attrs...))
		x.duration.Record(x.ctx, time.Since(x.start).Seconds(), with)
		x.requests.Record(x.ctx, max(x.sent, 0), with)
		x.responses.Record(x.ctx, x.received, with)
	})
}

// body ends the exchange with the answer.
type body struct {
	io.ReadCloser
	*exchange
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.received += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.finish(nil)
	case err != nil:
		b.finish(err)
	}
	return n, err
}

func (b *body) Close() error {
	defer b.finish(nil)
	return b.ReadCloser.Close()
}

func method(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
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
