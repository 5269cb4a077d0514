// Command console serves the site of the people who run checkout: how the service does, what became of each order, and
// what needs a person. `console -h` tells its settings.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"checkout/internal/console"
	"checkout/internal/env"
	"checkout/internal/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	getenv := func(name string) string { return env.Clean(os.Getenv(name)) }
	err := run(ctx, os.Args[1:], getenv, os.Stderr, nil)
	stop()
	os.Exit(exitStatus(err, os.Stderr))
}

// errMisuse says that the settings are wrong.
var errMisuse = errors.New("settings")

// exitStatus is 0, or 1 when the console could not serve, or 2 when it was set up wrongly. It says why.
func exitStatus(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errMisuse):
		_, _ = fmt.Fprintf(stderr, "console: %v\nconsole -h tells the settings.\n", err)
		return 2
	}
	_, _ = fmt.Fprintf(stderr, "console: %v\n", err)
	return 1
}

// run is the command: it serves until ctx ends. The log goes to stderr. ready, unless nil, is called once with the address
// that is listened on.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer, ready func(net.Addr)) error {
	s, err := parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	services, hangUp, err := s.dial()
	if err != nil {
		return err
	}
	defer hangUp()
	site, err := console.New(console.Options{
		Services: services, Token: s.token, Proven: s.clientCA != "", TraceURL: s.traceURL, Log: log,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	secure, err := s.secure()
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	if ready != nil {
		ready(listener.Addr())
	}
	log.InfoContext(ctx, "serving", "address", listener.Addr().String(), "of", s.admin, "tls", s.cert != "",
		"token", s.token != "", "client certificates", s.clientCA != "")
	if s.token != "" && s.cert == "" && !web.IsLoopback(s.addr) {
		log.WarnContext(ctx, "the token and the orders cross the network in the clear; -tls-cert makes them private")
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { site.Watch(watching) })
	defer watch.Wait()
	defer stop()
	return web.Serve(ctx, listener, secure, site, log)
}

// dial makes a connection to each service. Nothing is sent yet, and none has to be there.
func (s *settings) dial() (services []console.Service, hangUp func(), err error) {
	options, err := s.dialOptions()
	if err != nil {
		return nil, nil, err
	}
	var conns []*grpc.ClientConn
	hangUp = func() {
		for _, conn := range conns {
			_ = conn.Close() // nothing is under way that could be lost
		}
	}
	for _, addr := range s.admin {
		conn, err := grpc.NewClient(addr, append(options[:len(options):len(options)], grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}, // who waits is a person
			MinConnectTimeout: time.Second,
		}))...)
		if err != nil {
			hangUp()
			return nil, nil, fmt.Errorf("%w: CHECKOUT_ADMIN_ADDR=%q: %w", errMisuse, addr, err)
		}
		conns = append(conns, conn)
		services = append(services, console.Service{Name: addr, Conn: conn})
	}
	return services, hangUp, nil
}
