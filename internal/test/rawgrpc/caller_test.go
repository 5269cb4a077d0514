package rawgrpc

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
)

// service answers PlaceOrder as a function says.
type service struct {
	oteldemo.UnimplementedCheckoutServiceServer
	place func(ctx context.Context, user string) (*oteldemo.PlaceOrderResponse, error)
}

func (s service) PlaceOrder(ctx context.Context, req *oteldemo.PlaceOrderRequest) (*oteldemo.PlaceOrderResponse, error) {
	return s.place(ctx, req.GetUserId())
}

// serve serves on an address until the test ends, or stop is called.
func serve(t *testing.T, addr string, s service, options ...grpc.ServerOption) (listening string, stop func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.WaitForHandlers(true))...)
	oteldemo.RegisterCheckoutServiceServer(server, s)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	stop = sync.OnceFunc(func() { server.Stop(); running.Wait() })
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// callers are a Caller that runs, and the answers to its calls.
type callers struct {
	*Caller
	mu      sync.Mutex
	answers []Answer
}

func run(t *testing.T, addr string, deadline time.Duration) *callers {
	t.Helper()
	c := &callers{}
	body := func(tag int) []byte {
		message, err := proto.Marshal(&oteldemo.PlaceOrderRequest{UserId: strings.Repeat("u", tag+1)})
		if err != nil {
			t.Error(err)
		}
		return Frame(message)
	}
	c.Caller = &Caller{Addr: addr, Header: Block(addr, oteldemo.CheckoutService_PlaceOrder_FullMethodName), Body: body, Deadline: deadline, Done: func(a Answer) {
		c.mu.Lock()
		defer c.mu.Unlock()
		a.Message = slices.Clone(a.Message)
		c.answers = append(c.answers, a)
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			c.Tick(time.Now())
			time.Sleep(time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}

// await waits for so many answers.
func (c *callers) await(t *testing.T, n int) []Answer {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c.mu.Lock()
		answers := slices.Clone(c.answers)
		c.mu.Unlock()
		if len(answers) >= n {
			return answers
		}
	}
	t.Fatalf("%d answers are not there after a minute", n)
	return nil
}

func TestEveryCallHasItsAnswer(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, "127.0.0.1:0", service{place: func(_ context.Context, user string) (*oteldemo.PlaceOrderResponse, error) {
		return &oteldemo.PlaceOrderResponse{Order: &oteldemo.OrderResult{OrderId: user}}, nil
	}})
	c := run(t, addr, time.Minute)
	const calls = 50
	for tag := range calls {
		c.Call(tag, time.Now())
	}
	seen := make(map[int]bool)
	for _, a := range c.await(t, calls) {
		var resp oteldemo.PlaceOrderResponse
		if err := proto.Unmarshal(a.Message, &resp); err != nil || a.Code != codes.OK || len(resp.GetOrder().GetOrderId()) != a.Tag+1 || !a.Sent {
			t.Errorf("call %d was answered %v %q with order %q (%v)", a.Tag, a.Code, a.Text, resp.GetOrder().GetOrderId(), err)
		}
		seen[a.Tag] = true
	}
	if len(seen) != calls {
		t.Errorf("%d of %d calls were answered", len(seen), calls)
	}
}

func TestARefusalHasItsCodeAndDetails(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, "127.0.0.1:0", service{place: func(context.Context, string) (*oteldemo.PlaceOrderResponse, error) {
		refusal, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.ErrorInfo{Reason: "OVERLOADED"})
		if err != nil {
			return nil, err
		}
		return nil, refusal.Err()
	}})
	c := run(t, addr, time.Minute)
	c.Call(0, time.Now())
	a := c.await(t, 1)[0]
	if a.Code != codes.ResourceExhausted || a.Text != "full" || !strings.Contains(string(a.Details), "OVERLOADED") {
		t.Errorf("answered %v %q %q", a.Code, a.Text, a.Details)
	}
}

func TestACallOverTheServersStreamsWaitsAndItsDeadlineDoesNot(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 1)
	addr, _ := serve(t, "127.0.0.1:0", service{place: func(ctx context.Context, _ string) (*oteldemo.PlaceOrderResponse, error) {
		<-ctx.Done()
		left <- struct{}{}
		return nil, ctx.Err()
	}}, grpc.MaxConcurrentStreams(1))
	c := run(t, addr, 200*time.Millisecond)
	// The first call makes sure that the server's settings are known.
	c.Call(0, time.Now())
	c.await(t, 1)
	<-left
	due := time.Now()
	c.Call(1, due)
	c.Call(2, due)
	for _, a := range c.await(t, 3) {
		if a.Code != codes.DeadlineExceeded || a.Sent == (a.Tag == 2) {
			t.Errorf("call %d: %v, sent: %t; want a deadline that is over, and the last one not sent", a.Tag, a.Code, a.Sent)
		}
	}
	<-left // the server has heard that the caller gave up
}

func TestABrokenConnectionEndsItsCallsAndIsMadeAnew(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	addr, stop := serve(t, "127.0.0.1:0", service{place: func(ctx context.Context, _ string) (*oteldemo.PlaceOrderResponse, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	c := run(t, addr, time.Minute)
	c.Call(0, time.Now())
	<-asked
	stop()
	if a := c.await(t, 1)[0]; a.Code != codes.Unavailable {
		t.Errorf("answered %v %q, want UNAVAILABLE", a.Code, a.Text)
	}
	serve(t, addr, service{place: func(context.Context, string) (*oteldemo.PlaceOrderResponse, error) {
		return &oteldemo.PlaceOrderResponse{}, nil
	}})
	c.Call(1, time.Now())
	if a := c.await(t, 2)[1]; a.Code != codes.OK {
		t.Errorf("answered %v %q over a new connection, want OK", a.Code, a.Text)
	}
}
