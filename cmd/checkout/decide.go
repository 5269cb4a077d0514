package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
)

// decision is what commands about an order that requires an operator have in common.
type decision struct {
	remote

	by, why string
}

func (d *decision) flags(cmd *cobra.Command, getenv func(string) string) {
	cmd.Flags().StringVar(&d.by, "by", "", "`name` of the operator, for the order's history; required")
	cmd.Flags().StringVar(&d.why, "why", "", "`reason`, for the order's history")
	d.adminFlags(cmd, getenv)
}

// decide sends the decision and prints the order's new state.
func (p process) decide(ctx context.Context, d *decision, send func(context.Context, checkoutv1.OrderAdminClient) (*checkoutv1.Order, error)) error {
	return p.call(ctx, &d.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
		o, err := send(ctx, checkoutv1.NewOrderAdminClient(conn))
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
