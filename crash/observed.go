package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
	"checkout/internal/wait"
)

// observed is what customers were answered, what the ledgers of the services say, and what checkout has on record.
type observed struct {
	keyed     bool // payment honours keys
	attempts  int  // to ship an order, at most; 0: shipping honours keys
	purchases []*purchase
	entries   map[string]*entry // by order id
	record    map[string]*checkoutv1.Order
	kills     []kill
	full      map[string]bool // users in whose cart something is left

	differing int // events that are not copies of the first one of their order
	rejected  int // events that accounting rejected
}

// entry is an order in the ledgers of the services.
type entry struct {
	charges        []demo.Charge
	parcels        []demo.Parcel
	emails, events int
}

// net is how many charges were not reversed.
func (a *entry) net() int {
	n := 0
	for _, c := range a.charges {
		if c.Reversed.IsZero() {
			n++
		}
	}
	return n
}

// observe reads everything. A replica must serve.
func (s *harness) observe(ctx context.Context, m *customers) (*observed, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	record, err := listed(ctx, client)
	if err != nil {
		return nil, err
	}
	e := &observed{
		keyed:     s.payment == keyed,
		attempts:  s.attempts,
		purchases: m.made(),
		entries:   s.entries(),
		record:    make(map[string]*checkoutv1.Order, len(record)),
		kills:     s.killed(),
		full:      make(map[string]bool),
		rejected:  s.shop.Accounting.Rejects(),
	}
	if s.shipping == keyed {
		e.attempts = 0
	}
	_, e.differing = s.shop.Accounting.Duplicates()
	for _, o := range record {
		e.record[o.GetOrderId()] = o
	}
	for _, p := range e.purchases {
		if len(s.shop.Cart.Items(p.user)) > 0 {
			e.full[p.user] = true
		}
	}
	return e, nil
}

// entries reads the ledgers of the services.
func (s *harness) entries() map[string]*entry {
	entries := make(map[string]*entry)
	of := func(id string) *entry {
		if entries[id] == nil {
			entries[id] = new(entry)
		}
		return entries[id]
	}
	for _, c := range s.shop.Payment.Charges() {
		of(c.Key).charges = append(of(c.Key).charges, c)
	}
	for _, p := range s.shop.Shipping.Parcels() {
		of(p.Key).parcels = append(of(p.Key).parcels, p)
	}
	for id, tally := range s.shop.Ledgers().Orders {
		of(id).emails, of(id).events = tally.Emails, tally.Events
	}
	return entries
}

// killed are the kills until now, replica by replica.
func (s *harness) killed() []kill {
	var kills []kill
	for _, r := range s.replicas {
		for _, l := range r.processes {
			if !l.killed.sent.IsZero() {
				kills = append(kills, l.killed)
			}
		}
	}
	return kills
}

// client looks orders up in a running replica.
func (s *harness) client() (checkoutv1.OrderServiceClient, error) {
	for _, r := range slices.Backward(s.replicas) {
		if r.alive() {
			return checkoutv1.NewOrderServiceClient(r.conn), nil
		}
	}
	return nil, s.replicas[0].unexpectedExit()
}

// listed are all orders on record.
func listed(ctx context.Context, client checkoutv1.OrderServiceClient) ([]*checkoutv1.Order, error) {
	var orders []*checkoutv1.Order
	for req := (&checkoutv1.ListOrdersRequest{PageSize: 500}); ; {
		page, err := list(ctx, client, req)
		if err != nil {
			return nil, err
		}
		orders = append(orders, page.GetOrders()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return orders, nil
		}
	}
}

func list(ctx context.Context, client checkoutv1.OrderServiceClient, req *checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	page, err := client.ListOrders(ctx, req, grpc.MaxCallRecvMsgSize(16<<20))
	if err != nil {
		return nil, fmt.Errorf("listing orders: %w", err)
	}
	return page, nil
}

// unsettled are the states that an order does not stay in.
func (s *harness) unsettled() []checkoutv1.OrderState {
	states := []checkoutv1.OrderState{checkoutv1.OrderState_CHARGING, checkoutv1.OrderState_CHARGED, checkoutv1.OrderState_PLACED}
	if s.payment == keyed {
		states = append(states, checkoutv1.OrderState_IN_DOUBT, checkoutv1.OrderState_REFUNDING)
	}
	return states
}

// settle waits until no order is in progress and all e-mails and events have arrived. It gives up after a while: the audit
// then names what is missing.
func (s *harness) settle(ctx context.Context, atMost time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		client, err := s.client()
		if err != nil {
			return err
		}
		page, err := list(ctx, client, &checkoutv1.ListOrdersRequest{States: s.unsettled(), PageSize: 1})
		if err != nil && status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.Unavailable {
			return err
		}
		if err == nil && len(page.GetOrders()) == 0 {
			parked, err := list(ctx, client, &checkoutv1.ListOrdersRequest{States: []checkoutv1.OrderState{checkoutv1.OrderState_PARKED}, PageSize: 500})
			if err == nil && s.confirmed(parked.GetOrders()) {
				return nil
			}
		}
		if !wait.For(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

// confirmed reports whether every parcel has its e-mail and its event, except those of orders that wait for an operator.
func (s *harness) confirmed(parked []*checkoutv1.Order) bool {
	for id, t := range s.shop.Ledgers().Orders {
		waits := slices.ContainsFunc(parked, func(o *checkoutv1.Order) bool { return o.GetOrderId() == id })
		if t.Parcels > 0 && (t.Emails == 0 || t.Events == 0) && !waits {
			return false
		}
	}
	return true
}
