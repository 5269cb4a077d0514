package rpc

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/lookup"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// Record is the record of orders, as far as it is looked at.
type Record interface {
	// Get returns the order as it is on record, or order.ErrNotFound.
	Get(ctx context.Context, id order.ID) (*order.Order, error)
	// Find returns the user's order of that key, or order.ErrNotFound.
	Find(ctx context.Context, userID, key string) (*order.Order, error)
	// List returns the orders that q selects, newest first, and where the next page begins; "" after the last. A page may
	// have fewer orders than q.Limit, or none. The error may be of others, that cannot be read.
	List(ctx context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error)
}

const (
	// readTime is how long the record may take to answer.
	readTime = 2 * time.Second
	// listsAtOnce bounds the lists that are held in memory: an order of many lines has some 10 KB.
	listsAtOnce = 4
	// defaultPage and maxPage are how many orders a page has, and pageBytes about how large it is: less than what is sent.
	defaultPage, maxPage = 50, 500
	pageBytes            = 512 << 10
)

// orders is checkout.v1.OrderService.
type orders struct {
	checkoutv1.UnimplementedOrderServiceServer
	view

	record   Record
	log      *slog.Logger
	lists    *semaphore.Weighted
	watchers *semaphore.Weighted
}

func newOrders(opts Options) *orders {
	return &orders{
		view:     view{opts.Keyed},
		record:   opts.Orders,
		log:      opts.Log,
		lists:    semaphore.NewWeighted(listsAtOnce),
		watchers: semaphore.NewWeighted(maxWatchers),
	}
}

// GetOrder is one order, with its history.
func (s *orders) GetOrder(ctx context.Context, req *checkoutv1.GetOrderRequest) (*checkoutv1.Order, error) {
	var bad violations
	var id order.ID
	if req.GetOrderId() != "" {
		id = bad.id(req.GetOrderId())
		bad.absent("user_id", req.GetUserId(), "cannot be used with order_id")
		bad.absent("idempotency_key", req.GetIdempotencyKey(), "cannot be used with order_id")
	} else {
		bad.text("user_id", req.GetUserId(), required)
		bad.text("idempotency_key", req.GetIdempotencyKey(), required)
	}
	if bad != nil {
		return nil, bad.refuse()
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	read := func() (*order.Order, error) { return s.record.Get(ctx, id) }
	if id == "" {
		read = func() (*order.Order, error) { return s.record.Find(ctx, req.GetUserId(), req.GetIdempotencyKey()) }
	}
	o, err := read()
	if err != nil {
		return nil, s.unread(ctx, err, id)
	}
	return s.message(o), nil
}

// ListOrders are orders, newest first, a page at a time. A page of large orders has fewer than were asked for.
func (s *orders) ListOrders(ctx context.Context, req *checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error) {
	q, err := query(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	found, next, err := s.list(ctx, q)
	if err != nil {
		return nil, s.unread(ctx, err, "")
	}
	resp := &checkoutv1.ListOrdersResponse{}
	bytes := 0
	for i, o := range found {
		m := s.message(o)
		m.History = nil
		bytes += proto.Size(m)
		if i > 0 && bytes > pageBytes {
			next = found[i-1].ID
			break
		}
		resp.Orders = append(resp.Orders, m)
	}
	if next != "" {
		resp.NextPageToken = pageToken(q, next)
	}
	return resp, nil
}

// list reads a page when it is its turn. Orders that cannot be read are left out, unless all are.
func (s *orders) list(ctx context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error) {
	if err := s.lists.Acquire(ctx, 1); err != nil {
		return nil, "", err
	}
	defer s.lists.Release(1)
	found, next, err = s.record.List(ctx, q)
	if len(found) > 0 {
		err = nil
	}
	return found, next, err
}

// query is what the request selects. Its error is an answer.
func query(req *checkoutv1.ListOrdersRequest) (q lookup.Query, err error) {
	var bad violations
	q = lookup.Query{
		States:        bad.states("states", req.GetStates()),
		From:          bad.time("created_after", req.GetCreatedAfter()),
		Until:         bad.time("created_before", req.GetCreatedBefore()),
		Prefix:        bad.prefix(req.GetOrderIdPrefix()),
		UserID:        req.GetUserId(),
		Email:         order.EmailAddress(strings.TrimSpace(req.GetEmail())),
		TransactionID: req.GetTransactionId(),
		TrackingID:    req.GetTrackingId(),
	}
	bad.text("user_id", q.UserID, optional)
	bad.text("email", string(q.Email), optional)
	bad.text("transaction_id", q.TransactionID, optional)
	bad.text("tracking_id", q.TrackingID, optional)
	if !q.From.IsZero() && !q.Until.IsZero() && !q.From.Before(q.Until) {
		bad.add("created_before", "is not after created_after")
	}
	q.Limit = bad.pageSize(req.GetPageSize())
	if token := req.GetPageToken(); token != "" && bad == nil {
		if q.Before, err = afterPage(q, token); err != nil {
			bad.add("page_token", err.Error())
		}
	}
	if bad != nil {
		return lookup.Query{}, bad.refuse()
	}
	return q, nil
}

// unread is the answer when the record has none.
func (s *orders) unread(ctx context.Context, err error, id order.ID) error {
	if errors.Is(err, order.ErrNotFound) {
		return notFound(id)
	}
	if !errors.Is(err, context.Canceled) { // the caller has gone
		s.log.WarnContext(ctx, "the record of orders was not read", "error", err)
	}
	return refusal(codes.Unavailable, "UNAVAILABLE", "the record of orders cannot be read", id)
}

func notFound(id order.ID) error {
	return refusal(codes.NotFound, "ORDER_NOT_FOUND", "there is no such order on record", id)
}

// view converts orders to messages.
type view struct {
	keyed bool // Options.Keyed
}

// message converts an order, without its address, its e-mail address and its baggage.
func (v view) message(o *order.Order) *checkoutv1.Order {
	result := wire.OrderResult(o)
	m := &checkoutv1.Order{
		OrderId:          string(o.ID),
		State:            checkoutv1.OrderState(o.State),
		UserId:           o.UserID,
		IdempotencyKey:   o.Key,
		Items:            result.GetItems(),
		Shipping:         result.GetShippingCost(),
		Total:            wire.Money(o.Total),
		TransactionId:    o.TransactionID,
		TrackingId:       o.TrackingID,
		Pending:          pending(o),
		Reason:           plain(o.Reason),
		Attempts:         count(o.Attempts),
		Created:          timestamppb.New(o.Created),
		Changed:          timestamppb.New(o.Changed),
		TraceId:          traceID(o.Trace["traceparent"]),
		RequiresOperator: o.State.RequiresOperator(v.keyed),
		ShipAttempts:     count(o.ShipAttempts),
		Undeliverable:    named(o.Undeliverable),
		Skipped:          named(o.Skipped),
	}
	for _, sum := range []struct {
		is   money.Amount
		into **oteldemo.Money
	}{{o.Refunded, &m.Refunded}, {o.RefundTo, &m.RefundTo}} {
		if sum.is != (money.Amount{}) {
			*sum.into = wire.Money(sum.is)
		}
	}
	if m.GetRequiresOperator() || o.State == order.Completed {
		for _, kind := range o.Decisions(v.keyed) {
			m.Decisions = append(m.Decisions, decisionName(kind))
		}
	}
	for _, e := range o.History {
		m.History = append(m.History, event(e))
	}
	return m
}

// plain is a text of the record without the words that gRPC puts around the errors of its calls.
func plain(text string) string {
	before, after, found := strings.Cut(text, "rpc error: code = ")
	code, rest, described := strings.Cut(after, " desc = ")
	if !found || !described {
		return text
	}
	return before + code + ": " + plain(rest)
}

// ManualStates are the states in which an order requires manual action; keyed is as in Options.
func ManualStates(keyed bool) []order.State {
	return slices.DeleteFunc(order.States(), func(s order.State) bool { return !s.RequiresOperator(keyed) })
}

func event(e order.HistoryEntry) *checkoutv1.Event {
	m := &checkoutv1.Event{
		At:      timestamppb.New(e.At),
		State:   checkoutv1.OrderState(e.State),
		Step:    string(e.Step),
		Problem: plain(e.Problem),
		Times:   count(e.Times),
		By:      e.By,
	}
	if !e.Last.IsZero() {
		m.Last = timestamppb.New(e.Last)
	}
	return m
}

func count(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // it is bounded on the spot

// pending names the deliveries of a placed order that are still to be made.
func pending(o *order.Order) []string {
	if o.State != order.Placed {
		return nil
	}
	return named(^(o.Delivered | o.Undeliverable | o.Skipped))
}

// named are the names of the deliveries in set.
func named(set order.Delivery) (names []string) {
	for _, d := range deliveries() {
		if set.Has(d.is) {
			names = append(names, d.name)
		}
	}
	return names
}

// delivery is a delivery of a placed order.
type delivery struct {
	is   order.Delivery
	name string
}

func deliveries() []delivery {
	return []delivery{{order.CartSettled, "cart"}, {order.EmailSent, "email"}, {order.EventPublished, "event"}}
}

// traceID is the trace id in a traceparent (W3C Trace Context, §3.2), or "".
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" || strings.Trim(parts[1], "0") == "" {
		return ""
	}
	return parts[1]
}
