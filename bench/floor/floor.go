// Package floor provides a bare checkout: a gRPC server that makes the calls of an order and nothing else, without checks,
// record and telemetry. No checkout that makes these calls can be much faster, so the real one is compared with it.
package floor

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
)

// Kind is the order in which the calls are made.
type Kind string

const (
	// Sequential makes one call after the other, two for each line and eight more, and answers after the e-mail and the
	// event: like the stock service.
	Sequential Kind = "sequential"
	// Parallel makes the calls that the real service makes, side by side where their answers do not depend on each other,
	// and answers before the e-mail and the event.
	Parallel Kind = "parallel"
)

// Run serves PlaceOrder and health checks, configured by the stock service's environment, until ctx ends; then it
// finishes what is under way.
func Run(ctx context.Context, kind Kind, getenv func(string) string) error {
	n, err := connect(getenv)
	if err != nil {
		return err
	}
	defer n.close()
	s := &server{services: n}
	switch kind {
	case Sequential:
		s.place = n.inTurn
	case Parallel:
		s.place = n.sideBySide
	default:
		return fmt.Errorf("kind %q: neither %s nor %s", kind, Sequential, Parallel)
	}
	address := net.JoinHostPort("", getenv("CHECKOUT_PORT"))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	oteldemo.RegisterCheckoutServiceServer(g, s)
	grpc_health_v1.RegisterHealthServer(g, health.NewServer())
	defer context.AfterFunc(ctx, g.GracefulStop)()
	return g.Serve(listener)
}

// server is oteldemo.CheckoutService.
type server struct {
	oteldemo.UnimplementedCheckoutServiceServer
	*services
	place func(ctx context.Context, req *oteldemo.PlaceOrderRequest) (*oteldemo.OrderResult, error)
}

// PlaceOrder implements oteldemo.CheckoutServiceServer.
func (s *server) PlaceOrder(ctx context.Context, req *oteldemo.PlaceOrderRequest) (*oteldemo.PlaceOrderResponse, error) {
	order, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	return &oteldemo.PlaceOrderResponse{Order: order}, nil
}
