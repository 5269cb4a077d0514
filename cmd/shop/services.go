package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"checkout/internal/cli"
	"checkout/internal/demo"
)

func servicesCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "services HOST:PORT",
		Short: "Run only the services that checkout calls, at known ports",
		Long: `Run only the services that checkout calls, for a checkout that runs elsewhere. The cart is at PORT; catalog, currency,
payment, shipping, email, the OpenTelemetry collector, flagd and Kafka are at the ports that follow.`,
		Example: "  shop services 0.0.0.0:7001",
		Args:    cli.Args("HOST:PORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return serveServices(cmd.Context(), args[0], stdout)
		},
	}
}

// serveServices serves until ctx ends.
func serveServices(ctx context.Context, addr string, out io.Writer) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q must be HOST:PORT, such as 127.0.0.1:7001", addr)
	}
	first, err := strconv.Atoi(port)
	if err != nil || first < 1 || first > 65000 {
		return fmt.Errorf("%q: the port must be between 1 and 65000", addr)
	}
	s, err := demo.Start(ctx, demo.Options{Host: host, Port: first})
	if err != nil {
		return cli.Fail(err)
	}
	_, _ = fmt.Fprintf(out, "Serving cart, catalog, currency, payment, shipping, email, collector, flagd and Kafka on ports %d to %d of %s\n", first, first+8, host)
	<-ctx.Done()
	if err := s.Close(); err != nil {
		return cli.Fail(err)
	}
	return nil
}
