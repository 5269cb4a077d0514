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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	operator "checkout/internal/decision"
	"checkout/internal/wire"
)

// decision is what commands about an order that requires an operator have in common.
type decision struct {
	remote
	operator.Decision

	yes bool
}

// decisionCommand makes cmd a command that decides about an order. ready, unless nil, checks and completes the decision.
func (p process) decisionCommand(cmd *cobra.Command, d *decision, ready func() error, requires ...string) *cobra.Command {
	cmd.Args = cli.Args("ID")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if ready != nil {
			if err := ready(); err != nil {
				return err
			}
		}
		d.OrderID = args[0]
		return p.decide(cmd.Context(), d)
	}
	d.flags(cmd, p.getenv, "the order's history", requires...)
	return cmd
}

// flags adds the flags that say who decides, and why, for what keeps it.
func (d *decision) flags(cmd *cobra.Command, getenv func(string) string, keeps string, requires ...string) {
	cmd.Flags().StringVar(&d.By, "by", "", "`name` of the operator, for "+keeps)
	cmd.Flags().StringVar(&d.Why, "why", "", "`reason`, for "+keeps)
	cmd.Flags().BoolVar(&d.yes, "yes", false, "do not ask for confirmation")
	d.adminFlags(cmd, getenv)
	require(cmd, requires...)
}

func (p process) retryCommand() *cobra.Command {
	d := decision{Decision: operator.Decision{Action: "retry"}}
	return p.decisionCommand(&cobra.Command{
		Use:   "retry ID",
		Short: "Resume an order that requires an operator",
		Long: `Resume an order that requires an operator. A paid order is shipped again; of an undelivered order the confirmation
e-mail and the event are sent again. If a parcel was sent before, the customer receives another one.`,
		Example: `  checkout order retry 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the carrier has no parcel for this order'
  checkout order list --state undelivered -o json | jq -r .orderId | xargs -n 1 checkout order retry --by grace --yes`,
	}, &d, nil, "by")
}

func (p process) cancelCommand() *cobra.Command {
	d := decision{Decision: operator.Decision{Action: "cancel"}}
	return p.decisionCommand(&cobra.Command{
		Use:   "cancel ID",
		Short: "Give up a parked order that was not shipped",
		Long: `Give up a parked order. Make sure that no parcel was sent. The payment service reverses the charge; it must be an idempotent
one. An order that may have been shipped is refunded instead.`,
		Example: `  checkout order cancel 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the customer does not want it any more'`,
	}, &d, nil, "by", "why")
}

func (p process) refundCommand() *cobra.Command {
	d := decision{Decision: operator.Decision{Action: "refund"}}
	cmd := &cobra.Command{
		Use:   "refund ID",
		Short: "Refund a paid order",
		Long: `Have the payment service refund a paid order that was shipped, or may have been. The payment service must be an
idempotent one. A completed order is refunded in part, too, if the payment service can; of another one the amount is the total.`,
		Example: `  checkout order refund 01890a5d-ac96-774b-bcce-b302099a8057 --amount 'CHF 212.96' --by grace --why 'sent back'`,
	}
	cmd.Flags().Func("amount", "`amount` to refund, such as 'CHF 212.96'", func(s string) (err error) {
		d.Amount, err = operator.Amount(s)
		return err
	})
	return p.decisionCommand(cmd, &d, nil, "amount", "by", "why")
}

// decide has a decision about an order confirmed and made, and prints the order's new state.
func (p process) decide(ctx context.Context, d *decision) error {
	if err := p.confirm(ctx, d); err != nil {
		return err
	}
	return p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
		var server peer.Peer
		o, err := d.Send(ctx, checkoutv1.NewOrderAdminClient(conn), false, grpc.Peer(&server))
		if err != nil {
			return p.undecided(d, err, server.Addr != nil)
		}
		p.print(d.output, o, func() { _, _ = fmt.Fprintf(p.stdout, "order %s is %s\n", o.GetOrderId(), wire.StateName(o.GetState())) })
		return nil
	})
}

// undecided explains why a decision was not recorded, or that it may have been. sent: the server may have the request.
func (p process) undecided(d *decision, err error, sent bool) error {
	refused := p.refused(&d.remote, err)
	answer := status.Convert(err)
	switch answer.Code() { // these come before anything is recorded
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted, codes.Unimplemented:
		return refused
	default:
		if !sent || wire.ErrorInfo(err).GetReason() == "NOT_RECORDED" {
			return refused
		}
		return &cli.Error{Status: statusUnknown, Err: fmt.Errorf("it is unknown whether the decision was recorded: see 'checkout order show %s' before you repeat it\n  %s: %s",
			clean(d.OrderID), answer.Code(), clean(answer.Message()))}
	}
}

// confirm asks whether to make a decision about the order as it is now, unless it would be refused.
func (p process) confirm(ctx context.Context, d *decision) error {
	var is, would *checkoutv1.Order
	err := p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		is, err = checkoutv1.NewOrderServiceClient(conn).GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: d.OrderID})
		d.Seen = is.GetChanged()
		if err == nil && !d.yes {
			would, err = d.Send(ctx, checkoutv1.NewOrderAdminClient(conn), true)
		}
		return err
	})
	if err != nil || d.yes {
		return err
	}
	for _, fact := range [][2]string{
		{"order", is.GetOrderId()},
		{"state", wire.StateName(is.GetState()) + " -> " + wire.StateName(would.GetState())},
		{"amount", wire.Price(is.GetTotal())},
		{"customer", is.GetUserId()},
		{"charge", operator.Charge(is)},
		{"next", operator.Next(would)},
	} {
		_, _ = fmt.Fprintf(p.stderr, "%-10s%s\n", fact[0], clean(fact[1]))
	}
	return p.ask("")
}

// ask has the operator confirm what cannot be undone.
func (p process) ask(question string) error {
	_, _ = fmt.Fprint(p.stderr, clean(question), `This cannot be undone. Type "yes" to record it: `)
	answer, _ := bufio.NewReader(io.LimitReader(p.stdin, 64)).ReadString('\n') // what was not read is no yes
	if strings.TrimSpace(answer) != "yes" {
		return cli.Fail(errors.New("not confirmed: nothing was recorded; use --yes to skip the question"))
	}
	return nil
}
