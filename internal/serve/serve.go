// Package serve is the service as a whole: its configuration, its wiring, its life. Both commands start it.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"

	"checkout/internal/admission"
	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/store"
	"checkout/internal/telemetry"
)

// maxConns bounds the connections to the service: each costs some 20 KB, even if nothing is asked over it.
const maxConns = 256

// Run serves orders until ctx ends; then it lets those under way finish, as long as the configuration allows. The log
// goes to out. ready, unless nil, is called once with the address that is listened on.
func Run(ctx context.Context, c Config, out io.Writer, ready func(net.Addr)) error {
	t := telemetry.Start(ctx, telemetry.Options{Getenv: c.getenv, Stdout: out})
	err := run(ctx, c, t, ready)
	if lost := t.Shutdown(context.WithoutCancel(ctx)); lost != nil {
		t.Logger().WarnContext(ctx, "some telemetry could not be sent", "error", lost)
	}
	return err
}

func run(ctx context.Context, c Config, t *telemetry.Telemetry, ready func(net.Addr)) error {
	log := t.Logger()
	log.InfoContext(ctx, "configuration", c.effective()...)
	record, err := openStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { _ = record.Close() }()
	shop, err := connect(c, t)
	if err != nil {
		return err
	}
	defer shop.close(log)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+strconv.Itoa(c.Port))
	if err != nil {
		return fmt.Errorf("CHECKOUT_PORT=%d: %w", c.Port, err)
	}
	listener = netutil.LimitListener(listener, maxConns)
	placer := order.NewPlacer(order.World{
		Pricer:    t.Pricer(order.NewPricing(shop.cart, shop.catalog, shop.exchange, shop.carrier, c.Limits)),
		Store:     t.Store(record),
		Payment:   shop.payment,
		Carrier:   shop.carrier,
		Cart:      shop.cart,
		Mail:      shop.mail,
		Events:    shop.events,
		Admission: admission.New(admission.Options{Target: c.Target, Ceiling: c.MaxOrders}),
		Report:    t.Report,
	})
	server, err := newServer(ctx, c, t, placer)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	stopKeeping := keep(ctx, placer, record, server.health, log)
	served := make(chan error, 1)
	go func() { served <- server.grpc.Serve(listener) }()
	log.InfoContext(ctx, "serving", "address", listener.Addr().String())
	if ready != nil {
		ready(listener.Addr())
	}
	select {
	case <-ctx.Done():
	case err = <-served: // the listener broke
	}
	server.drain(context.WithoutCancel(ctx), c.Drain, func(patience context.Context) {
		stopKeeping()
		placer.Close(patience)
	})
	log.InfoContext(ctx, "served")
	return err
}

// server is the gRPC server and what it says of its health.
type server struct {
	grpc   *grpc.Server
	health *health.Server
}

func newServer(ctx context.Context, c Config, t *telemetry.Telemetry, placer rpc.Placer) (*server, error) {
	var creds credentials.TransportCredentials
	if c.TLSCert != "" {
		var err error
		if creds, err = credentials.NewServerTLSFromFile(c.TLSCert, c.TLSKey); err != nil {
			return nil, fmt.Errorf("CHECKOUT_TLS_CERT=%q, CHECKOUT_TLS_KEY=%q: %w", c.TLSCert, c.TLSKey, err)
		}
	}
	h := health.NewServer()
	return &server{
		health: h,
		grpc: rpc.NewServer(t.Placer(placer), h, rpc.Options{
			Deadline:    c.Deadline,
			Telemetry:   t.ServerHandler(),
			Credentials: creds,
			Drained:     ctx,
			Log:         t.Logger(),
		}),
	}, nil
}

// drain says NOT_SERVING, lets calls finish, then what they have left under way: all within the same patience.
func (s *server) drain(ctx context.Context, patience time.Duration, finish func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.health.Shutdown()
	impatient := context.AfterFunc(ctx, s.grpc.Stop)
	s.grpc.GracefulStop()
	impatient()
	finish(ctx)
}

// openStore opens the record of orders where the configuration says.
func openStore(ctx context.Context, c Config, log *slog.Logger) (*store.SQLite, error) {
	path, stopgap := c.database()
	if path == "memory" {
		log.WarnContext(ctx, "the record of orders ends with this process", "CHECKOUT_DB", path)
		return store.OpenMemory()
	}
	if stopgap {
		log.WarnContext(ctx, "no state folder can be written to: the record of orders lies among temporary files and ends with this container", "path", path)
	}
	record, err := store.Open(path)
	if err != nil {
		return nil, fmt.Errorf("CHECKOUT_DB=%q: %w", c.DB, err)
	}
	log.InfoContext(ctx, "the record of orders is open", "path", path)
	return record, nil
}
