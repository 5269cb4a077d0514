package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	operator "checkout/internal/decision"
	"checkout/internal/wire"
)

// decision is what commands about an order that requires an operator have in common.
type decision struct {
	remote

	by, why string
	yes     bool
}

func (d *decision) flags(cmd *cobra.Command, getenv func(string) string) {
	cmd.Flags().StringVar(&d.by, "by", "", "`name` of the operator, for the order's history; required")
	cmd.Flags().StringVar(&d.why, "why", "", "`reason`, for the order's history")
	cmd.Flags().BoolVar(&d.yes, "yes", false, "do not ask for confirmation")
	d.adminFlags(cmd, getenv)
}

// send has a decision about the order made, or only checked, and returns the order as it is then, or would be.
type send func(ctx context.Context, admin checkoutv1.OrderAdminClient, id string, validateOnly bool) (*checkoutv1.Order, error)

// decisionCommand makes cmd a command for a decision that needs these flags.
func (p process) decisionCommand(cmd *cobra.Command, d *decision, send send, needs ...string) *cobra.Command {
	cmd.Args = cli.Args("ID")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := required(cmd.Flags(), needs...); err != nil {
			return err
		}
		return p.decide(cmd.Context(), d, args[0], send)
	}
	d.flags(cmd, p.getenv)
	return cmd
}

func (p process) retryCommand() *cobra.Command {
	var d decision
	return p.decisionCommand(&cobra.Command{
		Use:   "retry ID",
		Short: "Resume an order that requires an operator",
		Long: `Resume an order that requires an operator. A paid order is shipped again; of an undelivered order the confirmation
e-mail and the event are sent again. If a parcel was sent before, the customer receives another one.`,
		Example: `  checkout order retry 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the carrier has no parcel for this order'`,
	}, &d, func(ctx context.Context, admin checkoutv1.OrderAdminClient, id string, validateOnly bool) (*checkoutv1.Order, error) {
		return admin.RetryOrder(ctx, &checkoutv1.RetryOrderRequest{OrderId: id, By: d.by, Why: d.why, ValidateOnly: validateOnly})
	}, "by")
}

func (p process) cancelCommand() *cobra.Command {
	var d decision
	return p.decisionCommand(&cobra.Command{
		Use:   "cancel ID",
		Short: "Give up a parked order that was not shipped",
		Long: `Give up a parked order. Make sure that no parcel was sent: you vouch for that. The payment service reverses the charge; it must be an idempotent
one. An order that may have been shipped is refunded instead.`,
		Example: `  checkout order cancel 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the customer does not want it any more'`,
	}, &d, func(ctx context.Context, admin checkoutv1.OrderAdminClient, id string, validateOnly bool) (*checkoutv1.Order, error) {
		return admin.CancelOrder(ctx, &checkoutv1.CancelOrderRequest{OrderId: id, By: d.by, Why: d.why, ValidateOnly: validateOnly})
	}, "by", "why")
}

// decide has a decision about an order confirmed and made, and prints the order's new state.
func (p process) decide(ctx context.Context, d *decision, id string, send send) error {
	if !d.yes {
		if err := p.confirm(ctx, d, id, send); err != nil {
			return err
		}
	}
	return p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
		o, err := send(ctx, checkoutv1.NewOrderAdminClient(conn), id, false)
		if err == nil {
			p.print(d.output, o, func() { _, _ = fmt.Fprintf(p.stdout, "order %s is %s\n", o.GetOrderId(), stateName(o.GetState())) })
		}
		return err
	})
}

// confirm asks whether to make a decision, unless it would be refused.
func (p process) confirm(ctx context.Context, d *decision, id string, send send) error {
	var is, would *checkoutv1.Order
	err := p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		if would, err = send(ctx, checkoutv1.NewOrderAdminClient(conn), id, true); err != nil {
			return err
		}
		is, err = checkoutv1.NewOrderServiceClient(conn).GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: id})
		return err
	})
	if err != nil {
		return err
	}
	for _, fact := range [][2]string{
		{"order", is.GetOrderId()},
		{"state", stateName(is.GetState()) + " -> " + stateName(would.GetState())},
		{"amount", wire.Price(is.GetTotal())},
		{"customer", is.GetUserId()},
		{"charge", operator.Charge(is)},
		{"next", operator.Next(would)},
	} {
		_, _ = fmt.Fprintf(p.stderr, "%-10s%s\n", fact[0], clean(fact[1]))
	}
	_, _ = fmt.Fprint(p.stderr, `This cannot be undone. Type "yes" to record it: `)
	answer, _ := bufio.NewReader(io.LimitReader(p.stdin, 64)).ReadString('\n') // what was not read is no yes
	if strings.TrimSpace(answer) != "yes" {
		return cli.Fail(errors.New("not confirmed: nothing was recorded; use --yes to skip the question"))
	}
	return nil
}
