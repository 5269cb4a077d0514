// Command console serves the operators' console: the state of the service, each order with its history, and the orders that
// require an operator. `console --help` lists its settings.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"checkout/internal/cli"
	"checkout/internal/console"
	"checkout/internal/env"
	"checkout/internal/version"
	"checkout/internal/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	getenv := func(name string) string { return env.Clean(os.Getenv(name)) }
	status := cli.Run(ctx, newCommand(getenv, os.Stderr, nil), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// newCommand returns the command, which logs to stderr. ready, unless nil, is called once with the listening address.
func newCommand(getenv func(string) string, stderr io.Writer, ready func(net.Addr)) *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the operators' console",
		Long: `Serve the operators' console: how checkout does, each order and its history, and the orders that require an operator. It
calls checkout's operators' listener, CHECKOUT_ADMIN_ADDR, and never opens the record.

Each flag is also an environment variable, named in parentheses; a flag takes precedence. The token for users is read from
CHECKOUT_CONSOLE_TOKEN or --token-file.`,
		Example: `  console                                     # http://127.0.0.1:8070, for the checkout of this machine
  console --admin-addr checkout-0:5051,checkout-1:5051`,
		Args:    cli.Args(),
		Version: version.Read().String(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.complete(getenv); err != nil {
				return err
			}
			return s.run(cmd.Context(), stderr, ready)
		},
	}
	s.flags(cmd.Flags(), getenv)
	return cmd
}

// run serves until ctx ends.
func (s *settings) run(ctx context.Context, stderr io.Writer, ready func(net.Addr)) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	options := console.Options{Token: s.token, Proven: s.clientCA != "", TraceURL: s.traceURL, Log: log}
	dialOptions, err := s.dialOptions()
	if err != nil {
		return err
	}
	for _, addr := range s.admin {
		conn, err := grpc.NewClient(addr, dialOptions...) // nothing is sent yet, and no service has to be there
		if err != nil {
			return fmt.Errorf("CHECKOUT_ADMIN_ADDR=%q: %w", addr, err)
		}
		defer conn.Close()
		options.Services = append(options.Services, console.Service{Name: addr, Conn: conn})
	}
	watch := func(context.Context) {}
	if s.catalogAddr != "" {
		catalog, err := grpc.NewClient(s.catalogAddr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig(), grpc.WithNoProxy())
		if err != nil {
			return fmt.Errorf("PRODUCT_CATALOG_ADDR=%q: %w", s.catalogAddr, err)
		}
		defer catalog.Close()
		names := console.NewNames(catalog)
		options.ProductName, watch = names.Name, names.Watch
	}
	site, err := console.New(options)
	if err != nil {
		return err
	}
	secure, err := s.secure()
	if err != nil {
		return err
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return cli.Fail(err)
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
	var watchers sync.WaitGroup
	watchers.Go(func() { site.Watch(watching) })
	watchers.Go(func() { watch(watching) })
	defer watchers.Wait()
	defer stop()
	if err := web.Serve(ctx, listener, secure, site, log); err != nil {
		return cli.Fail(err)
	}
	return nil
}
