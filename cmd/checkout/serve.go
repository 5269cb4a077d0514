package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"checkout/internal/cli"
	"checkout/internal/serve"
)

func (p process) serveCommand() *cobra.Command {
	settings := serve.NewSettings()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve oteldemo.CheckoutService (the default command)",
		Long: `Serve oteldemo.CheckoutService until SIGINT or SIGTERM.

Each flag is also an environment variable, named in parentheses; a flag takes precedence. OpenTelemetry's own variables apply.
On the first signal, orders in progress are completed. A second signal skips the delay for load balancers, a third ends the
process at once.`,
		Args: cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings.CheckNames(p.environ)
			config, err := settings.Config(p.getenv, cmd.Flags().Changed)
			if err != nil {
				return err
			}
			var stop func()
			config.Hurry, stop = secondSignal()
			defer stop()
			if err := serve.Run(cmd.Context(), config, p.stdout, nil); err != nil {
				return cli.Fail(err)
			}
			return nil
		},
	}
	cmd.Flags().AddGoFlagSet(settings.Flags)
	return cmd
}

// secondSignal returns a channel that is closed at the second signal to end. The third one ends the process at once.
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
