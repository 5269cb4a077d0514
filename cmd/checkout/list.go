package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// listing is what the flags of `checkout order list` say.
type listing struct {
	pages

	states       states
	older, newer time.Duration
	attention    bool

	prefix, user, email, transaction, tracking string
}

func (p process) listCommand() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List orders, newest first",
		Example: `  checkout order list --attention                   # orders that require an operator
  checkout order list --state placed --older 2d     # deliveries pending for two days
  checkout order list --user ada --newer 7d         # what one user ordered this week
  checkout order list -o json | jq -r .orderId      # one order a line
  checkout order list -o csv --limit 1000000 > orders.csv`,
		Args: cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.list(cmd.Context(), &l) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&l.attention, "attention", false, "only orders that require an operator")
	l.states.flag(cmd, "only orders in these `states`: "+strings.Join(stateNames(), ","))
	cli.Age(cmd, &l.older, "older", "only orders created longer than this `time` ago, such as 30m, 12h or 2d")
	cli.Age(cmd, &l.newer, "newer", "only orders created within this `time`")
	flags.StringVar(&l.prefix, "id", "", "only orders whose ID has this `beginning`")
	flags.StringVar(&l.user, "user", "", "only orders of this user `id`")
	flags.StringVar(&l.email, "email", "", "only orders of this `address`")
	flags.StringVar(&l.transaction, "transaction", "", "only orders of this transaction `id`")
	flags.StringVar(&l.tracking, "tracking", "", "only orders of this tracking `id`")
	l.flags(cmd, p.getenv, "orders")
	return cmd
}

// list prints orders, newest first: as a table, or as they arrive.
func (p process) list(ctx context.Context, l *listing) error {
	req, err := l.request(time.Now())
	if err != nil {
		return err
	}
	var table []*checkoutv1.Order
	emit := func(o *checkoutv1.Order) { table = append(table, o) }
	switch l.output {
	case cli.JSON:
		emit = func(o *checkoutv1.Order) { p.line(o) }
	case cli.CSV:
		p.cells("order_id", "state", "created", "changed", "currency", "total", "user_id", "transaction_id", "tracking_id", "reason")
		emit = p.orderCells
	case cli.Text:
	}
	found, more, err := fetch(ctx, p, &l.pages, func(ctx context.Context, conn *grpc.ClientConn, size int32, token string) ([]*checkoutv1.Order, string, error) {
		req.PageSize, req.PageToken = size, token
		resp, err := checkoutv1.NewOrderServiceClient(conn).ListOrders(ctx, req)
		unwanted := func(o *checkoutv1.Order) bool { return l.attention && !o.GetRequiresOperator() }
		return slices.DeleteFunc(resp.GetOrders(), unwanted), resp.GetNextPageToken(), err
	}, emit)
	if err != nil {
		return err
	}
	if table != nil {
		p.table(table, time.Now())
	}
	p.end(&l.pages, found, more)
	return nil
}

// request is what the flags select.
func (l *listing) request(now time.Time) (*checkoutv1.ListOrdersRequest, error) {
	if l.older > 0 && l.newer > 0 && l.older >= l.newer {
		return nil, fmt.Errorf("--older=%v, --newer=%v: no order can be both", l.older, l.newer)
	}
	req := &checkoutv1.ListOrdersRequest{
		States: l.states, OrderIdPrefix: l.prefix, UserId: l.user, Email: l.email, TransactionId: l.transaction, TrackingId: l.tracking,
	}
	if l.attention && len(l.states) == 0 { // the others cannot require an operator, and are many
		req.States = wire.OperatorStates()
	}
	if l.older > 0 {
		req.CreatedBefore = timestamppb.New(now.Add(-l.older))
	}
	if l.newer > 0 {
		req.CreatedAfter = timestamppb.New(now.Add(-l.newer))
	}
	return req, nil
}

// orderCells prints an order as a line of CSV.
func (p process) orderCells(o *checkoutv1.Order) {
	currency, total, _ := strings.Cut(wire.Price(o.GetTotal()), " ")
	p.cells(o.GetOrderId(), wire.StateName(o.GetState()), rfc3339(o.GetCreated()), rfc3339(o.GetChanged()), currency, total,
		o.GetUserId(), o.GetTransactionId(), o.GetTrackingId(), o.GetReason())
}

// states are order states, by their names.
type states []checkoutv1.OrderState

// flag adds --state.
func (l *states) flag(cmd *cobra.Command, usage string) {
	cmd.Flags().Func("state", usage, l.add)
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateNames(), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

func (l *states) add(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		i := slices.Index(stateNames(), strings.TrimSpace(name))
		if i < 0 {
			return errors.New("must be one of " + strings.Join(stateNames(), ", "))
		}
		*l = append(*l, checkoutv1.OrderState(order.States()[i]))
	}
	return nil
}

func stateNames() []string {
	var names []string
	for _, s := range order.States() {
		names = append(names, s.String())
	}
	return names
}
