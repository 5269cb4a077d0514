package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	operator "checkout/internal/decision"
)

// resolution is what the flags of `checkout order resolve` say.
type resolution struct {
	decision

	paid, notPaid, refunded, shipped bool
	transaction, tracking            string
	skip                             []string
}

func (p process) resolveCommand() *cobra.Command {
	var r resolution
	cmd := &cobra.Command{
		Use:   "resolve ID",
		Short: "Record a decision about an order that requires an operator",
		Long: `Record what an operator has found out, or decided, about an order that requires an operator. You are shown
what is known of the order, and what happens next, before you confirm the decision. It cannot be undone.`,
		Example: `  checkout order resolve ID --paid --transaction TX --by grace --why "in the provider's list of charges"
  checkout order resolve ID --not-paid --by grace --why 'not in the list two days later'
  checkout order resolve ID --refunded --by grace --why 'refunded by hand, receipt 4711'
  checkout order resolve ID --shipped --tracking T-4711 --by grace --why "in the carrier's list of parcels"
  checkout order resolve ID --skip email --by grace --why 'the customer was called'`,
		Args: cli.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "by", "why"); err != nil {
				return err
			}
			chosen, err := r.chosen()
			if err != nil {
				return err
			}
			return p.decide(cmd.Context(), &r.decision, args[0], func(is *checkoutv1.Order, validateOnly bool) operator.Request {
				return &checkoutv1.ResolveOrderRequest{
					OrderId: is.GetOrderId(), Seen: is.GetChanged(), Resolution: chosen, TransactionId: r.transaction, TrackingId: r.tracking, Skip: r.skip, By: r.by, Why: r.why,
					ValidateOnly: validateOnly,
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.paid, "paid", false, "the charge was made: the order is shipped")
	flags.BoolVar(&r.notPaid, "not-paid", false, "confirmed, no charge: the order is cancelled")
	flags.BoolVar(&r.refunded, "refunded", false, "the charge was refunded: the order is closed")
	flags.BoolVar(&r.shipped, "shipped", false, "the parcel was sent: the customer gets the confirmation; requires --tracking")
	flags.Func("skip", "do not make these `deliveries`: email, event, or both separated by a comma", r.skipDeliveries)
	flags.StringVar(&r.transaction, "transaction", "", "`id` of the charge, with --paid, unless it is on record")
	flags.StringVar(&r.tracking, "tracking", "", "tracking `id` of the parcel, with --shipped")
	r.flags(cmd, p.getenv)
	return cmd
}

// chosen is the one resolution that the flags name.
func (r *resolution) chosen() (chosen checkoutv1.ResolveOrderRequest_Resolution, err error) {
	n := 0
	for _, one := range []struct {
		given bool
		is    checkoutv1.ResolveOrderRequest_Resolution
	}{
		{r.paid, checkoutv1.ResolveOrderRequest_PAID},
		{r.notPaid, checkoutv1.ResolveOrderRequest_NOT_PAID},
		{r.refunded, checkoutv1.ResolveOrderRequest_REFUNDED},
		{r.shipped, checkoutv1.ResolveOrderRequest_SHIPPED},
		{len(r.skip) > 0, checkoutv1.ResolveOrderRequest_SKIP},
	} {
		if one.given {
			n++
			chosen = one.is
		}
	}
	switch {
	case n != 1:
		return 0, errors.New("use one of --paid, --not-paid, --refunded, --shipped and --skip")
	case r.transaction != "" && !r.paid:
		return 0, errors.New("--transaction requires --paid")
	case r.tracking != "" && !r.shipped:
		return 0, errors.New("--tracking requires --shipped")
	case r.shipped && r.tracking == "":
		return 0, errors.New("--shipped requires --tracking")
	}
	return chosen, nil
}

// skipDeliveries takes names of deliveries.
func (r *resolution) skipDeliveries(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		switch name = strings.TrimSpace(name); name {
		case "email", "event":
			r.skip = append(r.skip, name)
		default:
			return fmt.Errorf("%q must be email or event", name)
		}
	}
	return nil
}
