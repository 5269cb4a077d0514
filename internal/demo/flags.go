package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"checkout/gen/flagd/evaluationv1"
)

// Flags are the shop's feature flags: a flagd that answers its evaluation protocol, and the flag file that a flagd of
// your own would read.
type Flags struct {
	*Server
	evaluationv1.UnimplementedServiceServer

	path string

	mu      sync.Mutex
	values  map[string]any // bool, int64 or float64
	changed chan struct{}  // closed at the next change
}

func newFlags(n *Server, folder string) (*Flags, func() error, error) {
	f := &Flags{
		Server:  n,
		path:    filepath.Join(folder, "flags.json"),
		values:  map[string]any{"paymentFailure": 0.0, "paymentUnreachable": false, "kafkaQueueProblems": int64(0)},
		changed: make(chan struct{}),
	}
	if err := f.write(); err != nil {
		return nil, nil, err
	}
	return f, n.serveGRPC(func(r grpc.ServiceRegistrar) { evaluationv1.RegisterServiceServer(r, f) }), nil
}

// Path is where the flag file lies, in flagd's JSON format.
func (f *Flags) Path() string { return f.path }

// SetBool sets a flag that is on or off, such as "paymentUnreachable".
func (f *Flags) SetBool(flag string, value bool) error { return f.set(flag, value) }

// SetInt sets a flag that is a number, such as "kafkaQueueProblems".
func (f *Flags) SetInt(flag string, value int64) error { return f.set(flag, value) }

// SetFloat sets a flag that is a share, such as "paymentFailure": the chance that payment refuses a card.
func (f *Flags) SetFloat(flag string, value float64) error { return f.set(flag, value) }

// Values are all flags as they are set: bool, int64 or float64 by name.
func (f *Flags) Values() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.values)
}

func (f *Flags) set(flag string, value any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values[flag] = value
	close(f.changed)
	f.changed = make(chan struct{})
	return f.write()
}

// definition is a flag in the file.
type definition struct {
	State          string         `json:"state"`
	Variants       map[string]any `json:"variants"`
	DefaultVariant string         `json:"defaultVariant"`
}

// write replaces the file in one step, so that a reader never sees half of it.
func (f *Flags) write() error {
	flags := make(map[string]definition, len(f.values))
	for flag, value := range f.values {
		flags[flag] = definition{State: "ENABLED", Variants: map[string]any{"set": value}, DefaultVariant: "set"}
	}
	text, err := json.MarshalIndent(map[string]any{"flags": flags}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the flags: %w", err)
	}
	if err := os.WriteFile(f.path+".new", text, 0o600); err != nil {
		return fmt.Errorf("writing the flags: %w", err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		return fmt.Errorf("replacing the flags: %w", err)
	}
	return nil
}

// value looks a flag up. Its errors have flagd's codes: NOT_FOUND, and INVALID_ARGUMENT for a flag of another type.
func value[T any](f *Flags, flag string) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.values[flag]
	if !ok {
		return *new(T), status.Errorf(codes.NotFound, "there is no flag %q", flag)
	}
	v, ok := found.(T)
	if !ok {
		return *new(T), status.Errorf(codes.InvalidArgument, "flag %q is a %T", flag, found)
	}
	return v, nil
}

// reason says that a flag has the same value for all users.
const reason = "STATIC"

// ResolveBoolean implements evaluationv1.ServiceServer.
func (f *Flags) ResolveBoolean(_ context.Context, req *evaluationv1.ResolveBooleanRequest) (*evaluationv1.ResolveBooleanResponse, error) {
	v, err := value[bool](f, req.GetFlagKey())
	if err != nil {
		return nil, err
	}
	return &evaluationv1.ResolveBooleanResponse{Value: v, Reason: reason, Variant: "set"}, nil
}

// ResolveInt implements evaluationv1.ServiceServer.
func (f *Flags) ResolveInt(_ context.Context, req *evaluationv1.ResolveIntRequest) (*evaluationv1.ResolveIntResponse, error) {
	v, err := value[int64](f, req.GetFlagKey())
	if err != nil {
		return nil, err
	}
	return &evaluationv1.ResolveIntResponse{Value: v, Reason: reason, Variant: "set"}, nil
}

// ResolveFloat implements evaluationv1.ServiceServer.
func (f *Flags) ResolveFloat(_ context.Context, req *evaluationv1.ResolveFloatRequest) (*evaluationv1.ResolveFloatResponse, error) {
	v, err := value[float64](f, req.GetFlagKey())
	if err != nil {
		return nil, err
	}
	return &evaluationv1.ResolveFloatResponse{Value: v, Reason: reason, Variant: "set"}, nil
}

// EventStream implements evaluationv1.ServiceServer: it reports every change until the client leaves.
func (f *Flags) EventStream(_ *evaluationv1.EventStreamRequest, stream grpc.ServerStreamingServer[evaluationv1.EventStreamResponse]) error {
	for event := "provider_ready"; ; event = "configuration_change" {
		f.mu.Lock()
		changed, values := f.changed, maps.Clone(f.values)
		f.mu.Unlock()
		data, err := structpb.NewStruct(map[string]any{"flags": values})
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		if err := stream.Send(&evaluationv1.EventStreamResponse{Type: event, Data: data}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
