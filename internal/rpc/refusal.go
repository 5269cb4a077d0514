package rpc

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
)

// guarded registers services whose calls have to find room.
type guarded struct {
	*grpc.Server
	room *room
}

// RegisterService implements grpc.ServiceRegistrar.
func (g guarded) RegisterService(service *grpc.ServiceDesc, impl any) {
	with := *service
	with.Methods, with.Streams = slices.Clone(service.Methods), slices.Clone(service.Streams)
	for i, method := range service.Methods {
		with.Methods[i].Handler = func(srv any, ctx context.Context, receive func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			if c := callOf(ctx); c != nil && c.refusal != nil {
				return nil, c.refusal
			}
			return method.Handler(srv, ctx, receive, intercept)
		}
	}
	for i, stream := range service.Streams {
		with.Streams[i].Handler = func(srv any, s grpc.ServerStream) error {
			if c := callOf(s.Context()); c != nil && c.refusal != nil {
				return c.refusal
			}
			return stream.Handler(srv, s)
		}
	}
	g.Server.RegisterService(&with, impl)
}

// unimplemented answers calls of methods that the server does not have. They take places like all others.
func unimplemented(_ any, s grpc.ServerStream) error {
	if c := callOf(s.Context()); c != nil && c.refusal != nil {
		return c.refusal
	}
	method, _ := grpc.MethodFromServerStream(s)
	return status.Error(codes.Unimplemented, "unknown method "+method)
}

// refuse has the call refused by its goroutine, which does nothing else. gRPC keeps calls that a tap refuses until their deadlines,
// and the client chooses those: a flood would fill the memory.
func (c *call) refuse(ctx context.Context, method string) (context.Context, error) {
	if c.refusing.Add(1) > mostRefusals {
		c.refusing.Add(-1)
		return nil, c.refused(ctx, method)
	}
	free := sync.OnceFunc(func() { c.refusing.Add(-1) })
	stop := context.AfterFunc(ctx, free) // a call whose time is over gets no goroutine
	c.over = func() { stop(); free() }
	return context.WithValue(ctx, callKey{}, c), nil
}

// callObserver counts calls that find no room. An Options.Telemetry may be one.
type callObserver interface {
	Refused(ctx context.Context, method string, err error)
}

// orderObserver counts orders that are refused because their calls find no room. A Placer may be one.
type orderObserver interface {
	Refused(ctx context.Context, err error)
}

// refuse makes what answers calls that find no room. It counts them as they would be counted inside.
func refuse(p Placer, opts Options) func(ctx context.Context, method string) error {
	calls, _ := opts.Telemetry.(callObserver)
	orders, _ := p.(orderObserver)
	return func(ctx context.Context, method string) error {
		failure := &order.Error{Kind: order.ErrOverloaded, RetryAfter: time.Second}
		if method == oteldemo.CheckoutService_PlaceOrder_FullMethodName {
			if opts.Queue != nil {
				failure.RetryAfter = opts.Queue.Reject()
			}
			if orders != nil {
				orders.Refused(ctx, failure)
			}
		}
		err := answer(failure)
		if calls != nil {
			calls.Refused(ctx, method, err)
		}
		return err
	}
}
