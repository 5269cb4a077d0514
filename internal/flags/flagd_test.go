package flags_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"checkout/gen/flagd/evaluationv1"
)

const (
	paymentUnreachable = "paymentUnreachable"
	kafkaQueueProblems = "kafkaQueueProblems"
)

// setting is a flag in flagd.
type setting struct {
	value  any // bool or int64
	reason string
	err    error // instead of a value
}

// flagd is a small server of the evaluation protocol. It counts what it is asked.
type flagd struct {
	evaluationv1.UnimplementedServiceServer

	mu      sync.Mutex
	flags   map[string]setting
	delay   time.Duration // of every evaluation
	changed chan struct{} // closed when flags change
	asked   int
	streams int
}

func newFlagd(flags map[string]setting) *flagd {
	return &flagd{flags: flags, changed: make(chan struct{})}
}

// set changes a flag and tells everybody.
func (f *flagd) set(flag string, s setting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flags[flag] = s
	close(f.changed)
	f.changed = make(chan struct{})
}

// slow makes every evaluation from now on take d.
func (f *flagd) slow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// questions is how many flags have been asked for since the last time.
func (f *flagd) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked
	f.asked = 0
	return n
}

func (f *flagd) subscriptions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

func (f *flagd) resolve(ctx context.Context, flag string) (setting, error) {
	f.mu.Lock()
	f.asked++
	s, ok := f.flags[flag]
	delay := f.delay
	f.mu.Unlock()
	if !ok {
		return setting{}, status.Errorf(codes.NotFound, "flag %s not found", flag)
	}
	select {
	case <-ctx.Done():
		return setting{}, status.FromContextError(ctx.Err()).Err()
	case <-time.After(delay):
		return s, s.err
	}
}

func (f *flagd) ResolveBoolean(
	ctx context.Context, req *evaluationv1.ResolveBooleanRequest,
) (*evaluationv1.ResolveBooleanResponse, error) {
	s, err := f.resolve(ctx, req.GetFlagKey())
	if err != nil {
		return nil, err
	}
	value, ok := s.value.(bool)
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "flag %s is not boolean", req.GetFlagKey())
	}
	return &evaluationv1.ResolveBooleanResponse{Value: value, Reason: s.reason, Variant: "v"}, nil
}

func (f *flagd) ResolveInt(
	ctx context.Context, req *evaluationv1.ResolveIntRequest,
) (*evaluationv1.ResolveIntResponse, error) {
	s, err := f.resolve(ctx, req.GetFlagKey())
	if err != nil {
		return nil, err
	}
	value, ok := s.value.(int64)
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "flag %s is not a number", req.GetFlagKey())
	}
	return &evaluationv1.ResolveIntResponse{Value: value, Reason: s.reason, Variant: "v"}, nil
}

func (f *flagd) EventStream(
	_ *evaluationv1.EventStreamRequest, stream grpc.ServerStreamingServer[evaluationv1.EventStreamResponse],
) error {
	f.mu.Lock()
	f.streams++
	f.mu.Unlock()
	event, changed := "provider_ready", f.change()
	for {
		if err := stream.Send(&evaluationv1.EventStreamResponse{Type: event}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-changed:
			event, changed = "configuration_change", f.change()
		case <-time.After(20 * time.Second):
			event = "keep_alive"
		}
	}
}

// change is closed when the flags change next.
func (f *flagd) change() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// network is where flagd is, or is not, without leaving the process: time can be virtual on it.
type network struct {
	log log // of the flags

	mu       sync.Mutex
	listener *bufconn.Listener // nil while flagd is unavailable
	dials    int
}

var errRefused = errors.New("connection refused")

func (n *network) dial(ctx context.Context, _ string) (net.Conn, error) {
	n.mu.Lock()
	listener := n.listener
	n.dials++
	n.mu.Unlock()
	if listener == nil {
		return nil, errRefused
	}
	return listener.DialContext(ctx)
}

func (n *network) dialled() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// start brings a service up, until stop is called or the test ends.
func (n *network) start(t *testing.T, service evaluationv1.ServiceServer) (stop func()) {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer()
	evaluationv1.RegisterServiceServer(server, service)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("flagd: %v", err)
		}
	})
	n.use(listener)
	var once sync.Once
	stop = func() {
		once.Do(func() {
			n.use(nil)
			server.Stop()
			serving.Wait()
		})
	}
	t.Cleanup(stop)
	return stop
}

func (n *network) use(listener *bufconn.Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = listener
}
