package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/internal/wait"
)

const (
	maxRequest = 1 << 20 // bytes of an HTTP request
	maxCalls   = 1024    // calls that a neighbour remembers
)

// Call is a request as it arrived.
type Call struct {
	// Method is the last part of its path: "Charge", "ship-order".
	Method string
	// Header is the gRPC metadata or the HTTP header. Names are in lower case with gRPC, canonical with HTTP.
	Header map[string][]string
	// Body is an HTTP request's body, byte for byte.
	Body []byte
	// Message is a gRPC request. The payment service keeps none: it would hold a card.
	Message proto.Message
}

// Neighbour is what all servers of the shop have in common: an address, troubles that can be switched on and off at
// any time, and a memory of who called. Its methods may be called from any goroutine.
type Neighbour struct {
	*door
	bell    *bell
	discard bool            // messages are not kept
	life    context.Context // ends when the neighbour closes
	end     context.CancelFunc

	mu       sync.Mutex
	troubles map[string]Trouble
	queues   map[string]*queue
	counts   map[string]int
	active   int
	peak     int
	calls    tail[Call]
}

func newNeighbour(d *door, b *bell) *Neighbour {
	life, end := context.WithCancel(context.Background())
	return &Neighbour{
		door:     d,
		bell:     b,
		life:     life,
		end:      end,
		troubles: make(map[string]Trouble),
		queues:   make(map[string]*queue),
		counts:   make(map[string]int),
		calls:    tail[Call]{limit: maxCalls},
	}
}

// Trouble replaces what is wrong with the given methods, or, when none is given, with all that have no trouble of
// their own. Trouble{} ends it.
func (n *Neighbour) Trouble(t Trouble, methods ...string) {
	defer n.bell.ring()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(methods) == 0 {
		methods = []string{""}
	}
	for _, method := range methods {
		n.troubles[method] = t
	}
}

// Troubled is what is wrong with a method now, or with those that have no trouble of their own for "".
func (n *Neighbour) Troubled(method string) Trouble {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trouble(method)
}

// Calls returns the last calls of a method, or of all for "", oldest first: at most 1024 of all methods together.
func (n *Neighbour) Calls(method string) []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	var calls []Call
	for _, call := range n.calls.last() {
		if method == "" || call.Method == method {
			calls = append(calls, call)
		}
	}
	return calls
}

// Count is how often a method was called, or all of them for "".
func (n *Neighbour) Count(method string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts[method]
}

// Peak is the largest number of calls that were under way at once.
func (n *Neighbour) Peak() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peak
}

// begin remembers a call and tells what is wrong with it. Every begin needs a done.
func (n *Neighbour) begin(call Call) Trouble {
	defer n.bell.ring()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls.add(call)
	n.counts[""]++
	n.counts[call.Method]++
	n.active++
	n.peak = max(n.peak, n.active)
	t := n.trouble(call.Method)
	t.Fault = t.meet(n.counts[call.Method])
	return t
}

// trouble is what is wrong with a method. The caller holds mu.
func (n *Neighbour) trouble(method string) Trouble {
	if t := n.troubles[method]; t != (Trouble{}) {
		return t
	}
	return n.troubles[""]
}

// delay keeps a Late call of a method back, and tells whether it is to be done: not when the neighbour closes first.
func (n *Neighbour) delay(method string, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(n.life, d)
	defer cancel()
	_ = n.bell.await(ctx, func() bool { // its time is up, or its trouble is over: the same to the call
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.trouble(method).Fault != Late
	})
	return n.life.Err() == nil
}

// wait keeps a call for as long as its trouble says before anything is done. It returns the context to go on with, and
// false when the call is over: its caller has left, or the neighbour closes.
func (n *Neighbour) wait(ctx context.Context, method string, t Trouble) (context.Context, bool) {
	if !wait.For(ctx, t.Latency) {
		return ctx, false
	}
	if t.Rate <= 0 {
		return ctx, true
	}
	n.mu.Lock()
	if n.queues[method] == nil {
		n.queues[method] = newQueue()
	}
	q := n.queues[method]
	n.mu.Unlock()
	waiting, cancel := context.WithCancel(ctx)
	if t.Persist {
		ctx = context.WithoutCancel(ctx)
		waiting, cancel = context.WithCancel(ctx)
	}
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	return ctx, q.pass(waiting, t.Rate)
}

func (n *Neighbour) done() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.active--
}

// serveGRPC serves what register registers until the returned function is called, which waits for all calls to end.
func (n *Neighbour) serveGRPC(register func(grpc.ServiceRegistrar)) (stop func() error) {
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(n.intercept),
		grpc.MaxRecvMsgSize(16<<20), // a batch of telemetry is the largest message
		grpc.WaitForHandlers(true),
	)
	register(server)
	return n.serve(server.Serve, func() error { server.Stop(); return nil }, grpc.ErrServerStopped)
}

// serveHTTP serves a handler until the returned function is called, which waits for all calls to end.
func (n *Neighbour) serveHTTP(handler http.Handler) (stop func() error) {
	server := &http.Server{
		Handler:           n.wrap(handler),
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return n.life },
	}
	return n.serve(server.Serve, func() error {
		n.Leave() // breaks what is under way, so that there is nothing to wait for but the handlers
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return server.Shutdown(grace)
	}, http.ErrServerClosed)
}

// intercept puts the neighbour's trouble around a gRPC call.
func (n *Neighbour) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	header, _ := metadata.FromIncomingContext(ctx)
	call := Call{Method: path.Base(info.FullMethod), Header: header}
	if message, ok := req.(proto.Message); ok && !n.discard {
		call.Message = message
	}
	trouble := n.begin(call)
	defer n.done()

	ctx, ok := n.wait(ctx, call.Method, trouble)
	if !ok {
		return nil, status.Error(codes.Canceled, "the caller has left, or the shop has closed")
	}
	switch trouble.Fault {
	case Refuse:
		return nil, status.Error(trouble.code(), trouble.Text)
	case Hang:
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case Late:
		if !n.delay(call.Method, trouble.Delay) {
			return nil, status.Error(codes.Unavailable, "the shop has closed")
		}
		ctx = context.WithoutCancel(ctx)
	case None, LoseAnswer, HangAfter:
	}
	answer, err := handler(ctx, req)
	switch trouble.Fault {
	case LoseAnswer:
		return nil, status.Error(trouble.code(), "the connection broke before the answer came")
	case HangAfter:
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case None, Refuse, Hang, Late:
	}
	return answer, err
}

// wrap puts the neighbour's trouble around HTTP calls.
func (n *Neighbour) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			http.Error(w, "reading the body: "+err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		method := path.Base(r.URL.Path)
		trouble := n.begin(Call{Method: method, Header: r.Header.Clone(), Body: body})
		defer n.done()

		ctx, ok := n.wait(r.Context(), method, trouble)
		if !ok {
			return
		}
		r = r.WithContext(ctx)
		switch trouble.Fault {
		case None:
			next.ServeHTTP(w, r)
		case Refuse:
			refuse(w, trouble)
		case Hang:
			<-r.Context().Done()
		case LoseAnswer:
			next.ServeHTTP(nowhere{}, r)
			hangUp(w)
		case HangAfter:
			next.ServeHTTP(nowhere{}, r)
			<-r.Context().Done()
		case Late:
			if n.delay(method, trouble.Delay) {
				next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
			}
		}
	})
}

func refuse(w http.ResponseWriter, t Trouble) {
	if t.Location != "" {
		w.Header().Set("Location", t.Location)
	}
	w.WriteHeader(t.status())
	_, _ = io.WriteString(w, t.Text) // the caller may be gone, and that is theirs to notice
}

// hangUp breaks the connection.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close() // it is to be broken
	}
}

// nowhere is a ResponseWriter for an answer that is lost.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

// serve runs a server behind the door until stop is called; an error that says no more than that it was stopped is
// none.
func (n *Neighbour) serve(run func(l net.Listener) error, end func() error, stopped error) (stop func() error) {
	result := make(chan error, 1)
	go func() { result <- run(n.door) }()
	return func() error {
		n.end()
		err := errors.Join(end(), n.Close())
		if ran := <-result; !errors.Is(ran, stopped) && !errors.Is(ran, net.ErrClosed) {
			err = errors.Join(err, ran)
		}
		if err != nil {
			return fmt.Errorf("serving at %s: %w", n.Address(), err)
		}
		return nil
	}
}
