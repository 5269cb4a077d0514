package main

import (
	"context"

	"github.com/spf13/cobra"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/cli"
	operator "checkout/internal/decision"
)

func (p process) cancelCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Give up a parked order that was not shipped",
		Long: `Give up a parked order. Make sure that no parcel was sent: you vouch for that. The payment service reverses the charge; it must be an idempotent
one. An order that may have been shipped is refunded instead.`,
		Example: `  checkout order cancel 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the customer does not want it any more'`,
		Args:    cli.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "by", "why"); err != nil {
				return err
			}
			return p.decide(cmd.Context(), &d, args[0], func(ctx context.Context, admin checkoutv1.OrderAdminClient, validateOnly bool) (*checkoutv1.Order, error) {
				return admin.CancelOrder(ctx, &checkoutv1.CancelOrderRequest{OrderId: args[0], By: d.by, Why: d.why, ValidateOnly: validateOnly})
			})
		},
	}
	d.flags(cmd, p.getenv)
	return cmd
}

func (p process) refundCommand() *cobra.Command {
	var d decision
	var amount sum
	cmd := &cobra.Command{
		Use:   "refund ID",
		Short: "Refund a paid order",
		Long: `Have the payment service refund a paid order that was shipped, or may have been. The payment service must be an
idempotent one, and refunds a charge as a whole: the amount is the order's total, as a safeguard.`,
		Example: `  checkout order refund 01890a5d-ac96-774b-bcce-b302099a8057 --amount 'CHF 212.96' --by grace --why 'sent back'`,
		Args:    cli.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "amount", "by", "why"); err != nil {
				return err
			}
			return p.decide(cmd.Context(), &d, args[0], func(ctx context.Context, admin checkoutv1.OrderAdminClient, validateOnly bool) (*checkoutv1.Order, error) {
				return admin.RefundOrder(ctx, &checkoutv1.RefundOrderRequest{OrderId: args[0], Amount: amount.Money, By: d.by, Why: d.why, ValidateOnly: validateOnly})
			})
		},
	}
	cmd.Flags().Var(&amount, "amount", "the order's `total`, such as 'CHF 212.96'; required")
	d.flags(cmd, p.getenv)
	return cmd
}

// sum is an amount of money, as a flag.
type sum struct {
	*oteldemo.Money
	text string
}

func (s *sum) String() string { return s.text }

// Type implements pflag.Value.
func (s *sum) Type() string { return "amount" }

func (s *sum) Set(text string) error {
	s.text = text
	var err error
	s.Money, err = operator.Amount(text)
	return err
}
