package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// forwardTime is how long a service may take to answer a front.
	forwardTime = 10 * time.Second
	// mostBody is how large a request may be that is looked at.
	mostBody = 16 << 20
)

// front is a proxy before one of the services that checkout calls, and fails as a mode says: with connections, or with the
// calls of one method. All the rest it passes on. When it is healed it passes on everything.
type front struct {
	addr     string // its own
	to       string // the service's
	method   string // the one that goes wrong; empty: all of them
	mode     mode
	healed   atomic.Bool
	hits     atomic.Int64 // connections or calls that went wrong
	listener net.Listener
	server   *http.Server
	client   http.RoundTripper
	life     context.Context // ends with the front
	end      context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// newFront starts a front before a service. http2 says what the service speaks.
func newFront(ctx context.Context, to, method string, http2 bool, m mode) (*front, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{addr: listener.Addr().String(), to: to, method: method, mode: m, listener: listener, conns: make(map[net.Conn]struct{})}
	f.life, f.end = context.WithCancel(context.Background())
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	f.client = transport
	if m.conn != nil {
		f.running.Go(f.accept)
		return f, nil
	}
	f.server = &http.Server{
		Handler: http.HandlerFunc(f.serve), ReadHeaderTimeout: forwardTime, Protocols: new(http.Protocols),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		BaseContext: func(net.Listener) context.Context { return f.life },
		ErrorLog:    log.New(io.Discard, "", 0), // what it would say is what was asked for
	}
	f.server.Protocols.SetHTTP1(true)
	f.server.Protocols.SetUnencryptedHTTP2(true)
	f.running.Go(func() { _ = f.server.Serve(listener) }) // it is closed
	return f, nil
}

type connKey struct{}

// heal ends the misbehaviour. What is under way is broken off.
func (f *front) heal() {
	f.healed.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close() // the service connects anew
	}
}

// close ends the front.
func (f *front) close() {
	f.end()
	if f.server != nil {
		_ = f.server.Close() // no caller is left
	}
	_ = f.listener.Close() // likewise
	f.heal()
	f.running.Wait()
}

// accept serves connections that go wrong as such.
func (f *front) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[conn] = struct{}{}
		f.mu.Unlock()
		f.running.Go(func() {
			defer func() {
				f.mu.Lock()
				delete(f.conns, conn)
				f.mu.Unlock()
				_ = conn.Close() // whatever became of it
			}()
			if f.healed.Load() {
				f.pass(conn)
				return
			}
			if !f.mode.relayed {
				f.hits.Add(1)
			}
			f.mode.conn(f, conn)
		})
	}
}

// pass connects a connection with the service.
func (f *front) pass(conn net.Conn) {
	to, err := (&net.Dialer{Timeout: time.Second}).DialContext(f.life, "tcp", f.to)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.conns[to] = struct{}{}
	f.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, to}, {to, conn}} {
		both.Go(func() {
			if f.mode.lag > 0 && way[1] == to {
				f.late(way[0], way[1])
			} else {
				_, _ = io.Copy(way[0], way[1]) // it ends when either side does
			}
			_ = way[0].Close() // likewise
			_ = way[1].Close() // likewise
		})
	}
	both.Wait()
	f.mu.Lock()
	delete(f.conns, to)
	f.mu.Unlock()
}

// serve serves a call.
func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err != nil {
		return // the caller has left
	}
	x := &exchange{ResponseWriter: w, Request: r, body: body, front: f}
	if f.healed.Load() || f.method != "" && path.Base(r.URL.Path) != f.method {
		x.write(x.answer())
		return
	}
	f.hits.Add(1)
	f.mode.call(x)
}

// exchange is a call that goes wrong.
type exchange struct {
	http.ResponseWriter
	*http.Request
	body  []byte
	front *front
}

// answer is what the service answers.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	trailer http.Header
}

// forward asks the service, whether the caller is still there or not. It returns nil when there is no answer.
func (x *exchange) forward() *answer {
	ctx, cancel := context.WithTimeout(x.front.life, forwardTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, x.Method, "http://"+x.front.to+x.URL.Path, bytes.NewReader(x.body))
	if err != nil {
		return nil
	}
	r.Header = x.Request.Header.Clone()
	r.Header.Del("grpc-timeout")
	resp, err := x.front.client.RoundTrip(r)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil
	}
	return &answer{resp.StatusCode, resp.Header, body, resp.Trailer}
}

// answer is what the service answers. Where there is no answer, the call is cut.
func (x *exchange) answer() *answer {
	a := x.forward()
	if a == nil {
		x.cut()
	}
	return a
}

// write writes the service's answer.
func (x *exchange) write(a *answer) {
	for name, values := range a.header {
		if name != "Content-Length" && name != "Trailer" {
			x.Header()[name] = values
		}
	}
	x.WriteHeader(a.status)
	_, _ = x.Write(a.body) // the caller may have left
	for name, values := range a.trailer {
		x.Header()[http.TrailerPrefix+name] = values
	}
}

// Header is that of the answer.
func (x *exchange) Header() http.Header { return x.ResponseWriter.Header() }

// Write writes to the answer.
func (x *exchange) Write(p []byte) (int, error) { return x.ResponseWriter.Write(p) }

// flush sends what was written.
func (x *exchange) flush() { _ = http.NewResponseController(x.ResponseWriter).Flush() } // likewise

// hang waits until the caller leaves or the front is healed. There is no answer.
func (x *exchange) hang() {
	x.untilLeft()
	x.cut()
}

func (x *exchange) untilLeft() {
	for !x.front.healed.Load() && hold(x, 20*time.Millisecond) {
	}
}

// cut breaks the call off, and over HTTP/1 its connection.
func (x *exchange) cut() {
	panic(http.ErrAbortHandler) //nolint:forbidigo // it is how net/http resets a stream
}

// breakOff breaks the connection, with all its calls.
func (x *exchange) breakOff() {
	conn, ok := x.Context().Value(connKey{}).(net.Conn)
	if ok {
		_ = conn.Close() // it is to be broken
	}
}

// endless writes until the caller has enough.
func (x *exchange) endless(chunk []byte) {
	for written := 0; written < 256<<20 && x.front.life.Err() == nil && !x.front.healed.Load(); written += len(chunk) {
		if _, err := x.Write(chunk); err != nil {
			return
		}
		x.flush()
	}
}

// errNoHit says that a mode was never met.
var errNoHit = errors.New("nothing went wrong: the mode was never met")
