package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"checkout/internal/wait"
)

const (
	// beatEvery is how often a stream says that it is alive, so that neither end takes silence for the other's absence.
	beatEvery = 15 * time.Second
	// writeTime is how long a browser may take to accept what it is sent.
	writeTime = 10 * time.Second
)

// Emit gives the element of that id new contents. What it has already is not sent again. It fails when the reader is gone.
type Emit func(id string, html []byte) error

// Streams are the streams of server-sent events that keep pages fresh: for each, a browser holds a connection.
type Streams struct {
	places *semaphore.Weighted
}

// NewStreams makes Streams of which at most so many are open at once.
func NewStreams(most int) *Streams {
	return &Streams{semaphore.NewWeighted(int64(most))}
}

// Serve answers with what send emits. Its context ends when the browser goes away or the server shuts down (Serve); send
// returns then, and may return any time before: the browser comes back, and is sent everything again. When too many
// streams are open the answer is 503 (Service Unavailable), and the browser tries again later.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, send func(ctx context.Context, emit Emit) error) {
	if !s.places.TryAcquire(1) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many pages update live already", http.StatusServiceUnavailable)
		return
	}
	defer s.places.Release(1)
	ctx, cancel := untilShutdown(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &stream{w: http.NewResponseController(w), body: w, last: make(map[string][]byte)}
	_ = out.w.SetReadDeadline(time.Time{}) // the server's own would end the stream
	if out.write("retry: 3000\n\n") != nil {
		return
	}
	var beat sync.WaitGroup
	beat.Go(func() { out.beat(ctx, cancel) })
	defer beat.Wait()
	defer cancel()
	_ = send(ctx, out.emit) // the reader of its error has left
}

// stream is one of them.
type stream struct {
	mu   sync.Mutex
	w    *http.ResponseController
	body http.ResponseWriter
	last map[string][]byte // what each element has, by its id
}

// emit implements Emit. An event's data is the id, a line break, and the contents.
func (s *stream) emit(id string, html []byte) error {
	s.mu.Lock()
	known, ok := s.last[id]
	s.last[id] = html
	s.mu.Unlock()
	if ok && bytes.Equal(known, html) {
		return nil
	}
	var event strings.Builder
	event.WriteString("data: " + id + "\n")
	// To a reader of events each of these ends a line, and what stands behind it would be another field.
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(html))
	for line := range strings.SplitSeq(lines, "\n") {
		event.WriteString("data: " + line + "\n")
	}
	event.WriteString("\n")
	return s.write(event.String())
}

func (s *stream) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.w.SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.body.Write([]byte(text)); err != nil {
		return err
	}
	return s.w.Flush()
}

// beat sends something at intervals until ctx ends, and ends the stream when its reader has left.
func (s *stream) beat(ctx context.Context, gone context.CancelFunc) {
	for wait.For(ctx, beatEvery) {
		if s.write(":\n\n") != nil {
			gone()
		}
	}
}
