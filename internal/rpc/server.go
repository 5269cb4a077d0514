// Package rpc serves gRPC: oteldemo.CheckoutService, checkout.v1.OrderService and grpc.health.v1.Health for the shop, and
// checkout.v1.OrderAdmin and checkout.v1.StatsService for operators. It converts messages to requests, and orders and failures
// to answers; answers.go is the table of PlaceOrder's.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/arrival"
	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// Placer places orders; its errors are *order.Error.
type Placer interface {
	Place(ctx context.Context, req order.Request) (*order.Order, error)
}

// Quoter prices carts; its errors are *order.Error.
type Quoter interface {
	Quote(ctx context.Context, req order.Request) (*order.Order, error)
}

// Options are what a server is made with.
type Options struct {
	// Deadline is that of calls without one. A caller's own is at most 30 s.
	Deadline time.Duration
	// Room is how many calls may be in the server at once, beside those that have joined others; 0 is 256.
	Room int
	// Joined is how many calls wait for another call of their user, at most half of Room; nil for none.
	Joined func() int
	// Queue is the admission that orders wait for; nil for none.
	Queue Queue
	// Telemetry observes every call; nil for none.
	Telemetry stats.Handler
	// Connections observes connections and their calls; nil for none.
	Connections Connections
	// Credentials are the server's TLS; nil for plaintext.
	Credentials credentials.TransportCredentials
	// Callers says who may call.
	Callers Callers
	// Drained ends streams, such as a watch of the server's health; nil for never.
	Drained context.Context
	// Log gets panics and failed reads of the record.
	Log *slog.Logger
	// Orders is the record that checkout.v1.OrderService shows; nil for no such service.
	Orders Record
	// Audit is the log of what operators do; nil: there is none.
	Audit AuditLog
	// Eraser deletes a user's orders, for operators; nil: not supported.
	Eraser Eraser
	// Backuper copies the record for checkout.v1.RecordAdmin; nil for no such service.
	Backuper Backuper
	// Stats serves metrics to operators; nil for no such service.
	Stats checkoutv1.StatsServiceServer
	// Quoter prices carts for checkout.v1.QuoteService; nil for no such service.
	Quoter Quoter
	// Keyed: the payment service can look charges up, so that no order in doubt requires an operator.
	Keyed bool
}

// Connections are those of a server. They tag each with a fair.Client.
type Connections interface {
	stats.Handler
	// PauseWhile has no connection read, for a while, when the server is busy.
	PauseWhile(busy func() bool)
	// Gone reports whether the caller has closed the connection of a call, which may be known before all that it sent is read.
	Gone(ctx context.Context) bool
}

const (
	// maxRequest is how many bytes a request of the shop's has at most: an order's fields take some 6 KiB, filled to the brim.
	maxRequest = 8 << 10
	// adminRoom is how many calls of operators there may be at once, and maxAdminRequest how many bytes a request of theirs has.
	adminRoom       = 64
	maxAdminRequest = 64 << 10
	maxDeadline     = 30 * time.Second
	// answerShare of the time that a call has, as one part of so many, is kept back so that the answer arrives in time: at
	// least and at most as below. A caller with more time is often one of many, and the answer then waits for a processor.
	answerShare     = 50
	leastAnswerTime = 20 * time.Millisecond
	mostAnswerTime  = 250 * time.Millisecond
	// StateTrailer has the state of an order that was accepted and is not on its way yet.
	StateTrailer = "checkout-order-state"
	// KeyHeader is the metadata with the idempotency key: up to 255 printable ASCII characters.
	KeyHeader = "idempotency-key"
	// ExpectedTotalHeader is the metadata with the total that the customer has agreed to, such as "EUR 123.45". Another total is
	// not charged.
	ExpectedTotalHeader = "checkout-expected-total"
)

// NewServer makes a server for the shop: it places orders with p and answers health checks from h.
func NewServer(p Placer, h grpc_health_v1.HealthServer, opts Options) *grpc.Server {
	room := newRoom(opts.Room, opts.Queue, opts.Joined, refuse(p, opts))
	server := newServer(h, opts, room, maxRequest)
	service := &checkout{placer: p, quoter: opts.Quoter, deadline: opts.Deadline}
	oteldemo.RegisterCheckoutServiceServer(server, service)
	if opts.Quoter != nil {
		checkoutv1.RegisterQuoteServiceServer(server, service)
	}
	return server.Server
}

// NewAdminServer makes a server for operators: r carries out what they decide about orders. It takes every caller for an operator.
func NewAdminServer(r Resolver, h grpc_health_v1.HealthServer, opts Options) *grpc.Server {
	room := newRoom(adminRoom, nil, nil, refuse(nil, opts))
	server := newServer(h, opts, room, maxAdminRequest)
	checkoutv1.RegisterOrderAdminServer(server, &admin{resolver: r, record: opts.Orders, audit: opts.Audit, eraser: opts.Eraser, view: view{opts.Keyed}, log: opts.Log})
	if opts.Backuper != nil {
		checkoutv1.RegisterRecordAdminServer(server, &recordAdmin{backuper: opts.Backuper, log: opts.Log})
	}
	if opts.Stats != nil {
		checkoutv1.RegisterStatsServiceServer(server, opts.Stats)
	}
	return server.Server
}

// newServer makes a server of what both have.
func newServer(h grpc_health_v1.HealthServer, opts Options, room *room, maxMessage int) guarded {
	if opts.Connections != nil {
		room.gone = opts.Connections.Gone
		opts.Connections.PauseWhile(room.Busy)
	}
	server := guarded{grpc.NewServer(slices.Concat(room.options(), limits(opts), []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(isolate(opts.Log)),
		grpc.ChainStreamInterceptor(isolateStream(opts.Log), untilDrained(opts.Drained)),
	}, opts.Callers.authenticated(opts.Log))...), room}
	grpc_health_v1.RegisterHealthServer(server, h)
	if opts.Orders != nil {
		checkoutv1.RegisterOrderServiceServer(server, newOrders(opts))
	}
	return server
}

// limits are what one connection can make the server hold: while idle, old or silent, in headers, messages and streams.
func limits(opts Options) []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.MaxSendMsgSize(1 << 20),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.StaticStreamWindowSize(64 << 10), // as HTTP/2 has it, and never more
		grpc.StaticConnWindowSize(64 << 10),
		grpc.ReadBufferSize(1 << 10), // more is not read at once
		grpc.WriteBufferSize(4 << 10),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time:                  30 * time.Second,
			Timeout:               10 * time.Second,
			MaxConnectionIdle:     5 * time.Minute,
			MaxConnectionAge:      10 * time.Minute,
			MaxConnectionAgeGrace: maxDeadline,
		}),
	}
	for _, observer := range []stats.Handler{opts.Telemetry, opts.Connections} {
		if observer != nil {
			options = append(options, grpc.StatsHandler(observer))
		}
	}
	if opts.Credentials != nil {
		options = append(options, grpc.Creds(opts.Credentials))
	}
	return options
}

type checkout struct {
	oteldemo.UnimplementedCheckoutServiceServer
	checkoutv1.UnimplementedQuoteServiceServer

	placer   Placer
	quoter   Quoter
	deadline time.Duration
}

// PlaceOrder places the order of the user's cart.
func (c *checkout) PlaceOrder(ctx context.Context, req *oteldemo.PlaceOrderRequest) (*oteldemo.PlaceOrderResponse, error) {
	ctx, cancel := c.inTime(ctx)
	defer cancel()
	asked, err := request(ctx, req)
	if err != nil {
		return nil, answer(err)
	}
	defer asked.Card.Clear()
	placed, err := c.placer.Place(ctx, asked)
	if call := callOf(ctx); call != nil {
		if errors.Is(err, order.ErrDeclined) {
			call.rest(ctx)
		}
		call.placed = err == nil && !placed.Created.Before(call.came)
	}
	if err != nil {
		return nil, answer(err)
	}
	if placed.State == order.Charged || placed.State == order.Parked { // parked: it may have been shipped
		_ = grpc.SetTrailer(ctx, metadata.Pairs(StateTrailer, placed.State.String())) // a paid order is an answer without it
	}
	return &oteldemo.PlaceOrderResponse{Order: wire.OrderResult(placed)}, nil
}

// inTime gives the call the caller's deadline, or ours, less the time to answer.
func (c *checkout) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	now := arrival.Of(ctx, time.Now())
	if !ok {
		deadline = now.Add(c.deadline)
	}
	if latest := now.Add(maxDeadline); deadline.After(latest) {
		deadline = latest
	}
	return context.WithDeadline(ctx, deadline.Add(-answerTime(deadline.Sub(now))))
}

// answerTime is what is kept back of the time that a call has.
func answerTime(given time.Duration) time.Duration {
	return min(max(given/answerShare, leastAnswerTime), mostAnswerTime)
}

// request is what the call asks for. It fails with an ErrInvalid when that is not plain.
func request(ctx context.Context, req *oteldemo.PlaceOrderRequest) (order.Request, error) {
	key, _, err := single(ctx, KeyHeader)
	if err != nil {
		return order.Request{}, err
	}
	expected, err := expectedTotal(ctx)
	if err != nil {
		return order.Request{}, err
	}
	card := req.GetCreditCard()
	req.CreditCard = nil // the order's card can be cleared; a string of protobuf's can only be let go
	return order.Request{
		UserID:   req.GetUserId(),
		Key:      key,
		Currency: money.Currency(req.GetUserCurrency()),
		Address:  wire.Address(req.GetAddress()),
		Expected: expected,
		Email:    order.EmailAddress(req.GetEmail()),
		Card: creditcard.New(card.GetCreditCardNumber(), card.GetCreditCardCvv(),
			card.GetCreditCardExpirationYear(), card.GetCreditCardExpirationMonth()),
	}, nil
}

// isolate keeps a bug met by one call from ending the others.
func isolate(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
		defer caught(ctx, log, info.FullMethod, &err)
		return handle(ctx, req)
	}
}

// isolateStream is isolate for calls that are answered with a stream.
func isolateStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
		defer caught(stream.Context(), log, info.FullMethod, &err)
		return handle(srv, stream)
	}
}

// caught makes an answer of a panic. It has to be deferred.
func caught(ctx context.Context, log *slog.Logger, method string, err *error) {
	if cause := recover(); cause != nil {
		log.ErrorContext(ctx, "panic in a call", "method", method, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		*err = answer(&order.Error{Kind: order.ErrInternal})
	}
}

// untilDrained ends streams when drained ends, so that they do not hold up the end of the server.
func untilDrained(drained context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if drained == nil {
			return handle(srv, stream)
		}
		ctx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(drained, cancel)()
		return handle(srv, bounded{stream, ctx})
	}
}

// bounded is a stream with another context.
type bounded struct {
	grpc.ServerStream

	ctx context.Context
}

func (b bounded) Context() context.Context { return b.ctx }
