package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/storefront"
	"checkout/internal/wire"
)

const (
	// waterfallColumns is the width of a trace's time axis.
	waterfallColumns = 48
	// traceTime is how long a trace is waited for: a service that is offline keeps it from being whole.
	traceTime = 4 * time.Second
	// deliveryTime is how long event and mail are waited for.
	deliveryTime = 30 * time.Second
)

// show places one order and prints its outcome: the answer, the trace, the event, the mail, the ledgers.
func (s *shop) show(ctx context.Context) error {
	request := s.fill(0)
	s.page.title("A customer orders")
	for _, item := range s.Cart.Items(request.GetUserId()) {
		s.page.say("  %d × %s\n", item.GetQuantity(), s.Catalog.Name(item.GetProductId()))
	}
	s.injectFaults()
	order, refused, trace := s.order(ctx, request)
	s.showTrace(ctx, trace, order != nil)
	if err := s.endFaults(); err != nil {
		return err
	}
	if order == nil {
		s.showOutcome(ctx, refused)
		return nil // a refusal is as good a thing to look at as any
	}
	return s.showDeliveries(ctx, order)
}

// order places an order and prints the answer. When that is a refusal, it returns the id of what is on record instead, if
// there is one.
func (s *shop) order(ctx context.Context, request *oteldemo.PlaceOrderRequest) (order *oteldemo.OrderResult, refused, trace string) {
	ctx, cancel := context.WithTimeout(ctx, storefront.OrderTime)
	defer cancel()
	ctx, trace = storefront.Traced(ctx)
	start := time.Now()
	answer, err := s.checkout.PlaceOrder(ctx, request)
	s.page.title("The answer, after %.1f ms", millis(time.Since(start)))
	if err != nil {
		s.showRefusal(err)
		return nil, wire.ErrorInfo(err).GetMetadata()["order_id"], trace
	}
	o := answer.GetOrder()
	rows := [][]string{{"order", o.GetOrderId()}, {"tracking", o.GetShippingTrackingId()}}
	for _, item := range o.GetItems() {
		quantity := item.GetItem().GetQuantity()
		rows = append(rows, []string{
			fmt.Sprintf("%d × %s", quantity, wire.Price(item.GetCost())), wire.Times(item.GetCost(), quantity), s.Catalog.Name(item.GetItem().GetProductId()),
		})
	}
	s.page.table(append(rows, []string{"shipping", wire.Price(o.GetShippingCost())}, []string{"total", wire.Sum(o.GetItems(), o.GetShippingCost())}))
	return o, "", trace
}

func (s *shop) showRefusal(err error) {
	answer := status.Convert(err)
	s.page.say("  %s: %s\n", answer.Code(), answer.Message())
	if info := wire.ErrorInfo(err); info != nil {
		s.page.say("  reason %s, money moved: %s\n", info.GetReason(), info.GetMetadata()["money_moved"])
	}
}

// showOutcome waits for what becomes of an order that was charged and not placed, if a program can settle it, and prints
// the ledgers.
func (s *shop) showOutcome(ctx context.Context, id string) {
	if t := s.Ledgers().Orders[id]; id == "" || t.Charges == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	_ = s.Await(ctx, func() bool {
		return s.options.payment == stock || s.Ledgers().Orders[id].Result(0).Outcome != demo.Pending
	}) // the ledgers tell
	s.showLedgers(id)
}

func (s *shop) showTrace(ctx context.Context, id string, placed bool) {
	names := []string{"oteldemo.CheckoutService/PlaceOrder"}
	if placed && !slices.Contains(s.options.offline, "kafka") {
		names = append(names, "orders publish")
	}
	ctx, cancel := context.WithTimeout(ctx, traceTime)
	defer cancel()
	spans, err := s.Collector.AwaitTrace(ctx, id, names...)
	s.page.title("Its trace, %d spans", len(spans))
	s.page.indent(demo.Waterfall(spans, waterfallColumns))
	if err != nil {
		s.page.say("  (there may be more to come)\n")
	}
}

// showDeliveries waits for what follows an order, and prints it.
func (s *shop) showDeliveries(ctx context.Context, order *oteldemo.OrderResult) error {
	id := order.GetOrderId()
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	late := s.Await(ctx, func() bool { return s.Ledgers().Orders[id] == demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1} })
	s.showEvent(order)
	for _, mail := range s.Email.Sent() {
		if mail.OrderID == id {
			s.page.title("The e-mail")
			s.page.indent(mail.Text)
		}
	}
	s.showLedgers(id)
	if late != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		return fmt.Errorf("order %s: %s", id, strings.Join(s.Ledgers().Differences(), "; "))
	}
	return nil
}

func (s *shop) showEvent(answer *oteldemo.OrderResult) {
	for _, event := range s.Accounting.Events() {
		if event.Order.GetOrderId() != answer.GetOrderId() {
			continue
		}
		s.page.title("The event on Kafka")
		rows := [][]string{
			{"topic", fmt.Sprintf("%s, partition %d, offset %d", demo.Topic, event.Partition, event.Offset)},
			{"key", event.Key},
		}
		for _, name := range slices.Sorted(maps.Keys(event.Headers)) {
			rows = append(rows, []string{name, event.Headers[name]})
		}
		same := "with what the answer did not say yet"
		if proto.Equal(answer, event.Order) {
			same = "the same message as in the answer"
		}
		s.page.table(append(rows, []string{"value", fmt.Sprintf("%d bytes of oteldemo.OrderResult, %s", len(event.Value), same)}))
	}
}

func (s *shop) showLedgers(id string) {
	s.page.title("The ledgers")
	var rows [][]string
	for _, c := range s.Payment.Charges() {
		if c.Key == id {
			rows = append(rows, []string{"charged", wire.Price(c.Amount), "transaction " + c.TransactionID})
			if !c.Reversed.IsZero() {
				rows = append(rows, []string{"refunded", wire.Price(c.Amount), "transaction " + c.TransactionID})
			}
		}
	}
	for _, p := range s.Shipping.Parcels() {
		if p.Key == id {
			rows = append(rows, []string{"shipped", fmt.Sprintf("%d products", len(p.Items)), "parcel " + p.TrackingID})
		}
	}
	if entry := s.Accounting.Entry(id); entry != nil {
		rows = append(rows, []string{"booked", fmt.Sprintf("%d lines", len(entry.GetItems())), "parcel " + entry.GetShippingTrackingId()})
	}
	s.page.table(rows)
	ledgers := s.Ledgers()
	s.page.say("\n  %s\n", summary(ledgers.Total(), ledgers.Differences()))
}

func summary(total demo.Tally, differences []string) string {
	switch {
	case len(differences) > 0:
		return "The ledgers do not match:\n    " + strings.Join(differences, "\n    ")
	case total == demo.Tally{}:
		return "No charges, no shipments."
	case total.Net() == 0:
		return "Every charge was refunded, and nothing was shipped."
	case total.Refunds > 0:
		return "charges - refunds = shipments = e-mails = events: the same orders, each once."
	}
	return "charges = shipments = e-mails = events: the same orders, each once."
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
