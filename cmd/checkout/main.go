// Command checkout places orders, and is the tool of its operators. `checkout help` lists its commands.
//
// Without a command it serves. Called by the name grpc_health_probe it is `checkout health`.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"checkout/internal/cli"
	"checkout/internal/env"
	"checkout/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, unless it serves
	log.SetOutput(io.Discard)    // net/http prints what a service sends unasked: that may be a card
	getenv := func(name string) string { return env.Clean(os.Getenv(name)) }
	for _, variable := range os.Environ() { // OpenTelemetry's SDK reads its own by itself
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") && env.Clean(value) != value {
			_ = os.Setenv(name, env.Clean(value)) // it was set before
		}
	}
	p := process{getenv: getenv, environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	status := p.run(ctx, os.Args)
	stop()
	os.Exit(status)
}

// process is what a command may use of the process that it runs in.
type process struct {
	getenv         func(string) string
	environ        []string // NAME=value
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run runs the command that args name and returns its exit status.
func (p process) run(ctx context.Context, args []string) int {
	return cli.Run(ctx, p.root(), withCommand(args), p.stdout, p.stderr)
}

// withCommand returns the arguments with the command that they leave out.
func withCommand(args []string) []string {
	name, args := filepath.Base(args[0]), args[1:]
	switch {
	case name == "grpc_health_probe":
		return append([]string{"health"}, args...)
	case len(args) == 0:
		return []string{"serve"}
	}
	switch args[0] {
	case "-h", "-help", "--help", "-version", "--version":
		return args
	}
	if strings.HasPrefix(args[0], "-") {
		return append([]string{"serve"}, args...)
	}
	return args
}

func (p process) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "checkout",
		Short: "Place orders",
		Long: `Checkout places the orders of a shop.

Without a command it serves, as "checkout serve" does. Flags may also be written with a single dash.

Exit status: 0 on success, 1 on failure, 2 if the command line or a setting is wrong, 4 if it is unknown whether
a decision about an order was recorded: look at the order before you repeat it. "checkout order place" and "checkout health" have more.`,
		Example: `  checkout health --addr :5050
  checkout order list --attention      # orders that require an operator
  checkout order show ID`,
		Version: version.Read().String(),
	}
	return cli.Group(root,
		p.serveCommand(), p.healthCommand(), p.versionCommand(),
		cli.Group(&cobra.Command{Use: "order", Short: "Place, look at, and decide about orders"},
			p.placeCommand(), p.listCommand(), p.showCommand(), p.watchCommand(),
			p.retryCommand(), p.resolveCommand(), p.cancelCommand(), p.refundCommand(), p.eraseCommand(),
		),
		cli.Group(&cobra.Command{Use: "audit", Short: "Look at what operators have done"},
			p.auditListCommand(),
		),
		cli.Group(&cobra.Command{Use: "record", Short: "Back up, restore and move the record of orders"},
			p.backupCommand(), p.holdCommand(), p.copyCommand(),
		),
	)
}
