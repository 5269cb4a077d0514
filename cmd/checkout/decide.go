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
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	operator "checkout/internal/decision"
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

// send has a decision made, or only checked, and returns the order as it is then, or would be.
type send func(ctx context.Context, admin checkoutv1.OrderAdminClient, validateOnly bool) (*checkoutv1.Order, error)

// decide has a decision about an order confirmed and made, and prints the order's new state.
func (p process) decide(ctx context.Context, d *decision, id string, send send) error {
	if !d.yes {
		if err := p.confirm(ctx, d, id, send); err != nil {
			return err
		}
	}
	return p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
		o, err := send(ctx, checkoutv1.NewOrderAdminClient(conn), false)
		switch {
		case err != nil:
			return err
		case d.output == cli.JSON:
			_, _ = fmt.Fprintln(p.stdout, protojson.Format(o))
		default:
			_, _ = fmt.Fprintf(p.stdout, "order %s is %s\n", o.GetOrderId(), stateName(o.GetState()))
		}
		return nil
	})
}

// confirm asks whether to make a decision, unless it would be refused.
func (p process) confirm(ctx context.Context, d *decision, id string, send send) error {
	var is, would *checkoutv1.Order
	err := p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		if would, err = send(ctx, checkoutv1.NewOrderAdminClient(conn), true); err != nil {
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
		{"amount", price(is.GetTotal())},
		{"customer", is.GetUserId()},
		{"charge", operator.Charge(is)},
		{"next", operator.Next(would.GetState())},
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
