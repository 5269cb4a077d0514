package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// listing is what the flags of `checkout order list` say.
type listing struct {
	remote

	states       states
	older, newer time.Duration
	attention    bool
	limit        int
	json         bool
}

func (l *listing) flags(getenv func(string) string) *flag.FlagSet {
	flags := newFlags("order list", "")
	l.admin(flags, getenv)
	flags.Var(&l.states, "state", "only orders in these `states`: "+strings.Join(stateNames(), ","))
	flags.DurationVar(&l.older, "older", 0, "only orders created longer than this `time` ago")
	flags.DurationVar(&l.newer, "newer", 0, "only orders created within this `time`")
	flags.BoolVar(&l.attention, "attention", false, "only orders that require an operator")
	flags.IntVar(&l.limit, "limit", 50, "`number` of orders, at most")
	flags.BoolVar(&l.json, "json", false, "print each order as JSON, on a line of its own")
	return flags
}

// list prints orders, newest first.
func (p process) list(ctx context.Context, args []string) int {
	const command = "order list"
	var l listing
	if status, done := p.parse(l.flags(p.getenv), args); done {
		return status
	}
	req, err := l.request(time.Now())
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	conn, err := l.dial()
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	orders, more, err := l.fetch(ctx, checkoutv1.NewOrderServiceClient(conn), req)
	if err != nil {
		return p.refused(command, err, l.json)
	}
	switch {
	case l.json:
		for _, o := range orders {
			p.line(o)
		}
	case len(orders) == 0:
		_, _ = fmt.Fprintln(p.stderr, "no such orders")
	default:
		p.table(orders, time.Now())
	}
	if more {
		_, _ = fmt.Fprintf(p.stderr, "there are more than %d; -limit=%d shows more of them\n", l.limit, 10*l.limit)
	}
	return ok
}

// request is what the flags select.
func (l *listing) request(now time.Time) (*checkoutv1.ListOrdersRequest, error) {
	switch {
	case l.limit < 1:
		return nil, fmt.Errorf("-limit=%d: is no number of orders", l.limit)
	case l.older < 0 || l.newer < 0:
		return nil, errors.New("-older, -newer: a time ago is not negative")
	case l.older > 0 && l.newer > 0 && l.older >= l.newer:
		return nil, fmt.Errorf("-older=%v, -newer=%v: no order is both", l.older, l.newer)
	}
	req := &checkoutv1.ListOrdersRequest{States: l.states}
	if l.attention && len(l.states) == 0 { // the others cannot require an operator, and are many
		req.States = []checkoutv1.OrderState{checkoutv1.OrderState_IN_DOUBT, checkoutv1.OrderState_REFUNDING, checkoutv1.OrderState_PARKED, checkoutv1.OrderState_UNDELIVERED}
	}
	if l.older > 0 {
		req.CreatedBefore = timestamppb.New(now.Add(-l.older))
	}
	if l.newer > 0 {
		req.CreatedAfter = timestamppb.New(now.Add(-l.newer))
	}
	return req, nil
}

// fetch asks for page after page until it has all orders, or one more than the limit.
func (l *listing) fetch(ctx context.Context, service checkoutv1.OrderServiceClient, req *checkoutv1.ListOrdersRequest) (orders []*checkoutv1.Order, more bool, err error) {
	for {
		req.PageSize = int32(min(l.limit+1-len(orders), 500)) //nolint:gosec // it is bounded on the spot
		resp, err := service.ListOrders(ctx, req)
		if err != nil {
			return nil, false, err
		}
		for _, o := range resp.GetOrders() {
			switch {
			case l.attention && !o.GetNeedsPerson():
			case len(orders) == l.limit:
				return orders, true, nil
			default:
				orders = append(orders, o)
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return orders, false, nil
		}
	}
}

// inquiry is what the flags of `checkout order show` say.
type inquiry struct {
	remote

	req  checkoutv1.GetOrderRequest
	json bool
}

func (i *inquiry) flags(getenv func(string) string) *flag.FlagSet {
	flags := newFlags("order show", "ID | -user USER -key KEY")
	i.admin(flags, getenv)
	flags.StringVar(&i.req.UserId, "user", "", "`id` of the user, instead of the order's")
	flags.StringVar(&i.req.IdempotencyKey, "key", "", "idempotency `key` that the user's order was placed with")
	flags.BoolVar(&i.json, "json", false, "print the order as JSON")
	return flags
}

// show prints an order and its story.
func (p process) show(ctx context.Context, args []string) int {
	const command = "order show"
	var i inquiry
	if status, done := p.parse(i.flags(p.getenv), args, &i.req.OrderId); done {
		return status
	}
	if (i.req.GetOrderId() != "") == (i.req.GetUserId() != "" && i.req.GetIdempotencyKey() != "") {
		return p.fail(misuse, "%s: it takes either an order's ID, or -user and -key", command)
	}
	conn, err := i.dial()
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	o, err := checkoutv1.NewOrderServiceClient(conn).GetOrder(ctx, &i.req)
	switch {
	case err != nil:
		return p.refused(command, err, i.json)
	case i.json:
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(o))
	default:
		p.story(o, time.Now())
	}
	return ok
}

// states are order states, by their names.
type states []checkoutv1.OrderState

func (l *states) String() string { return "" }
func (l *states) Set(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		i := slices.Index(stateNames(), strings.TrimSpace(name))
		if i < 0 {
			return fmt.Errorf("%q is none of %s", name, strings.Join(stateNames(), ", "))
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
