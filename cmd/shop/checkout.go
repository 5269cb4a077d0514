package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
	"checkout/internal/serve"
	"checkout/internal/storefront"
	"checkout/internal/storefront/child"
)

// asCheckout is the environment variable that makes this executable be checkout. So `go run` needs no other.
const asCheckout = "CHECKOUT_SHOP_CHILD"

const (
	// startTime is how long checkout may take to serve, and endTime how long to end: longer than its own patience with
	// orders in progress.
	startTime = 20 * time.Second
	endTime   = 15 * time.Second
	// lowPort and highPort bound the ports that are chosen for checkout. They lie below those that a system gives to outgoing
	// connections, so that the port is still free when checkout dies and is started again.
	lowPort, highPort = 20_000, 32_000
)

// serveCheckout is checkout.
func serveCheckout(ctx context.Context, getenv func(string) string, log io.Writer) error {
	config, err := serve.ParseConfig(nil, getenv)
	if err != nil {
		return fmt.Errorf("configuring checkout: %w", err)
	}
	return serve.Run(ctx, config, log, nil)
}

// startCheckout starts checkout and waits until it serves.
func (s *shop) startCheckout(ctx context.Context, environ []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var err error
	if s.log, err = os.Create(filepath.Join(s.folder, "checkout.log")); err != nil {
		return fmt.Errorf("making checkout's log: %w", err)
	}
	env, err := s.environ(ctx)
	if err != nil {
		return err
	}
	program := s.options.program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return fmt.Errorf("finding this executable: %w", err)
		}
		env[asCheckout] = "1"
	}
	s.address, s.operators = net.JoinHostPort("127.0.0.1", env["CHECKOUT_PORT"]), env["CHECKOUT_ADMIN_ADDR"]
	for _, address := range []string{s.address, s.operators} {
		conn, err := storefront.Dial(address)
		if err != nil {
			return err
		}
		s.conns = append(s.conns, conn)
	}
	s.checkout = oteldemo.NewCheckoutServiceClient(s.conns[0])
	for name, value := range env {
		environ = append(environ, name+"="+value) // the last one counts
	}
	s.child, err = child.Start(ctx, child.Options{
		Path: program, Env: environ, Log: s.log, Probe: s.probe, Grace: endTime,
	})
	return err
}

// probe asks checkout whether it serves customers and operators. No other process can be on the operators' port: it was chosen
// just now.
func (s *shop) probe(ctx context.Context) error {
	for _, conn := range s.conns {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("checkout is %s", answer.GetStatus())
		}
	}
	return nil
}

// environ is what checkout's environment has from the shop.
func (s *shop) environ(ctx context.Context) (map[string]string, error) {
	port, admin, err := s.options.freePorts(ctx)
	if err != nil {
		return nil, err
	}
	env := s.Environ()
	env["CHECKOUT_HOST"], env["CHECKOUT_PORT"] = "127.0.0.1", strconv.Itoa(port)
	env["CHECKOUT_ADMIN_ADDR"] = net.JoinHostPort("127.0.0.1", strconv.Itoa(admin))
	env["PAYMENT_MODE"], env["SHIPPING_MODE"] = s.options.payment, s.options.shipping
	env["CHECKOUT_DB"] = s.options.db
	if s.options.db == "" {
		env["CHECKOUT_DB"] = filepath.Join(s.folder, "orders.db")
	}
	// Telemetry is looked at right after the order, so it is sent soon.
	env["OTEL_BSP_SCHEDULE_DELAY"], env["OTEL_BLRP_SCHEDULE_DELAY"] = "100", "100"
	return env, nil
}

// adminPort is where operators are served beside the default port of checkout, and where its commands look for them.
const adminPort = 5051

// freePorts returns two ports that are not in use, for customers and for operators.
func (o options) freePorts(ctx context.Context) (customers, operators int, err error) {
	first, err := take(ctx, o.port, o.anyPort)
	if err != nil {
		return 0, 0, fmt.Errorf("--port=%d: %w", o.port, err)
	}
	defer func() { err = errors.Join(err, first.Close()) }() // held until the second is another one
	wanted := 0
	if o.anyPort {
		wanted = adminPort
	}
	second, err := take(ctx, wanted, true)
	if err != nil {
		return 0, 0, err
	}
	return portOf(first), portOf(second), second.Close()
}

// take listens on a port. If that is 0, or in use and any other will do, it is one between lowPort and highPort.
func take(ctx context.Context, port int, orAny bool) (net.Listener, error) {
	var failures []error
	for range 20 {
		listen := cmp.Or(port, lowPort+rand.IntN(highPort-lowPort)) //nolint:gosec // any will do
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(listen)))
		if err == nil || port != 0 && !orAny {
			return listener, err
		}
		failures, port = append(failures, err), 0
	}
	return nil, fmt.Errorf("looking for a free port: %w", errors.Join(failures...))
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port } //nolint:forcetypeassert // take listens on TCP
