package web

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. Nothing is measured by it.
const patience = 30 * time.Second

// start serves h until the returned stop, which tells what Serve returned.
func start(t *testing.T, h http.Handler) (address string, stop func() error) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, nil, h, slog.New(slog.DiscardHandler)) }()
	return "http://" + listener.Addr().String(), func() error { cancel(); return <-ended }
}

// reply is an answer whose body is closed when the test ends.
type reply struct {
	status int
	header http.Header
	body   io.ReadCloser
}

// fetch gets a page.
func fetch(t *testing.T, url string) *reply {
	t.Helper()
	r, err := try(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// try gets a page, from any goroutine.
func try(t *testing.T, url string) (*reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	return &reply{r.StatusCode, r.Header, r.Body}, nil
}

func TestAnEventNamesItsElementAndIsNotSentTwice(t *testing.T) {
	t.Parallel()
	streams := NewStreams(1)
	answer := httptest.NewRecorder()
	streams.Serve(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), func(_ context.Context, emit Emit) error {
		for _, event := range [][2]string{{"a", "<p>1</p>"}, {"a", "<p>1</p>"}, {"b", "one\r\ntwo\n\nthree\r\rdata: notice"}, {"a", "<p>2</p>"}, {"a", "<p>1</p>"}, {"c", ""}, {"c", ""}} {
			if err := emit(event[0], []byte(event[1])); err != nil {
				return err
			}
		}
		return nil
	})
	const want = "retry: 3000\n\n" +
		"data: a\ndata: <p>1</p>\n\n" +
		"data: b\ndata: one\ndata: two\ndata: \ndata: three\ndata: \ndata: data: notice\n\n" +
		"data: a\ndata: <p>2</p>\n\n" +
		"data: a\ndata: <p>1</p>\n\n" +
		"data: c\ndata: \n\n"
	if got := answer.Body.String(); got != want {
		t.Errorf("the stream is\n%q, want\n%q", got, want)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	streams := NewStreams(1)
	address, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams.Serve(w, r, func(ctx context.Context, _ Emit) error { <-ctx.Done(); return nil })
	}))
	first := fetch(t, address)
	if second := fetch(t, address); second.status != http.StatusServiceUnavailable || second.header.Get("Retry-After") == "" {
		t.Errorf("one too many is answered %d, want 503 and when to try again", second.status)
	}
	if first.status != http.StatusOK || first.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the first is answered %d, %s", first.status, first.header.Get("Content-Type"))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAStreamEndsWhenItsReaderGoes(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	streams := NewStreams(1)
	address, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams.Serve(w, r, func(ctx context.Context, _ Emit) error { <-ctx.Done(); close(over); return nil })
	}))
	if err := fetch(t, address).body.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("the stream goes on")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeEndsStreamsAndLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	begun, ending := make(chan struct{}), make(chan struct{})
	streams := NewStreams(1)
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		streams.Serve(w, r, func(ctx context.Context, _ Emit) error { <-ctx.Done(); close(ending); return nil })
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-ending // the server is shutting down
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "finished")
	})
	address, stop := start(t, mux)
	stream := fetch(t, address+"/stream")
	slow := make(chan func() (*reply, error), 1)
	go func() {
		r, err := try(t, address+"/slow")
		slow <- func() (*reply, error) { return r, err }
	}()
	<-begun
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	lines := bufio.NewScanner(stream.body)
	for lines.Scan() {
	}
	if lines.Err() != nil {
		t.Errorf("the stream ended with %v, want in order", lines.Err())
	}
	r, err := (<-slow)()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.body)
	if err != nil || r.status != http.StatusOK || !strings.Contains(string(body), "finished") {
		t.Errorf("the request under way was answered %d, %q, %v; want it finished", r.status, body, err)
	}
}

func TestServeTellsThatItCannot(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), listener, nil, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("Serve on a listener that is closed returned nil")
	}
}
