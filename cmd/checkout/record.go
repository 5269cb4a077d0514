package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	"checkout/internal/serve"
	"checkout/internal/store"
)

func (p process) backupCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite record of the running service to a file",
		Long: `Copy the SQLite record of the running service, as it is at one moment, to a new file, or with - to standard output.
Orders go on meanwhile.

In the copy, orders that are not finished require an operator: after a restore it is not known whether they were charged,
shipped or delivered since. To restore, stop the service, put the file in the place of the record, without an old
orders.db-wal beside it, and start the service.`,
		Example: `  checkout record backup orders-monday.db
  docker exec checkout ./checkout record backup - >orders-monday.db`,
		Args: cli.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				return p.backUp(cmd.Context(), &r, p.stdout)
			}
			return p.backUpTo(cmd.Context(), &r, args[0])
		},
	}
	r.adminFlags(cmd, p.getenv)
	timeout := cmd.Flags().Lookup("timeout")
	timeout.DefValue = "1h0m0s"
	_ = timeout.Value.Set(timeout.DefValue) // it is a duration
	return cmd
}

// backUpTo writes a backup to a file, which has that name once it is complete.
func (p process) backUpTo(ctx context.Context, r *remote, name string) error {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return cli.Fail(cmp.Or(err, fmt.Errorf("%s exists already", name)))
	}
	part, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part") // its owner's only
	if err != nil {
		return cli.Fail(err)
	}
	err = p.backUp(ctx, r, part)
	failure := errors.Join(part.Sync(), part.Close())
	if err == nil && failure == nil {
		failure = os.Rename(part.Name(), name)
	}
	if err == nil && failure != nil {
		err = cli.Fail(failure)
	}
	if err != nil {
		_ = os.Remove(part.Name())
	}
	return err
}

// backUp writes a backup to a file.
func (p process) backUp(ctx context.Context, r *remote, to io.Writer) error {
	return p.call(ctx, r, func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := checkoutv1.NewRecordAdminClient(conn).BackupRecord(ctx, &checkoutv1.BackupRecordRequest{})
		if err != nil {
			return err
		}
		var written, size, held int64
		for {
			part, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			size, held = size+part.GetSize(), held+part.GetHeld()
			n, err := to.Write(part.GetData())
			if written += int64(n); err != nil {
				return err
			}
		}
		if written != size {
			return fmt.Errorf("the backup ended after %d of %d bytes; try again", written, size)
		}
		_, _ = fmt.Fprintf(p.stderr, "%d bytes; orders in the copy that require an operator: %d\n", written, held)
		return nil
	})
}

func (p process) holdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hold DB",
		Short: "Make the unfinished orders of a restored record require an operator",
		Long: `Make the orders that are not finished require an operator, so that the service does not charge, ship or mail again what was
done after the backup. Use it after a restore that was not made by "checkout record backup", such as with pg_dump, before a
service is started. DB is as in CHECKOUT_DB. Repeating it does no harm.`,
		Example: `  checkout record hold postgres://checkout@db:5432/checkout
  checkout order list --attention`,
		Args: cli.Args("DB"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			record, err := serve.OpenRecord(cmd.Context(), args[0], false)
			if err != nil {
				return cli.Fail(err)
			}
			held, err := record.Hold(cmd.Context())
			if err := errors.Join(err, record.Close()); err != nil {
				return cli.Fail(err)
			}
			_, _ = fmt.Fprintf(p.stdout, "orders that require an operator: %d\n", held)
			return nil
		},
	}
}

func (p process) copyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy the record to another database, for example from SQLite to PostgreSQL",
		Long: `Copy the whole record to an empty one, entirely or not at all. FROM and TO are as in CHECKOUT_DB. Stop the service first, and
start it with CHECKOUT_DB=TO then: it goes on with the orders where it stopped.`,
		Example: `  checkout record copy /var/lib/checkout/orders.db postgres://checkout@db:5432/checkout`,
		Args:    cli.Args("FROM", "TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := copyRecord(cmd.Context(), args[0], args[1])
			if err != nil {
				return cli.Fail(err)
			}
			_, _ = fmt.Fprintf(p.stdout, "orders: %d\n", n)
			return nil
		},
	}
}

func copyRecord(ctx context.Context, from, to string) (orders int64, err error) {
	source, err := serve.OpenRecord(ctx, from, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := serve.OpenRecord(ctx, to, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return store.Copy(ctx, source, target)
}
