// Command checkout places orders.
//
//	checkout [serve] [flags]     serve oteldemo.CheckoutService
//	checkout health              ask a server whether it serves
//	checkout order place         place an order
//	checkout order list          list orders, newest first
//	checkout order show ID       show an order and its story
//	checkout order watch [ID]    tell what becomes of orders, as it happens
//	checkout order retry ID      continue an order that waits for an operator
//	checkout order erase USER    delete the finished orders of a user
//	checkout order resolve ID    record what an operator has found out, or decided, about such an order
//
// Called by the name grpc_health_probe it is `checkout health`. Its exit status is 0, or 1 when what was asked for failed,
// or 2 when it was asked for wrongly; `checkout health` has those of grpc_health_probe.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"checkout/internal/env"
	"checkout/internal/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, unless it serves
	getenv := func(name string) string { return env.Clean(os.Getenv(name)) }
	for _, variable := range os.Environ() { // OpenTelemetry's SDK reads its own by itself
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") && env.Clean(value) != value {
			_ = os.Setenv(name, env.Clean(value)) // it was set before
		}
	}
	p := process{getenv: getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	status := p.run(ctx, os.Args)
	stop()
	os.Exit(status)
}

// process is what a command may use of the process that it runs in.
type process struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

const usage = `Usage:
  checkout [serve] [flags]            serve oteldemo.CheckoutService
  checkout health [flags]             ask a server whether it serves
  checkout order place [flags]        place an order
  checkout order list [flags]         list orders, newest first
  checkout order show [flags] ID      show an order and its story
  checkout order watch [flags] [ID]   tell what becomes of orders, as it happens
  checkout order retry [flags] ID     continue an order that waits for an operator
  checkout order erase [flags] USER   delete the finished orders of a user
  checkout order resolve [flags] ID   record what an operator has found out, or decided, about such an order

checkout COMMAND -h tells a command's flags.
`

// The exit statuses.
const (
	ok     = 0
	failed = 1
	misuse = 2
)

// run runs the command that args name and returns its exit status.
func (p process) run(ctx context.Context, args []string) int {
	if name := filepath.Base(args[0]); name == "grpc_health_probe" {
		return p.health(ctx, args[1:])
	}
	args = args[1:]
	switch command := strings.Join(args[:min(len(args), 2)], " "); {
	case command == "" || strings.HasPrefix(command, "-") && !asksForHelp(args[0]):
		return p.serve(ctx, args)
	case args[0] == "serve":
		return p.serve(ctx, args[1:])
	case args[0] == "health":
		return p.health(ctx, args[1:])
	case args[0] == "order" && len(args) > 1 && p.orderCommand(args[1]) != nil:
		return p.orderCommand(args[1])(ctx, args[2:])
	case asksForHelp(args[min(len(args), 2)-1]):
		_, _ = io.WriteString(p.stdout, usage)
		return ok
	default:
		_, _ = fmt.Fprintf(p.stderr, "checkout: no command %q\n%s", command, usage)
		return misuse
	}
}

// orderCommand is the command about orders of that name, or nil.
func (p process) orderCommand(name string) func(context.Context, []string) int {
	return map[string]func(context.Context, []string) int{
		"place":   p.place,
		"list":    p.list,
		"show":    p.show,
		"watch":   p.watch,
		"retry":   p.retry,
		"resolve": p.resolve,
		"erase":   p.erase,
	}[name]
}

func asksForHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "-help" || arg == "--help"
}

func (p process) serve(ctx context.Context, args []string) int {
	config, err := serve.ParseConfig(args, p.getenv, p.stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ok
	case err != nil:
		return p.fail(misuse, "configuration: %w", err)
	}
	var stop func()
	config.Hurry, stop = secondSignal()
	defer stop()
	if err := serve.Run(ctx, config, p.stdout, nil); err != nil {
		return p.fail(failed, "%w", err)
	}
	return ok
}

// secondSignal returns a channel that is closed when the process has been told twice to end. A third signal ends it at once.
func secondSignal() (hurry <-chan struct{}, stop func()) {
	signals, second, stopped := make(chan os.Signal, 2), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	var all sync.WaitGroup
	all.Go(func() {
		defer signal.Stop(signals)
		for range 2 {
			select {
			case <-signals:
			case <-stopped:
				return
			}
		}
		close(second)
	})
	return second, func() { close(stopped); all.Wait() }
}

// fail tells what went wrong, a line a problem, and returns status.
func (p process) fail(status int, format string, args ...any) int {
	for line := range strings.Lines(fmt.Errorf(format, args...).Error()) {
		_, _ = fmt.Fprintf(p.stderr, "checkout: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return status
}

// newFlags makes the flags of a client command, with the operands that it takes beside them.
func newFlags(command, operands string) *flag.FlagSet {
	flags := flag.NewFlagSet("checkout "+command, flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = fmt.Fprintf(flags.Output(), "Usage: checkout %s\n", strings.TrimSpace(command+" [flags] "+operands))
		flags.PrintDefaults()
	}
	return flags
}

// explain has the help of a command begin with what it does, and end with examples.
func explain(flags *flag.FlagSet, what string, examples ...string) {
	usage := flags.Usage
	flags.Usage = func() {
		_, _ = fmt.Fprintf(flags.Output(), "%s\n\n", what)
		usage()
		_, _ = fmt.Fprintf(flags.Output(), "\nExamples:\n  %s\n", strings.Join(examples, "\n  "))
	}
}

// parse reads a client command's arguments: flags, and before, between and after them at most as many operands as there
// are places for. done says that the command ends here, with status.
func (p process) parse(flags *flag.FlagSet, args []string, operands ...*string) (status int, done bool) {
	flags.SetOutput(p.stderr)
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return ok, true
		case err != nil:
			return misuse, true
		case flags.NArg() == 0:
			return ok, false
		case len(operands) == 0:
			return p.fail(misuse, "%s: unexpected argument %q", flags.Name(), flags.Arg(0)), true
		}
		*operands[0], operands, args = flags.Arg(0), operands[1:], flags.Args()[1:]
	}
}
