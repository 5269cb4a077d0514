package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/wait"
)

// outlook is what the flags of `checkout order watch` say, and what it has printed.
type outlook struct {
	remote

	states states
	json   bool
	req    checkoutv1.WatchOrdersRequest

	printed map[string]string // the last line of each order, because a new connection begins with what is there
	told    time.Time         // of one order: how far its story has been printed
}

func (w *outlook) flags(getenv func(string) string) *flag.FlagSet {
	flags := newFlags("order watch", "[ID]")
	w.admin(flags, getenv)
	flags.Var(&w.states, "state", "only orders that come into these `states`, or leave them")
	flags.BoolVar(&w.json, "json", false, "print each order as JSON, on a line of its own")
	return flags
}

// watch prints what becomes of orders, until it is interrupted; of one order, until that has come to its end. When the
// server goes away it waits for another one.
func (p process) watch(ctx context.Context, args []string) int {
	const command = "order watch"
	w := outlook{printed: map[string]string{}}
	if status, done := p.parse(w.flags(p.getenv), args, &w.req.OrderId); done {
		return status
	}
	w.req.States = w.states
	if w.req.GetOrderId() != "" && len(w.states) > 0 {
		return p.fail(misuse, "%s: -state goes without an order's ID", command)
	}
	conn, err := w.dial()
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	var heard time.Time // when the server was last known to be there
	for {
		connected, err := p.follow(ctx, checkoutv1.NewOrderServiceClient(conn), &w)
		if connected {
			heard = time.Now()
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return ok
		case status.Code(err) != codes.Unavailable || time.Since(heard) > w.timeout:
			return p.refused(command, err, w.json)
		case connected:
			_ = p.fail(failed, "%s: %s; waiting for the server", command, status.Convert(err).Message())
		}
		if !wait.For(ctx, time.Second) {
			return ok
		}
	}
}

// follow prints what one connection tells. connected: the server was there.
func (p process) follow(ctx context.Context, service checkoutv1.OrderServiceClient, w *outlook) (connected bool, err error) {
	stream, err := service.WatchOrders(ctx, &w.req)
	if err != nil {
		return false, err
	}
	if header, err := stream.Header(); err == nil && header != nil {
		connected = true
	}
	for {
		o, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return connected, nil
		case err != nil:
			return connected, err
		case w.json:
			p.line(o)
		case w.req.GetOrderId() != "":
			w.told = p.chapter(o, w.told)
		default:
			p.news(o, w.printed)
		}
	}
}

// maxPrinted is how many orders are remembered, so as not to print twice what comes twice.
const maxPrinted = 10_000

// news prints a line of an order, unless it is the one printed last.
func (p process) news(o *checkoutv1.Order, printed map[string]string) {
	line := fmt.Sprintf("%-11s  %13s  %s  %s  %s", stateName(o.GetState()), price(o.GetTotal()), o.GetOrderId(), brief(o.GetUserId()), clean(o.GetReason()))
	if printed[o.GetOrderId()] == line {
		return
	}
	if len(printed) == maxPrinted {
		clear(printed)
	}
	printed[o.GetOrderId()] = line
	p.row(o.GetChanged().AsTime().Local().Format(time.TimeOnly) + "  " + line)
}

// chapter prints what of an order's story came after told, and returns how far it goes.
func (p process) chapter(o *checkoutv1.Order, told time.Time) time.Time {
	until := told
	for _, e := range o.GetStory() {
		if at := lastTime(e); at.After(told) {
			p.row(eventLine(o, e))
			if at.After(until) {
				until = at
			}
		}
	}
	return until
}
