package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// Resolver does what operators have decided about an order. It returns order.ErrNotFound, order.ErrFenced when the order
// does not wait for an operator, and order.ErrRefused, with the reason, when the decision contradicts its record.
type Resolver interface {
	Resolve(ctx context.Context, id order.ID, r order.Resolution) (*order.Order, error)
	// Preview returns the order as Resolve would make it, or the error that Resolve would return. It records nothing.
	Preview(ctx context.Context, id order.ID, r order.Resolution) (*order.Order, error)
}

// Eraser deletes the finished orders of a user. It returns how many there were, and which are not finished.
type Eraser interface {
	Erase(ctx context.Context, userID string) (erased int, open []order.ID, err error)
}

// eraseTime is how long it may take to look through all orders for those of a user.
const eraseTime = 5 * time.Minute

// decisionTime is how long it may take to record a decision.
const decisionTime = 10 * time.Second

// notRecorded is the reason of an UNAVAILABLE decision that certainly was not recorded. Without it, it may have been.
const notRecorded = "NOT_RECORDED"

// admin is checkout.v1.OrderAdmin.
type admin struct {
	checkoutv1.UnimplementedOrderAdminServer
	view

	resolver Resolver
	record   Record
	audit    AuditLog
	eraser   Eraser // nil: no user can be erased
	log      *slog.Logger
}

// RetryOrder continues an order that waits for an operator.
func (a *admin) RetryOrder(ctx context.Context, req *checkoutv1.RetryOrderRequest) (*checkoutv1.Order, error) {
	return a.decide(ctx, req, func(*violations) order.Resolution { return order.Resolution{Kind: order.Retry} })
}

// ResolveOrder records what an operator has found out, or decided, about an order.
func (a *admin) ResolveOrder(ctx context.Context, req *checkoutv1.ResolveOrderRequest) (*checkoutv1.Order, error) {
	return a.decide(ctx, req, func(bad *violations) order.Resolution { return bad.resolution(req) })
}

// CancelOrder gives up an order that was not shipped.
func (a *admin) CancelOrder(ctx context.Context, req *checkoutv1.CancelOrderRequest) (*checkoutv1.Order, error) {
	return a.decide(ctx, req, func(*violations) order.Resolution { return order.Resolution{Kind: order.Cancel} })
}

// RefundOrder has an order refunded.
func (a *admin) RefundOrder(ctx context.Context, req *checkoutv1.RefundOrderRequest) (*checkoutv1.Order, error) {
	return a.decide(ctx, req, func(bad *violations) order.Resolution {
		amount, err := wire.Amount(req.GetAmount())
		if err != nil {
			bad.add("amount", "is not an amount of money")
		}
		return order.Resolution{Kind: order.Refund, Amount: amount}
	})
}

// resolution wants one that is known, with the fields that it needs and no others.
func (v *violations) resolution(req *checkoutv1.ResolveOrderRequest) order.Resolution {
	r := order.Resolution{
		TransactionID: req.GetTransactionId(), TrackingID: req.GetTrackingId(), Skip: v.deliveries("skip", req.GetSkip()),
	}
	switch is := req.GetResolution(); is {
	case checkoutv1.ResolveOrderRequest_PAID:
		r.Kind = order.Paid
	case checkoutv1.ResolveOrderRequest_NOT_PAID:
		r.Kind = order.NotPaid
	case checkoutv1.ResolveOrderRequest_REFUNDED:
		r.Kind = order.PaidBack
	case checkoutv1.ResolveOrderRequest_SHIPPED:
		r.Kind = order.Shipped
	case checkoutv1.ResolveOrderRequest_SKIP:
		r.Kind = order.SkipDeliveries
	case checkoutv1.ResolveOrderRequest_RESOLUTION_UNSPECIFIED:
		fallthrough
	default:
		v.add("resolution", fmt.Sprintf("must be one of PAID, NOT_PAID, REFUNDED, SHIPPED and SKIP, not %v", is))
		return r
	}
	v.kept("transaction_id", r.TransactionID, optional)
	if r.Kind != order.Paid {
		v.absent("transaction_id", r.TransactionID, "belongs to an order that was paid")
	}
	if r.Kind == order.Shipped {
		v.kept("tracking_id", r.TrackingID, required)
	} else {
		v.absent("tracking_id", r.TrackingID, "belongs to an order that was shipped")
	}
	switch {
	case r.Kind == order.SkipDeliveries && len(req.GetSkip()) == 0:
		v.add("skip", "is missing: email, event")
	case r.Kind != order.SkipDeliveries && len(req.GetSkip()) > 0:
		v.add("skip", "belongs to the resolution SKIP")
	}
	return r
}

// decisionRequest is what the requests for decisions have in common.
type decisionRequest interface {
	GetOrderId() string
	GetBy() string
	GetWhy() string
	GetValidateOnly() bool
	GetSeen() *timestamppb.Timestamp
}

// decide has what an operator wants carried out, or only checked, and recorded in the audit log.
func (a *admin) decide(ctx context.Context, req decisionRequest, wanted func(*violations) order.Resolution) (*checkoutv1.Order, error) {
	var bad violations
	id := bad.id(req.GetOrderId())
	r := wanted(&bad)
	r.By, r.Why, r.Seen = req.GetBy(), req.GetWhy(), bad.time("seen", req.GetSeen())
	must := !req.GetValidateOnly()
	bad.typed("by", r.By, must)
	bad.kept("why", r.Why, must && r.Kind != order.Retry)
	if bad != nil {
		return nil, bad.refuse()
	}
	ctx, cancel := context.WithTimeout(ctx, decisionTime)
	defer cancel()
	if err := a.unique(ctx, id, r.TransactionID); err != nil {
		return nil, err
	}
	if req.GetValidateOnly() {
		o, err := a.resolver.Preview(ctx, id, r)
		if err != nil {
			return nil, a.undecided(ctx, id, err)
		}
		return a.message(o), nil
	}
	before, err := a.record.Get(ctx, id)
	if err != nil {
		return nil, a.undecided(ctx, id, fmt.Errorf("%w: %w", order.ErrUnsent, err))
	}
	entry := &checkoutv1.AuditEntry{OrderId: string(id), Action: decisionName(r.Kind), By: r.By, Why: r.Why, Before: auditState(before)}
	if r.Kind == order.Refund {
		entry.Detail = r.Amount.String()
	}
	if err := a.begin(ctx, entry); err != nil {
		return nil, err
	}
	o, err := a.resolver.Resolve(ctx, id, r)
	if err != nil {
		failure := a.undecided(ctx, id, err)
		if code := status.Code(failure); code == codes.FailedPrecondition || code == codes.NotFound {
			entry.Outcome, entry.Detail = checkoutv1.AuditEntry_REFUSED, strings.TrimPrefix(entry.GetDetail()+": "+status.Convert(failure).Message(), ": ")
			a.end(ctx, entry)
		}
		return nil, failure
	}
	entry.Outcome, entry.After = checkoutv1.AuditEntry_DONE, auditState(o)
	a.end(ctx, entry)
	return a.message(o), nil
}

// unique refuses a transaction that is another order's.
func (a *admin) unique(ctx context.Context, id order.ID, transactionID string) error {
	if transactionID == "" {
		return nil
	}
	found, _, err := a.record.List(ctx, lookup.Query{TransactionID: transactionID, Limit: 2})
	for _, o := range found {
		if o.ID != id {
			problem := fmt.Sprintf("belongs to order %s already", o.ID)
			return refusal(codes.FailedPrecondition, "TRANSACTION_OF_ANOTHER_ORDER", "transaction_id "+problem, id, order.Violation{Field: "transaction_id", Problem: problem})
		}
	}
	if err != nil {
		a.log.WarnContext(ctx, "the record of orders was not read", "error", err)
		return refusal(codes.Unavailable, notRecorded, "the record of orders cannot be read; nothing was recorded", id)
	}
	return nil
}

// undecided is the answer when a resolution was not carried out, or perhaps was.
func (a *admin) undecided(ctx context.Context, id order.ID, err error) error {
	var against order.Violation
	switch {
	case errors.Is(err, order.ErrNotFound):
		return notFound(id)
	case errors.Is(err, order.ErrFenced):
		return refusal(codes.FailedPrecondition, "ORDER_NOT_AT_REST", "the order does not wait for an operator"+because(err, order.ErrFenced), id)
	case errors.As(err, &against):
		return refusal(codes.FailedPrecondition, "DECISION_REFUSED", "this cannot be done to the order: "+against.Problem, id, against)
	case errors.Is(err, order.ErrRefused):
		return refusal(codes.FailedPrecondition, "DECISION_REFUSED", "this cannot be done to the order"+because(err, order.ErrRefused), id)
	}
	a.log.WarnContext(ctx, "a decision about an order was not recorded", "order", string(id), "error", err)
	if errors.Is(err, order.ErrUnsent) {
		return refusal(codes.Unavailable, notRecorded, "the record of orders is not available; nothing was recorded", id)
	}
	return refusal(codes.Unavailable, "UNAVAILABLE", "the decision was perhaps not recorded; look at the order, and decide again", id)
}

// because is what err says after the words of its kind.
func because(err, kind error) string {
	if _, why, ok := strings.Cut(err.Error(), kind.Error()+": "); ok {
		return ": " + why
	}
	return ""
}

// EraseUser deletes the finished orders of a user. Its log line does not name the user.
func (a *admin) EraseUser(ctx context.Context, req *checkoutv1.EraseUserRequest) (*checkoutv1.EraseUserResponse, error) {
	var bad violations
	bad.text("user_id", req.GetUserId(), required)
	bad.typed("by", req.GetBy(), required)
	bad.kept("why", req.GetWhy(), required)
	switch {
	case bad != nil:
		return nil, bad.refuse()
	case a.eraser == nil:
		return a.UnimplementedOrderAdminServer.EraseUser(ctx, req)
	}
	ctx, cancel := context.WithTimeout(ctx, eraseTime)
	defer cancel()
	entry := &checkoutv1.AuditEntry{Action: "erase", By: req.GetBy(), Why: req.GetWhy()} // and not whom
	if err := a.begin(ctx, entry); err != nil {
		return nil, err
	}
	erased, open, err := a.eraser.Erase(ctx, req.GetUserId())
	a.log.InfoContext(ctx, "a user's orders were erased", "by", req.GetBy(), "why", req.GetWhy(), "erased", erased, "kept", len(open))
	if err != nil {
		a.log.WarnContext(ctx, "a user's orders were not all erased", "error", err)
		return nil, refusal(codes.Unavailable, "UNAVAILABLE", fmt.Sprintf("%d orders were erased, and perhaps not all; erase the user again", erased), "")
	}
	entry.Outcome, entry.Detail = checkoutv1.AuditEntry_DONE, fmt.Sprintf("%d orders were erased, %d are not finished and were kept", erased, len(open))
	a.end(ctx, entry)
	answer := &checkoutv1.EraseUserResponse{Erased: int64(erased)}
	for _, id := range open {
		answer.KeptOrderIds = append(answer.KeptOrderIds, string(id))
	}
	return answer, nil
}
