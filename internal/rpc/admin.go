package rpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// Resolver does to an order that rests what people have decided. It returns order.ErrNotFound, order.ErrFenced when the
// order does not rest, and order.ErrRefused, with the reason, when the decision does not go with its record.
type Resolver interface {
	Retry(ctx context.Context, id order.ID, note order.Note) (*order.Order, error)
	Resolve(ctx context.Context, id order.ID, r order.Resolution, note order.Note) (*order.Order, error)
}

// decisionTime is how long it may take to record a decision.
const decisionTime = 10 * time.Second

// admin is checkout.v1.OrderAdmin.
type admin struct {
	checkoutv1.UnimplementedOrderAdminServer
	view

	resolver Resolver
	log      *slog.Logger
}

// RetryOrder sends an order that rests on its way again.
func (a *admin) RetryOrder(ctx context.Context, req *checkoutv1.RetryOrderRequest) (*checkoutv1.Order, error) {
	var bad violations
	id := bad.id(req.GetOrderId())
	bad.text("by", req.GetBy(), required)
	bad.text("why", req.GetWhy(), optional)
	if bad != nil {
		return nil, bad.refuse()
	}
	return a.decide(ctx, id, func(ctx context.Context) (*order.Order, error) {
		return a.resolver.Retry(ctx, id, order.Note{By: req.GetBy(), Why: req.GetWhy()})
	})
}

// ResolveOrder records what a person has found out about an order's money.
func (a *admin) ResolveOrder(ctx context.Context, req *checkoutv1.ResolveOrderRequest) (*checkoutv1.Order, error) {
	var bad violations
	id := bad.id(req.GetOrderId())
	verdict, known := verdictOf(req.GetResolution())
	if !known {
		bad.add("resolution", "is none of PAID, NOT_PAID and REFUNDED")
	}
	bad.text("transaction_id", req.GetTransactionId(), optional)
	if known && verdict != order.Paid {
		bad.absent("transaction_id", req.GetTransactionId(), "goes with PAID only")
	}
	bad.text("by", req.GetBy(), required)
	bad.text("why", req.GetWhy(), required)
	if bad != nil {
		return nil, bad.refuse()
	}
	return a.decide(ctx, id, func(ctx context.Context) (*order.Order, error) {
		r := order.Resolution{Verdict: verdict, TransactionID: req.GetTransactionId()}
		return a.resolver.Resolve(ctx, id, r, order.Note{By: req.GetBy(), Why: req.GetWhy()})
	})
}

func verdictOf(r checkoutv1.ResolveOrderRequest_Resolution) (_ order.Verdict, known bool) {
	switch r {
	case checkoutv1.ResolveOrderRequest_PAID:
		return order.Paid, true
	case checkoutv1.ResolveOrderRequest_NOT_PAID:
		return order.NotPaid, true
	case checkoutv1.ResolveOrderRequest_REFUNDED:
		return order.PaidBack, true
	case checkoutv1.ResolveOrderRequest_RESOLUTION_UNSPECIFIED:
	}
	return "", false
}

// decide makes an answer of what the resolver does.
func (a *admin) decide(ctx context.Context, id order.ID, act func(context.Context) (*order.Order, error)) (*checkoutv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, decisionTime)
	defer cancel()
	switch o, err := act(ctx); {
	case err == nil:
		return a.message(o), nil
	case errors.Is(err, order.ErrNotFound):
		return nil, notFound(id)
	case errors.Is(err, order.ErrFenced):
		return nil, refusal(codes.FailedPrecondition, "ORDER_NOT_AT_REST", "the order does not wait for a person"+because(err, order.ErrFenced), id)
	case errors.Is(err, order.ErrRefused):
		return nil, refusal(codes.FailedPrecondition, "DECISION_REFUSED", "this cannot be done to the order"+because(err, order.ErrRefused), id)
	default:
		a.log.WarnContext(ctx, "a decision about an order was not recorded", "order", string(id), "error", err)
		return nil, refusal(codes.Unavailable, "UNAVAILABLE", "the decision was perhaps not recorded; look at the order, and decide again", id)
	}
}

// because is what err says after the words of its kind.
func because(err, kind error) string {
	if _, why, ok := strings.Cut(err.Error(), kind.Error()+": "); ok {
		return ": " + why
	}
	return ""
}
