package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"checkout/internal/container"
	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/stats"
	"checkout/internal/telemetry"
)

// servers are the gRPC servers, for the shop and perhaps for operators, and what they say of their health.
type servers struct {
	health   *health.Server
	all      []server
	draining context.CancelFunc // ends the streams that would never end by themselves
}

type server struct {
	whom     string
	grpc     *grpc.Server
	listener net.Listener
}

// newServers makes the servers and listens, but does not serve yet.
func newServers(ctx context.Context, c Config, t *telemetry.Telemetry, placer *order.Placer, record record, i identities, queue rpc.Queue) (*servers, error) {
	s := &servers{health: health.NewServer()}
	drained, draining := context.WithCancel(context.WithoutCancel(ctx))
	s.draining = draining
	opts := rpc.Options{
		Deadline:  c.Deadline,
		Room:      room(container.MemoryLimit(), c.MaxOrders),
		Queue:     queue,
		Joined:    placer.Joined,
		Telemetry: t.ServerHandler(),
		Drained:   drained,
		Log:       t.Logger(),
		Orders:    record,
		Keyed:     c.PaymentMode == "keyed",
	}
	forShop, forOperators := opts, opts
	forShop.Quoter = placer
	forShop.Credentials = listenerCredentials(i.shop)
	forShop.Callers = rpc.Callers{Certificates: c.Security.ClientCA != "", Names: c.Security.ClientNames}
	if !c.Security.PublicOrders {
		forShop.Orders = nil
	}
	forOperators.Credentials = listenerCredentials(i.operators)
	forOperators.Callers = rpc.Callers{Certificates: c.Security.AdminClientCA != "", Names: c.Security.AdminClientNames, Token: c.Security.tokenCheck()}
	forOperators.Eraser, forOperators.Backuper, forOperators.Audit = record, record, record
	forOperators.Stats = &stats.Server{Collect: t.Collect, Started: time.Now(), Record: c.record(), Manual: rpc.ManualStates(opts.Keyed)}
	evicted := t.Evicted()
	fromShop, fromOperators := newConnections(evicted), newConnections(evicted)
	forShop.Connections, forOperators.Connections = fromShop, fromOperators
	if err := s.listen(ctx, "the shop", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), fromShop, rpc.NewServer(t.Placer(placer), s.health, forShop)); err != nil {
		if _, unknown := errors.AsType[*net.DNSError](err); unknown || errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, fmt.Errorf("CHECKOUT_HOST=%q: must be an address of this machine: %w", c.Host, err)
		}
		return nil, fmt.Errorf("CHECKOUT_PORT=%d: %w", c.Port, err)
	}
	if c.Admin == "" {
		return s, nil
	}
	if err := s.listen(ctx, "operators", c.Admin, fromOperators, rpc.NewAdminServer(placer, s.health, forOperators)); err != nil {
		return nil, errors.Join(fmt.Errorf("CHECKOUT_ADMIN_ADDR=%q: %w", c.Admin, err), s.all[0].listener.Close())
	}
	return s, nil
}

// room is how many calls may be in the server for the shop: one for each 64 KiB that Go may use, and as many as orders at most.
// Calls that wait for a place take some of those. There is room for 256 callers that repeat a call before the last one has ended.
func room(memory int64, orders int) int {
	const least, each = 320, 64 << 10
	return int(min(max(memory/each, least), int64(max(orders, least))))
}

func (s *servers) listen(ctx context.Context, whom, address string, l *connections, g *grpc.Server) (err error) {
	if l.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
		return err
	}
	s.all = append(s.all, server{whom, g, l})
	return nil
}

// serve serves until drain. The channel that it returns gets the errors of listeners, and has room for all of them.
func (s *servers) serve() <-chan error {
	broken := make(chan error, len(s.all))
	for _, one := range s.all {
		go func() { broken <- one.grpc.Serve(one.listener) }()
	}
	return broken
}

// announce reports NOT_SERVING and still accepts everything, for as long as load balancers may need to notice. hurry ends it.
func (s *servers) announce(delay time.Duration, hurry <-chan struct{}) {
	s.health.Shutdown()
	select {
	case <-time.After(delay):
	case <-hurry:
	}
}

// answerTime is what callers get to be answered whose orders were cut off. Then their connections are.
const answerTime = time.Second

// drain accepts nothing more and lets calls finish, then what they have left under way: all within the same patience. After
// it cutOff is called, which has to make calls end.
func (s *servers) drain(ctx context.Context, patience time.Duration, cutOff func(), finish func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.health.Shutdown()
	s.draining()
	release := context.AfterFunc(ctx, cutOff)
	var all sync.WaitGroup
	for _, one := range s.all {
		all.Go(func() {
			defer time.AfterFunc(patience+answerTime, one.grpc.Stop).Stop()
			one.grpc.GracefulStop()
		})
	}
	all.Wait()
	release()
	finish(ctx)
}

// places is how many orders may be under way: one for each 256 KiB that Go may use, and at most as many as are set.
func places(memory int64, orders int) int {
	const least, each = 32, 256 << 10
	return int(min(max(memory/each, least), int64(orders)))
}

// background is how many orders make their deliveries at once: one for each MiB that Go may use, between 16 and 128.
func background(memory int64) int {
	const least, most, each = 16, 128, 1 << 20
	return int(min(max(memory/each, least), most))
}
