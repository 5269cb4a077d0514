// Command shop opens a whole shop and places orders in it: checkout itself, as a process of its own that is started again
// when it dies, and real servers on the loopback interface for everything that it talks to. It has a site, too. `shop -h`
// tells what can be tried.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends at once what a first one ends in order
	var err error
	if os.Getenv(asCheckout) != "" {
		err = serveCheckout(ctx, os.Getenv, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(exitStatus(err, os.Stderr))
}

// exitStatus is 0, or 1 when orders or books are wrong, or 2 when the command was called wrongly. It says why.
func exitStatus(err error, stderr io.Writer) int {
	var misuse *misuseError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &misuse):
		_, _ = fmt.Fprintf(stderr, "shop: %v\nshop -h tells what can be tried.\n", err)
		return 2
	}
	_, _ = fmt.Fprintf(stderr, "shop: %v\n", err)
	return 1
}

// run is the command. It returns when ctx ends or all that was asked for is done.
func run(ctx context.Context, args []string, environ []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	s, err := open(ctx, o, environ, newPage(stdout))
	if err != nil {
		return err
	}
	err = s.trade(ctx)
	if ctx.Err() != nil {
		s.page.say("\nClosing.\n")
	}
	return errors.Join(err, s.close())
}
