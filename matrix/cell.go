package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	ggrpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/cardtest"
	"checkout/internal/test/process"
	"checkout/internal/wait"
)

const (
	// customers are how many buy in a cell: one asks once, one asks again with its key, one without a key, and one double-clicks.
	customers = 4
	// cvv is that of every card: four digits, so that it is not found by chance.
	cvv = "7219"
	// calm is how long orders may take to settle once nothing goes wrong any more. Back-off may take longer: that is no
	// violation, but what is on record must be so.
	calm = 3 * time.Second
	// askTime is how long it may take until a payment service that can be asked was asked.
	askTime = 20 * time.Second
)

// cell is one mode of one step.
type cell struct {
	step step
	mode mode
}

func (c cell) String() string { return c.step.name + ": " + c.mode.name }

// result is how a cell went.
type result struct {
	cell
	hits       int64
	placed     int // answers that were orders
	rss        int64
	took       time.Duration
	violations []string
	err        error // it could not be run
}

// run runs a cell: a shop, a front and a process of its own.
func (o options) run(ctx context.Context, c cell) *result {
	r := &result{cell: c}
	began := time.Now()
	e, err := o.observe(ctx, c, r)
	r.took = time.Since(began)
	if err != nil {
		r.err = err
		return r
	}
	r.violations = e.violations(o.limits())
	r.rss = e.rss
	for _, a := range e.answers {
		if a.code == codes.OK {
			r.placed++
		}
	}
	return r
}

// observe lets customers buy while the step goes wrong, heals it, and reads the ledgers.
func (o options) observe(ctx context.Context, c cell, r *result) (_ *observed, err error) {
	shop, err := demo.Start(ctx, demo.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	shop.Payment.HonourKeys(o.keyed)
	shop.Shipping.HonourKeys(o.keyed)
	shop.Cart.Supply(func(string) ([]*oteldemo.CartItem, bool) {
		return []*oteldemo.CartItem{{ProductId: "OLJCESPC7Z", Quantity: 1}}, false
	})
	f, environ, err := o.frontBefore(ctx, c, shop)
	if err != nil {
		return nil, err
	}
	defer f.close()
	service, err := process.Serve(ctx, o.binary, environ, "")
	if err != nil {
		return nil, err
	}
	e := &observed{step: c.step, mode: c.mode, keyed: o.keyed}
	if c.step.database {
		f.fall()
	}
	bad := new(fault)
	if c.mode.disk != "" {
		f.heal() // all services are well
		if bad, err = c.mode.disk.inject(ctx, service); err != nil {
			return nil, errors.Join(err, service.Close())
		}
	}
	e.answers = o.buy(ctx, service, c.step)
	// What follows the answer, such as the event, and telemetry, must have gone wrong, too.
	for end := time.Now().Add(calm); c.mode.disk == "" && f.hits.Load() == 0 && time.Now().Before(end) && wait.For(ctx, 20*time.Millisecond); {
	}
	wait.For(ctx, 50*time.Millisecond)
	r.hits = f.hits.Load()
	f.heal()
	if c.mode.disk != "" {
		r.hits = bad.hits()
		bad.heal()
	}
	e.record, e.recording = o.settled(ctx, service)
	if u, err := service.Usage(); err == nil { // when it has died that is noticed below
		e.rss = u.Peak
	}
	e.died = !service.Alive()
	e.ended = service.Stop()
	e.leaks = leaks(e, service, shop)
	f.close()
	o.await(ctx, shop, e)
	e.charges, e.books = shop.Payment.Charges(), shop.Ledgers().Orders
	e.rejected = shop.Accounting.Rejects()
	_ = service.Close() // it has been stopped
	return e, ctx.Err()
}

// frontBefore starts the front before the service that goes wrong, and returns it with the environment that leads through it.
func (o options) frontBefore(ctx context.Context, c cell, shop *demo.Shop) (_ *front, environ map[string]string, err error) {
	to, move := "", c.step.move
	if c.step.database {
		var through func(front string) string
		if to, through, err = o.cluster.database(ctx); err != nil {
			return nil, nil, err
		}
		move = func(environ map[string]string, front string) { environ["CHECKOUT_DB"] = through(front) }
	} else {
		to = c.step.at(shop)
	}
	f, err := newFront(ctx, to, c.step.method, c.step.protocol == grpc, c.mode)
	if err != nil {
		return nil, nil, err
	}
	f.healed.Store(c.step.database)
	environ = o.environ(shop)
	move(environ, f.addr)
	return f, environ, nil
}

// await waits for the events of completed orders: accounting may not have read them yet.
func (o options) await(ctx context.Context, shop *demo.Shop, e *observed) {
	ctx, cancel := context.WithTimeout(ctx, calm)
	defer cancel()
	_ = shop.Await(ctx, func() bool { // if they are not there, the audit says so
		books := shop.Ledgers().Orders
		for id, state := range e.record {
			if state == checkoutv1.OrderState_COMPLETED && books[id].Events == 0 {
				return false
			}
		}
		return true
	})
}

// environ is the service's. Its times are short, so that a cell is.
func (o options) environ(shop *demo.Shop) map[string]string {
	environ := shop.Environ()
	maps.Copy(environ, map[string]string{
		"GOMEMLIMIT": o.memory, "CHECKOUT_DEADLINE": o.deadline.String(), "CHECKOUT_READ_TIMEOUT": "1s", "CHECKOUT_CHARGE_TIMEOUT": "1500ms", "CHECKOUT_SHIP_TIMEOUT": "1500ms",
		"CHECKOUT_EMAIL_TIMEOUT": "500ms", "CHECKOUT_PUBLISH_TIMEOUT": "1s", "CHECKOUT_DRAIN": "3s", "CHECKOUT_SHUTDOWN_DELAY": "0s",
		"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_BSP_SCHEDULE_DELAY": "200",
	})
	if o.keyed {
		environ["PAYMENT_MODE"], environ["SHIPPING_MODE"] = "keyed", "keyed"
	}
	return environ
}

// lastFour are the last digits of a customer's card, with which the payment service writes its charges down.
func lastFour(customer int) string { return cardNumber(customer)[12:] }

// cardNumber is a number that belongs to no card.
func cardNumber(customer int) string { return cardtest.Numbers("4432")[customer] }

// buy lets all customers buy at once, each in its way, and returns what they were answered.
func (o options) buy(ctx context.Context, service *process.Service, s step) []reply {
	var mu sync.Mutex
	var replies []reply
	ask := func(customer int, first bool, key string) {
		a := o.ask(ctx, service, s, customer, key)
		a.first = first
		mu.Lock()
		defer mu.Unlock()
		replies = append(replies, a)
	}
	var all sync.WaitGroup
	all.Go(func() { ask(0, true, "") })
	all.Go(func() { ask(1, true, "key-1"); ask(1, false, "key-1") })
	all.Go(func() { ask(2, true, ""); ask(2, false, "") })
	all.Go(func() { ask(3, true, "") })
	all.Go(func() { ask(3, true, "") })
	all.Wait()
	return replies
}

// ask asks for an order once.
func (o options) ask(ctx context.Context, service *process.Service, s step, customer int, key string) reply {
	// A customer names no deadline, as the shop's frontend does not, so that it is the service's: one that is over at both ends
	// at once would say more of the machine than of the service.
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	defer time.AfterFunc(o.deadline+o.slack, leave).Stop()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
	}
	currency := s.currency
	if currency == "" {
		currency = "USD"
	}
	req := demo.Order(fmt.Sprintf("customer-%d", customer), currency)
	req.CreditCard.CreditCardNumber, req.CreditCard.CreditCardCvv = cardtest.Typed(cardNumber(customer))[1], 7219
	began := time.Now()
	resp, err := oteldemo.NewCheckoutServiceClient(service.Conn).PlaceOrder(ctx, req)
	got := status.Convert(err)
	a := reply{customer: customer, code: got.Code(), text: got.Message(), took: time.Since(began)}
	if err == nil {
		a.orderID, a.total, a.tracking = resp.GetOrder().GetOrderId(), total(resp.GetOrder()), resp.GetOrder().GetShippingTrackingId()
	}
	for _, detail := range got.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			a.reason, a.moved, a.orderID = info.GetReason(), info.GetMetadata()["money_moved"], info.GetMetadata()["order_id"]
		}
		a.text += " " + fmt.Sprint(detail)
	}
	return a
}

// total adds up an order.
func total(o *oteldemo.OrderResult) *oteldemo.Money {
	const billion = 1_000_000_000
	units, nanos := o.GetShippingCost().GetUnits(), int64(o.GetShippingCost().GetNanos())
	for _, line := range o.GetItems() {
		quantity := int64(line.GetItem().GetQuantity())
		units += line.GetCost().GetUnits() * quantity
		nanos += int64(line.GetCost().GetNanos()) * quantity
	}
	return &oteldemo.Money{CurrencyCode: o.GetShippingCost().GetCurrencyCode(), Units: units + nanos/billion, Nanos: int32(nanos % billion)}
}

// settled waits until no order is on its way, for a while, and returns the states of all.
func (o options) settled(ctx context.Context, service *process.Service) (map[string]checkoutv1.OrderState, error) {
	conn, err := process.Connect(service.Admin)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	began := time.Now()
	for {
		states, resting, asking, err := states(ctx, conn)
		patience := calm
		if asking && o.keyed {
			resting, patience = false, askTime
		}
		if err == nil && resting || time.Since(began) > patience || !wait.For(ctx, 50*time.Millisecond) {
			return states, err
		}
	}
}

func states(ctx context.Context, conn ggrpc.ClientConnInterface) (_ map[string]checkoutv1.OrderState, resting, asking bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	page, err := checkoutv1.NewOrderServiceClient(conn).ListOrders(ctx, &checkoutv1.ListOrdersRequest{PageSize: 100})
	if err != nil {
		return nil, false, false, err
	}
	resting = true
	states := make(map[string]checkoutv1.OrderState)
	for _, order := range page.GetOrders() {
		states[order.GetOrderId()] = order.GetState()
		switch order.GetState() {
		case checkoutv1.OrderState_CHARGING, checkoutv1.OrderState_CHARGED, checkoutv1.OrderState_PLACED, checkoutv1.OrderState_REFUNDING:
			resting = false
		case checkoutv1.OrderState_IN_DOUBT:
			asking = true
		default:
		}
	}
	return states, resting, asking, nil
}

// secret finds the CVV where it is a word of its own, and no part of an id.
func secret() *regexp.Regexp {
	return regexp.MustCompile(`(^|[^0-9A-Za-z.-])` + cvv + `($|[^0-9A-Za-z-])`)
}

// leaks are the places in which a card's number or CVV stands that must not hold it.
func leaks(e *observed, service *process.Service, shop *demo.Shop) []string {
	var found []string
	cvvs := secret()
	look := func(where string, text []byte, words bool) {
		for customer := range customers {
			number := cardNumber(customer)
			for _, spelling := range []string{number, number[:4] + "-" + number[4:8] + "-" + number[8:12]} {
				if at := bytes.Index(text, []byte(spelling)); at >= 0 {
					found = append(found, where+": "+around(text, at))
					return
				}
			}
		}
		if at := cvvs.FindIndex(text); words && at != nil {
			found = append(found, where+": "+around(text, at[0]))
		}
	}
	look("the log", service.Output(), true)
	for _, a := range e.answers {
		look("an answer", []byte(a.text), true)
	}
	for _, file := range []string{"orders.db", "orders.db-wal"} {
		if text, err := os.ReadFile(filepath.Join(service.Folder, file)); err == nil {
			look("the record", text, false)
		}
	}
	write := func(m proto.Message) []byte { return []byte(prototext.Format(m)) }
	for _, s := range shop.Collector.Spans() {
		look("a span", write(s.Span), true)
	}
	for _, l := range shop.Collector.Logs() {
		look("an exported log record", write(l.LogRecord), true)
	}
	for _, l := range shop.Email.Sent() {
		look("an e-mail", []byte(l.Text), true)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// around is the text at a place.
func around(text []byte, at int) string {
	return strings.ToValidUTF8(string(text[max(0, at-60):min(len(text), at+60)]), "?")
}

// limits are what a cell may take.
func (o options) limits() limits {
	l := limits{deadline: o.deadline + o.slack, rss: int64(o.rss) << 20, attempts: 3}
	if o.rss < 0 {
		l.rss = -1
	}
	return l
}

// brief is a text of bounded length.
func brief(text string, most int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
