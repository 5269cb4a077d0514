// Command shop runs a whole shop and places orders in it: checkout, as a process of its own that is restarted when it dies, and
// real servers on the loopback interface for all services that it calls. `shop --help` lists the faults to try.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"checkout/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends at once what a first one ends in order
	status := cli.OK
	if os.Getenv(asCheckout) != "" {
		if err := serveCheckout(ctx, os.Getenv, os.Stdout); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "shop: %v\n", err)
			status = cli.Failed
		}
	} else {
		status = cli.Run(ctx, newCommand(os.Environ(), os.Stdout), os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(status)
}

// run returns when ctx ends or all that was asked for is done.
func run(ctx context.Context, o options, environ []string, stdout io.Writer) error {
	s, err := open(ctx, o, environ, newPage(stdout))
	if err != nil {
		return err
	}
	err = s.execute(ctx)
	if ctx.Err() != nil {
		s.page.say("\nClosing.\n")
	}
	return errors.Join(err, s.close())
}
