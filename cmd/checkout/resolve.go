package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"checkout/gen/checkout/checkoutv1"
	operator "checkout/internal/decision"
)

func (p process) resolveCommand() *cobra.Command {
	d := decision{Decision: operator.Decision{Action: "resolve"}}
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
	}
	flags := cmd.Flags()
	given := make(map[checkoutv1.ResolveOrderRequest_Resolution]*bool)
	for _, one := range []struct {
		name, usage string
		is          checkoutv1.ResolveOrderRequest_Resolution
	}{
		{"paid", "the charge was made: the order is shipped", checkoutv1.ResolveOrderRequest_PAID},
		{"not-paid", "confirmed, no charge: the order is cancelled", checkoutv1.ResolveOrderRequest_NOT_PAID},
		{"refunded", "the charge was refunded: the order is closed", checkoutv1.ResolveOrderRequest_REFUNDED},
		{"shipped", "the parcel was sent: the customer gets the confirmation; requires --tracking", checkoutv1.ResolveOrderRequest_SHIPPED},
	} {
		given[one.is] = flags.Bool(one.name, false, one.usage)
	}
	flags.Func("skip", "do not make these `deliveries`: email, event, or both separated by a comma", d.skip)
	flags.StringVar(&d.Transaction, "transaction", "", "`id` of the charge, with --paid, unless it is on record")
	flags.StringVar(&d.Tracking, "tracking", "", "tracking `id` of the parcel, with --shipped")
	return p.decisionCommand(cmd, &d, func() error { return d.resolution(given) }, "by", "why")
}

// resolution sets the one resolution that the flags name.
func (d *decision) resolution(given map[checkoutv1.ResolveOrderRequest_Resolution]*bool) error {
	skip := len(d.Skip) > 0
	given[checkoutv1.ResolveOrderRequest_SKIP] = &skip
	n := 0
	for is, given := range given {
		if *given {
			n++
			d.Resolution = is
		}
	}
	switch {
	case n != 1:
		return errors.New("use one of --paid, --not-paid, --refunded, --shipped and --skip")
	case d.Transaction != "" && d.Resolution != checkoutv1.ResolveOrderRequest_PAID:
		return errors.New("--transaction requires --paid")
	case d.Tracking != "" && d.Resolution != checkoutv1.ResolveOrderRequest_SHIPPED:
		return errors.New("--tracking requires --shipped")
	case d.Tracking == "" && d.Resolution == checkoutv1.ResolveOrderRequest_SHIPPED:
		return errors.New("--shipped requires --tracking")
	}
	return nil
}

// skip takes names of deliveries.
func (d *decision) skip(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		switch name = strings.TrimSpace(name); name {
		case "email", "event":
			d.Skip = append(d.Skip, name)
		default:
			return fmt.Errorf("%q must be email or event", name)
		}
	}
	return nil
}
