package main

import (
	"github.com/spf13/cobra"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	operator "checkout/internal/decision"
)

func (p process) refundCommand() *cobra.Command {
	var d decision
	var amount sum
	cmd := &cobra.Command{
		Use:   "refund ID",
		Short: "Refund a paid order",
		Long: `Have the payment service refund a paid order that was shipped, or may have been. The payment service must be an
idempotent one. A completed order is refunded in part, too, if the payment service can; of another one the amount is the total.`,
		Example: `  checkout order refund 01890a5d-ac96-774b-bcce-b302099a8057 --amount 'CHF 212.96' --by grace --why 'sent back'`,
	}
	cmd.Flags().Var(&amount, "amount", "`amount` to refund, such as 'CHF 212.96'; required")
	return p.decisionCommand(cmd, &d, func(is *checkoutv1.Order, validateOnly bool) operator.Request {
		return &checkoutv1.RefundOrderRequest{OrderId: is.GetOrderId(), Seen: is.GetChanged(), Amount: amount.Money, By: d.by, Why: d.why, ValidateOnly: validateOnly}
	}, "amount", "by", "why")
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
