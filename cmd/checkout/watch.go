package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	"checkout/internal/wait"
	"checkout/internal/wire"
)

// watching is what the flags of `checkout order watch` say, and what it has printed.
type watching struct {
	remote

	states states
	req    checkoutv1.WatchOrdersRequest

	begun   bool              // the unfinished orders were printed
	printed map[string]string // the last line of each order: a new connection begins with what is there
	until   time.Time         // of one order: how far its history has been printed
}

func (p process) watchCommand() *cobra.Command {
	w := watching{printed: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "watch [ID]",
		Short: "Print changes of orders as they happen",
		Long: `Print changes of orders as they happen, until interrupted. It begins with the orders that are not finished; with an ID, with
the order's history, and ends when that order is finished. It reconnects when the server restarts.`,
		Example: `  checkout order watch
  checkout order watch --state in_doubt,parked,undelivered
  checkout order watch 01890a5d-ac96-774b-bcce-b302099a8057`,
		Args: cli.Args("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				w.req.OrderId = args[0]
			}
			w.req.States = w.states
			if w.req.GetOrderId() != "" && len(w.states) > 0 {
				return errors.New("--state cannot be used with an order ID")
			}
			return p.watch(cmd, &w)
		},
	}
	w.states.flag(cmd, "only orders that enter or leave these `states`")
	w.adminFlags(cmd, p.getenv)
	return cmd
}

// watch prints what becomes of orders, and waits for the server when it goes away.
func (p process) watch(cmd *cobra.Command, w *watching) error {
	conn, err := w.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx := cmd.Context()
	var seen time.Time // when the server last answered
	for {
		connected, err := p.follow(ctx, checkoutv1.NewOrderServiceClient(conn), w)
		if connected {
			seen = time.Now()
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case status.Code(err) != codes.Unavailable || time.Since(seen) > w.timeout:
			return p.refused(&w.remote, err)
		case connected:
			cli.Complain(cmd, fmt.Errorf("%s; waiting for the server", status.Convert(err).Message()))
		}
		if !wait.For(ctx, time.Second) {
			return nil
		}
	}
}

// follow prints what one connection reports. connected: the server was there.
func (p process) follow(ctx context.Context, service checkoutv1.OrderServiceClient, w *watching) (connected bool, err error) {
	if !w.begun && w.req.GetOrderId() == "" && len(w.states) == 0 {
		if err := p.begin(ctx, service, w); err != nil {
			return false, err
		}
		w.begun, connected = true, true
	}
	stream, err := service.WatchOrders(ctx, &w.req)
	if err != nil {
		return connected, err
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
		case w.req.GetOrderId() == "":
			p.change(o, w)
		case w.output == cli.JSON:
			p.line(o)
		default:
			w.until = p.events(o, w.until)
		}
	}
}

// watchPage is how many orders a watch begins with. Of all orders, the server sends about as many of the newest first.
const watchPage = 500

// begin prints the orders that are not finished, oldest first. The newest finished ones count as printed.
func (p process) begin(ctx context.Context, service checkoutv1.OrderServiceClient, w *watching) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	newest, err := service.ListOrders(ctx, &checkoutv1.ListOrdersRequest{PageSize: watchPage})
	if err != nil {
		return err
	}
	for _, o := range newest.GetOrders() {
		if finished(o) {
			w.printed[o.GetOrderId()] = changeLine(o)
		}
	}
	unfinished, err := service.ListOrders(ctx, &checkoutv1.ListOrdersRequest{States: wire.UnfinishedStates(), PageSize: watchPage})
	if err != nil {
		return err
	}
	if len(unfinished.GetOrders()) == 0 {
		_, _ = fmt.Fprintln(p.stderr, "All orders are finished; waiting for changes.")
	}
	if unfinished.GetNextPageToken() != "" {
		_, _ = fmt.Fprintf(p.stderr, "More than %d orders are not finished; these are the newest.\n", watchPage)
	}
	for _, o := range slices.Backward(unfinished.GetOrders()) {
		p.change(o, w)
	}
	return nil
}

func finished(o *checkoutv1.Order) bool {
	return !slices.Contains(wire.UnfinishedStates(), o.GetState())
}

// maxPrinted is how many orders are remembered, so as not to print twice what comes twice.
const maxPrinted = 10_000

// change prints an order, unless that was printed last.
func (p process) change(o *checkoutv1.Order, w *watching) {
	line := changeLine(o)
	if w.printed[o.GetOrderId()] == line {
		return
	}
	if len(w.printed) == maxPrinted {
		clear(w.printed)
	}
	w.printed[o.GetOrderId()] = line
	if w.output == cli.JSON {
		p.line(o)
		return
	}
	p.row(o.GetChanged().AsTime().Local().Format(time.TimeOnly) + "  " + line)
}

func changeLine(o *checkoutv1.Order) string {
	return fmt.Sprintf("%-11s  %13s  %s  %s  %s", wire.StateName(o.GetState()), wire.Price(o.GetTotal()), o.GetOrderId(), brief(o.GetUserId()), clean(o.GetReason()))
}

// events prints the part of an order's history after a time, and returns the time of the last event.
func (p process) events(o *checkoutv1.Order, after time.Time) (last time.Time) {
	last = after
	for _, e := range o.GetHistory() {
		if at := lastTime(e); at.After(after) {
			p.row(eventLine(o, e))
			if at.After(last) {
				last = at
			}
		}
	}
	return last
}
