package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"checkout/internal/cli"
)

// pages are what a server lists, page after page.
type pages struct {
	remote

	of    string // orders, entries
	limit int
}

func (l *pages) flags(cmd *cobra.Command, getenv func(string) string, of string) {
	l.of = of
	cmd.Flags().IntVar(&l.limit, "limit", 50, "maximum `number` of "+of)
	l.adminFlags(cmd, getenv, cli.CSV)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if l.limit < 1 {
			return fmt.Errorf("--limit=%d: must be positive", l.limit)
		}
		return nil
	}
}

// fetch emits what page returns, each page in its own time, until the limit. It reports whether there is more.
func fetch[T any](
	ctx context.Context, p process, l *pages, page func(ctx context.Context, conn *grpc.ClientConn, size int32, token string) ([]T, string, error), emit func(T),
) (found int, more bool, err error) {
	for token := ""; ; {
		var all []T
		err := p.call(ctx, &l.remote, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
			all, token, err = page(ctx, conn, int32(min(l.limit+1-found, 500)), token) //nolint:gosec // it is bounded on the spot
			return err
		})
		if err != nil {
			return found, false, err
		}
		for _, one := range all {
			if found == l.limit {
				return found, true, nil
			}
			found++
			emit(one)
		}
		if token == "" {
			return found, false, nil
		}
	}
}

// end says on stderr that nothing was found, or that there is more.
func (p process) end(l *pages, found int, more bool) {
	switch {
	case more:
		_, _ = fmt.Fprintf(p.stderr, "There are more than %d; use --limit=%d to see more.\n", l.limit, 10*l.limit)
	case found == 0 && l.output == cli.Text:
		_, _ = fmt.Fprintf(p.stderr, "No %s found.\n", l.of)
	}
}
