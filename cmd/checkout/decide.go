package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/checkout/checkoutv1"
)

// decision is what the flags of `checkout order retry` and `checkout order resolve` say.
type decision struct {
	remote

	id, by, why                     string
	paid, notPaid, payback, shipped bool
	transaction, tracking           string
	skip                            deliveries
	json                            bool
}

func (d *decision) flags(command, operands string, getenv func(string) string) *flag.FlagSet {
	flags := newFlags(command, operands)
	d.admin(flags, getenv)
	flags.StringVar(&d.by, "by", "", "`name` of who decides, for the order's history; required")
	flags.StringVar(&d.why, "why", "", "`reason`, for the order's history")
	flags.BoolVar(&d.json, "json", false, "print the order as JSON")
	return flags
}

// retry continues an order that waits for an operator.
func (p process) retry(ctx context.Context, args []string) int {
	const command = "order retry"
	var d decision
	flags := d.flags(command, "ID -by NAME", p.getenv)
	explain(flags, `Continue an order that waits for an operator: a paid one is shipped again, of an undelivered one the e-mail and the
event are sent again. If a parcel was sent before, the customer gets another one.`,
		`checkout order retry ID -by grace -why 'the carrier has no parcel for this order'`)
	if status, done := p.parse(flags, args, &d.id); done {
		return status
	}
	return p.decide(ctx, command, d, func(ctx context.Context, admin checkoutv1.OrderAdminClient) (*checkoutv1.Order, error) {
		return admin.RetryOrder(ctx, &checkoutv1.RetryOrderRequest{OrderId: d.id, By: d.by, Why: d.why})
	})
}

// resolve records what an operator has found out, or decided, about an order.
func (p process) resolve(ctx context.Context, args []string) int {
	const command = "order resolve"
	var d decision
	flags := d.flags(command, "ID -paid|-not-paid|-refunded|-shipped|-skip DELIVERIES -by NAME -why TEXT", p.getenv)
	flags.BoolVar(&d.paid, "paid", false, "the money was taken, and is kept: the order is shipped")
	flags.BoolVar(&d.notPaid, "not-paid", false, "no money was taken, and none will be: the order is cancelled")
	flags.BoolVar(&d.payback, "refunded", false, "the money was given back: the order is over")
	flags.BoolVar(&d.shipped, "shipped", false, "the parcel was sent: the customer gets the confirmation; needs -tracking")
	flags.Var(&d.skip, "skip", "`deliveries` that could not be made and are not to be made: email, event, or both separated by a comma")
	flags.StringVar(&d.transaction, "transaction", "", "`id` of the charge, with -paid, unless it is on record")
	flags.StringVar(&d.tracking, "tracking", "", "tracking `id` of the parcel, with -shipped")
	explain(flags, `Record what an operator has found out, or decided, about an order that waits for one. Processing resumes at once.`,
		`checkout order resolve ID -paid -transaction TX -by grace -why "in the provider's list of charges"`,
		`checkout order resolve ID -shipped -tracking T-4711 -by grace -why "in the carrier's list of parcels"`,
		`checkout order resolve ID -skip email -by grace -why 'the customer was called'`)
	if status, done := p.parse(flags, args, &d.id); done {
		return status
	}
	resolution, err := d.resolution()
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	return p.decide(ctx, command, d, func(ctx context.Context, admin checkoutv1.OrderAdminClient) (*checkoutv1.Order, error) {
		return admin.ResolveOrder(ctx, &checkoutv1.ResolveOrderRequest{
			OrderId: d.id, Resolution: resolution, TransactionId: d.transaction, TrackingId: d.tracking, Skip: d.skip, By: d.by, Why: d.why,
		})
	})
}

// resolution is the one that was chosen.
func (d *decision) resolution() (chosen checkoutv1.ResolveOrderRequest_Resolution, err error) {
	n := 0
	for _, r := range []struct {
		given bool
		is    checkoutv1.ResolveOrderRequest_Resolution
	}{
		{d.paid, checkoutv1.ResolveOrderRequest_PAID},
		{d.notPaid, checkoutv1.ResolveOrderRequest_NOT_PAID},
		{d.payback, checkoutv1.ResolveOrderRequest_REFUNDED},
		{d.shipped, checkoutv1.ResolveOrderRequest_SHIPPED},
		{len(d.skip) > 0, checkoutv1.ResolveOrderRequest_SKIP},
	} {
		if r.given {
			n++
			chosen = r.is
		}
	}
	switch {
	case n != 1:
		return 0, errors.New("use one of -paid, -not-paid, -refunded, -shipped and -skip")
	case d.transaction != "" && !d.paid:
		return 0, errors.New("-transaction is for -paid only")
	case d.tracking != "" && !d.shipped:
		return 0, errors.New("-tracking is for -shipped only")
	case d.shipped && d.tracking == "":
		return 0, errors.New("-tracking is missing: which parcel?")
	case d.why == "":
		return 0, errors.New("-why is missing: how is it known?")
	}
	return chosen, nil
}

// deliveries are names of deliveries, as a flag.
type deliveries []string

func (l *deliveries) String() string { return "" }
func (l *deliveries) Set(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		switch name = strings.TrimSpace(name); name {
		case "email", "event":
			*l = append(*l, name)
		default:
			return fmt.Errorf("%q must be email or event", name)
		}
	}
	return nil
}

// decide has the decision done, and prints what it has made of the order.
func (p process) decide(ctx context.Context, command string, d decision, act func(context.Context, checkoutv1.OrderAdminClient) (*checkoutv1.Order, error)) int {
	switch {
	case d.id == "":
		return p.fail(misuse, "%s: the order's ID is missing", command)
	case d.by == "":
		return p.fail(misuse, "%s: -by is missing: who decides?", command)
	}
	conn, err := d.dial()
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	o, err := act(ctx, checkoutv1.NewOrderAdminClient(conn))
	switch {
	case err != nil:
		return p.refused(command, err, d.json)
	case d.json:
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(o))
	default:
		_, _ = fmt.Fprintf(p.stdout, "order %s is %s\n", o.GetOrderId(), stateName(o.GetState()))
	}
	return ok
}
