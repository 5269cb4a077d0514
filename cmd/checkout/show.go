package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
)

func (p process) showCommand() *cobra.Command {
	var r remote
	var req checkoutv1.GetOrderRequest
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Show an order and its history",
		Example: `  checkout order show 01890a5d-ac96-774b-bcce-b302099a8057
  checkout order show --user ada --key 4711`,
		Args: cli.Args("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				req.OrderId = args[0]
			}
			if (req.GetOrderId() != "") == (req.GetUserId() != "" && req.GetIdempotencyKey() != "") {
				return errors.New("use either an order ID, or --user and --key")
			}
			return p.call(cmd.Context(), &r, func(ctx context.Context, conn *grpc.ClientConn) error {
				o, err := checkoutv1.NewOrderServiceClient(conn).GetOrder(ctx, &req)
				if err == nil {
					p.print(r.output, o, func() { p.history(o, time.Now()) })
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&req.UserId, "user", "", "`id` of the user, with --key instead of an order ID")
	cmd.Flags().StringVar(&req.IdempotencyKey, "key", "", "idempotency `key` of the user's order")
	r.adminFlags(cmd, p.getenv)
	return cmd
}
