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
	maxCalls   = 1024    // calls that a server remembers
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

// Server is what all servers of the shop have in common: an address, faults that can be switched on and off at
// any time, and remembers its calls. Its methods may be called from any goroutine.
type Server struct {
	*listener
	changes *notifier
	discard bool            // messages are not kept
	life    context.Context // ends when the server closes
	end     context.CancelFunc

	mu     sync.Mutex
	faults map[string]Fault
	queues map[string]*queue
	counts map[string]int
	active int
	peak   int
	calls  tail[Call]
}

func newServer(l *listener, n *notifier) *Server {
	life, end := context.WithCancel(context.Background())
	return &Server{
		listener: l,
		changes:  n,
		life:     life,
		end:      end,
		faults:   make(map[string]Fault),
		queues:   make(map[string]*queue),
		counts:   make(map[string]int),
		calls:    tail[Call]{limit: maxCalls},
	}
}

// Inject replaces the fault of the given methods or, if none is given, of all that have no fault of
// their own. Fault{} ends it.
func (s *Server) Inject(f Fault, methods ...string) {
	defer s.changes.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(methods) == 0 {
		methods = []string{""}
	}
	for _, method := range methods {
		s.faults[method] = f
	}
}

// Injected returns the fault of a method, or of those that have none of their own for "".
func (s *Server) Injected(method string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault(method)
}

// Calls returns the last calls of a method, or of all for "", oldest first: at most 1024 of all methods together.
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, call := range s.calls.last() {
		if method == "" || call.Method == method {
			calls = append(calls, call)
		}
	}
	return calls
}

// Count is how often a method was called, or all of them for "".
func (s *Server) Count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[method]
}

// Peak is the largest number of calls that were in progress at once.
func (s *Server) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// begin remembers a call and returns its fault. Every begin needs a done.
func (s *Server) begin(call Call) Fault {
	defer s.changes.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.add(call)
	s.counts[""]++
	s.counts[call.Method]++
	s.active++
	s.peak = max(s.peak, s.active)
	f := s.fault(call.Method)
	f.Kind = f.kindOf(s.counts[call.Method])
	return f
}

// fault is what is wrong with a method. The caller holds mu.
func (s *Server) fault(method string) Fault {
	if f := s.faults[method]; f != (Fault{}) {
		return f
	}
	return s.faults[""]
}

// delay keeps a Late call of a method back, and reports whether it is to be done: not when the server closes first.
func (s *Server) delay(method string, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.life, d)
	defer cancel()
	_ = s.changes.await(ctx, func() bool { // its time is up, or its fault is over: the same to the call
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.fault(method).Kind != Late
	})
	return s.life.Err() == nil
}

// wait keeps a call for as long as its fault says before anything is done. It returns the context to go on with, and
// false when the call is over: its caller has left, or the server closes.
func (s *Server) wait(ctx context.Context, method string, f Fault) (context.Context, bool) {
	if !wait.For(ctx, f.Latency) {
		return ctx, false
	}
	if f.Rate <= 0 {
		return ctx, true
	}
	s.mu.Lock()
	if s.queues[method] == nil {
		s.queues[method] = newQueue()
	}
	q := s.queues[method]
	s.mu.Unlock()
	waiting, cancel := context.WithCancel(ctx)
	if f.Persist {
		ctx = context.WithoutCancel(ctx)
		waiting, cancel = context.WithCancel(ctx)
	}
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	return ctx, q.pass(waiting, f.Rate)
}

func (s *Server) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
}

// serveGRPC serves what register registers until the returned function is called, which waits for all calls to end.
func (s *Server) serveGRPC(register func(grpc.ServiceRegistrar)) (stop func() error) {
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(s.intercept),
		grpc.MaxRecvMsgSize(16<<20), // a batch of telemetry is the largest message
		grpc.WaitForHandlers(true),
	)
	register(server)
	return s.serve(server.Serve, func() error { server.Stop(); return nil }, grpc.ErrServerStopped)
}

// serveHTTP serves a handler until the returned function is called, which waits for all calls to end.
func (s *Server) serveHTTP(handler http.Handler) (stop func() error) {
	server := &http.Server{
		Handler:           s.wrap(handler),
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return s.life },
	}
	return s.serve(server.Serve, func() error {
		s.TakeOffline() // breaks what is in progress, so that there is nothing to wait for but the handlers
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return server.Shutdown(grace)
	}, http.ErrServerClosed)
}

// intercept puts the server's fault around a gRPC call.
func (s *Server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	header, _ := metadata.FromIncomingContext(ctx)
	call := Call{Method: path.Base(info.FullMethod), Header: header}
	if message, ok := req.(proto.Message); ok && !s.discard {
		call.Message = message
	}
	fault := s.begin(call)
	defer s.done()

	ctx, ok := s.wait(ctx, call.Method, fault)
	if !ok {
		return nil, status.Error(codes.Canceled, "the caller has left, or the shop has closed")
	}
	switch fault.Kind {
	case Refuse:
		return nil, status.Error(fault.code(), fault.Text)
	case Hang:
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case Late:
		if !s.delay(call.Method, fault.Delay) {
			return nil, status.Error(codes.Unavailable, "the shop has closed")
		}
		ctx = context.WithoutCancel(ctx)
	case None, LoseAnswer, HangAfter:
	}
	answer, err := handler(ctx, req)
	switch fault.Kind {
	case LoseAnswer:
		return nil, status.Error(fault.code(), "the connection broke before the answer came")
	case HangAfter:
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case None, Refuse, Hang, Late:
	}
	return answer, err
}

// wrap puts the server's fault around HTTP calls.
func (s *Server) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			http.Error(w, "reading the body: "+err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		method := path.Base(r.URL.Path)
		fault := s.begin(Call{Method: method, Header: r.Header.Clone(), Body: body})
		defer s.done()

		ctx, ok := s.wait(r.Context(), method, fault)
		if !ok {
			return
		}
		r = r.WithContext(ctx)
		switch fault.Kind {
		case None:
			next.ServeHTTP(w, r)
		case Refuse:
			refuse(w, fault)
		case Hang:
			<-r.Context().Done()
		case LoseAnswer:
			next.ServeHTTP(discarded{}, r)
			hangUp(w)
		case HangAfter:
			next.ServeHTTP(discarded{}, r)
			<-r.Context().Done()
		case Late:
			if s.delay(method, fault.Delay) {
				next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
			}
		}
	})
}

func refuse(w http.ResponseWriter, f Fault) {
	if f.Location != "" {
		w.Header().Set("Location", f.Location)
	}
	w.WriteHeader(f.status())
	_, _ = io.WriteString(w, f.Text) // the caller may be gone, and that is theirs to notice
}

// hangUp breaks the connection.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close() // it is to be broken
	}
}

// discarded is a ResponseWriter for an answer that is lost.
type discarded struct{}

func (discarded) Header() http.Header         { return http.Header{} }
func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) WriteHeader(int)             {}

// serve runs a server on the listener until stop is called; an error that says no more than that it was stopped is
// none.
func (s *Server) serve(run func(l net.Listener) error, end func() error, stopped error) (stop func() error) {
	result := make(chan error, 1)
	go func() { result <- run(s.listener) }()
	return func() error {
		s.end()
		err := errors.Join(end(), s.Close())
		if ran := <-result; !errors.Is(ran, stopped) && !errors.Is(ran, net.ErrClosed) {
			err = errors.Join(err, ran)
		}
		if err != nil {
			return fmt.Errorf("serving at %s: %w", s.Address(), err)
		}
		return nil
	}
}
