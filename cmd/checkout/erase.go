package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
)

func (p process) eraseCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:   "erase USER",
		Short: "Delete the finished orders of a user",
		Long: `Delete the finished orders of a user, and list those that are not finished and stay. Repeat it when they are finished.
The operator and the reason are kept in the audit log; do not name the user in them.`,
		Example: `  checkout order erase ada --by grace --why 'request 4711'`,
		Args:    cli.Args("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !d.yes {
				if err := p.ask("Delete the finished orders of " + args[0] + "? "); err != nil {
					return err
				}
			}
			return p.call(cmd.Context(), &d.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
				answer, err := checkoutv1.NewOrderAdminClient(conn).EraseUser(ctx, &checkoutv1.EraseUserRequest{UserId: args[0], By: d.By, Why: d.Why})
				if err == nil {
					p.print(d.output, answer, func() { p.erased(answer) })
				}
				return err
			})
		},
	}
	d.flags(cmd, p.getenv, "the audit log", "by", "why")
	return cmd
}

func (p process) erased(answer *checkoutv1.EraseUserResponse) {
	_, _ = fmt.Fprintf(p.stdout, "erased: %d\n", answer.GetErased())
	for _, id := range answer.GetKeptOrderIds() {
		_, _ = fmt.Fprintf(p.stdout, "kept, not finished: %s\n", id)
	}
}
