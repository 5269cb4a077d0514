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

	by, why string
	yes     bool
}

func (d *decision) flags(cmd *cobra.Command, getenv func(string) string) {
	cmd.Flags().StringVar(&d.by, "by", "", "`name` of the operator, for the order's history; required")
	cmd.Flags().StringVar(&d.why, "why", "", "`reason`, for the order's history")
	cmd.Flags().BoolVar(&d.yes, "yes", false, "do not ask for confirmation")
	d.adminFlags(cmd, getenv)
}

// request is for a decision about the order as it was seen, to be made or only checked.
type request func(is *checkoutv1.Order, validateOnly bool) operator.Request

// decisionCommand makes cmd a command for a decision that needs these flags.
func (p process) decisionCommand(cmd *cobra.Command, d *decision, request request, needs ...string) *cobra.Command {
	cmd.Args = cli.Args("ID")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := required(cmd.Flags(), needs...); err != nil {
			return err
		}
		return p.decide(cmd.Context(), d, args[0], request)
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
	}, &d, func(is *checkoutv1.Order, validateOnly bool) operator.Request {
		return &checkoutv1.RetryOrderRequest{OrderId: is.GetOrderId(), Seen: is.GetChanged(), By: d.by, Why: d.why, ValidateOnly: validateOnly}
	}, "by")
}

func (p process) cancelCommand() *cobra.Command {
	var d decision
	return p.decisionCommand(&cobra.Command{
		Use:   "cancel ID",
		Short: "Give up a parked order that was not shipped",
		Long: `Give up a parked order. Make sure that no parcel was sent. The payment service reverses the charge; it must be an idempotent
one. An order that may have been shipped is refunded instead.`,
		Example: `  checkout order cancel 01890a5d-ac96-774b-bcce-b302099a8057 --by grace --why 'the customer does not want it any more'`,
	}, &d, func(is *checkoutv1.Order, validateOnly bool) operator.Request {
		return &checkoutv1.CancelOrderRequest{OrderId: is.GetOrderId(), Seen: is.GetChanged(), By: d.by, Why: d.why, ValidateOnly: validateOnly}
	}, "by", "why")
}

// decide has a decision about an order confirmed and made, and prints the order's new state.
func (p process) decide(ctx context.Context, d *decision, id string, request request) error {
	is, err := p.confirm(ctx, d, id, request)
	if err != nil {
		return err
	}
	return p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
		var server peer.Peer
		o, err := operator.Send(ctx, checkoutv1.NewOrderAdminClient(conn), request(is, false), grpc.Peer(&server))
		if err != nil {
			return p.undecided(d, id, err, server.Addr != nil)
		}
		p.print(d.output, o, func() { _, _ = fmt.Fprintf(p.stdout, "order %s is %s\n", o.GetOrderId(), wire.StateName(o.GetState())) })
		return nil
	})
}

// undecided explains why a decision was not recorded, or that it may have been. sent: the server may have the request.
func (p process) undecided(d *decision, id string, err error, sent bool) error {
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
			clean(id), answer.Code(), clean(answer.Message()))}
	}
}

// confirm asks whether to make a decision, unless it would be refused. It returns the order that the decision is about.
func (p process) confirm(ctx context.Context, d *decision, id string, request request) (is *checkoutv1.Order, err error) {
	var would *checkoutv1.Order
	err = p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		is, err = checkoutv1.NewOrderServiceClient(conn).GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: id})
		if err == nil && !d.yes {
			would, err = operator.Send(ctx, checkoutv1.NewOrderAdminClient(conn), request(is, true))
		}
		return err
	})
	if err != nil || d.yes {
		return is, err
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
	_, _ = fmt.Fprint(p.stderr, `This cannot be undone. Type "yes" to record it: `)
	answer, _ := bufio.NewReader(io.LimitReader(p.stdin, 64)).ReadString('\n') // what was not read is no yes
	if strings.TrimSpace(answer) != "yes" {
		return nil, cli.Fail(errors.New("not confirmed: nothing was recorded; use --yes to skip the question"))
	}
	return is, nil
}
