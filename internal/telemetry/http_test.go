package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// post sends "order" to a server that answers as its handler does, and reads the answer.
func (r *recording) post(t *testing.T, ctx context.Context, handler http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	own := &http.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	url := strings.Replace(server.URL, "http://", "http://user:secret@", 1) + "/ship-order"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("order"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: r.Transport(own)}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func TestARequestIsASpanAndThreeMetrics(t *testing.T) {
	t.Parallel()
	r := record(t)
	ctx, parent := r.tracer.Start(t.Context(), "parent")
	var header http.Header
	if err := r.post(t, ctx, func(w http.ResponseWriter, req *http.Request) {
		header = req.Header
		_, _ = io.WriteString(w, "thanks")
	}); err != nil {
		t.Fatal(err)
	}
	parent.End()

	span := r.span(t, "client HTTP POST")
	want := `client HTTP POST
  int64 http.response.status_code=200
  int64 server.port=#
  string http.request.method=POST
  string network.protocol.version=1.1
  string server.address=127.0.0.1
  string url.full=http://REDACTED:REDACTED@127.0.0.1:#/ship-order
`
	if diff := cmp.Diff(want, describe(span)); diff != "" {
		t.Errorf("span (-want +got):\n%s", diff)
	}
	if span.Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Error("the span is not a child of its caller's")
	}
	if got, want := header.Get("traceparent"), span.SpanContext().SpanID().String(); !strings.Contains(got, want) {
		t.Errorf("the server got traceparent %q, want one of span %s", got, want)
	}
	point := "1 ×\n" + `  int64 http.response.status_code=200
  int64 server.port=#
  string http.request.method=POST
  string network.protocol.version=1.1
  string server.address=127.0.0.1
`
	wantMetrics := map[string]string{
		"http.client.request.duration":   "s\n" + point,
		"http.client.request.body.size":  "By\n" + point,
		"http.client.response.body.size": "By\n" + point,
	}
	if diff := cmp.Diff(wantMetrics, r.metrics(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if got := [2]int64{r.sum(t, httpRequestSize), r.sum(t, httpResponseSize)}; got != [2]int64{5, 6} {
		t.Errorf("request and response are of %v bytes, want 5 and 6", got)
	}
}

// sum is the sum of a histogram of integers with one point.
func (r *recording) sum(t *testing.T, name string) int64 {
	t.Helper()
	h, ok := r.collect(t)[name].Data.(metricdata.Histogram[int64])
	if !ok {
		t.Fatalf("no histogram %s", name)
	}
	return h.DataPoints[0].Sum
}

func TestAFailedRequestSaysWhy(t *testing.T) {
	t.Parallel()
	patient := func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
	for name, test := range map[string]struct {
		hurry   func(context.Context) (context.Context, context.CancelFunc)
		handler http.HandlerFunc
		want    string
	}{
		"refused": {patient, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "500"},
		"slow": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 20*time.Millisecond)
			},
			func(_ http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body) // or the server does not see that its caller has gone
				<-req.Context().Done()
			}, "timeout",
		},
		"cut off": {patient, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}, "_OTHER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t)
			ctx, cancel := test.hurry(t.Context())
			defer cancel()
			_ = r.post(t, ctx, test.handler)

			got := describe(r.span(t, "client HTTP POST"))
			if !strings.Contains(got, "status Error") || !strings.Contains(got, "error.type="+test.want) {
				t.Errorf("the span is not in error %s:\n%s", test.want, got)
			}
			if got := r.metrics(t)[httpDuration]; !strings.Contains(got, "error.type="+test.want) {
				t.Errorf("%s is not in error %s:\n%s", httpDuration, test.want, got)
			}
		})
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }

func TestTheCallersRequestIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	r := record(t)
	req, err := http.NewRequestWithContext(trace.ContextWithRemoteSpanContext(t.Context(), trace.SpanContext{}), http.MethodPost, "http://shipping/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Transport(refusing{}).RoundTrip(req); err == nil { //nolint:bodyclose // there is none
		t.Fatal("the request did not fail")
	}
	if len(req.Header) != 0 {
		t.Errorf("the request has got headers %v", req.Header)
	}
	if got := describe(r.span(t, "client HTTP POST")); !strings.Contains(got, "server.port=#") || !strings.Contains(got, `status Error "no route"`) {
		t.Errorf("the span lacks the default port or the error:\n%s", got)
	}
}
