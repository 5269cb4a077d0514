package main

import (
	"context"

	"github.com/spf13/cobra"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
)

func (p process) retryCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Resume an order that requires an operator",
		Long: `Resume an order that requires an operator. A paid order is shipped again; of an undelivered order the confirmation
e-mail and the event are sent again. If a parcel was sent before, the customer receives another one.`,
		Example: `  checkout order retry 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the carrier has no parcel for this order'`,
		Args:    cli.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "by"); err != nil {
				return err
			}
			return p.decide(cmd.Context(), &d, args[0], func(ctx context.Context, admin checkoutv1.OrderAdminClient, validateOnly bool) (*checkoutv1.Order, error) {
				return admin.RetryOrder(ctx, &checkoutv1.RetryOrderRequest{OrderId: args[0], By: d.by, Why: d.why, ValidateOnly: validateOnly})
			})
		},
	}
	d.flags(cmd, p.getenv)
	return cmd
}
