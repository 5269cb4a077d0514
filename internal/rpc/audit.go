package rpc

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
)

// AuditLog keeps what operators do for longer than the orders.
type AuditLog interface {
	// WriteAudit records an entry, or replaces the one of that id, which is a UUID of version 7.
	WriteAudit(ctx context.Context, id string, of order.ID, body []byte) error
	// Audit returns the entries that q selects, newest first.
	Audit(ctx context.Context, q lookup.AuditQuery) ([]lookup.AuditRecord, error)
	// PurgeAudit deletes the entries that were written before a time.
	PurgeAudit(ctx context.Context, before time.Time) error
}

// begin records that an act is about to be done. Without that it must not be.
func (a *admin) begin(ctx context.Context, entry *checkoutv1.AuditEntry) error {
	if a.audit == nil {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("name an entry of the audit log: %w", err)
	}
	entry.EntryId, entry.At, entry.Identity = id.String(), timestamppb.Now(), strings.Join(peerNames(ctx), ", ")
	if err := a.write(ctx, entry); err != nil {
		a.log.WarnContext(ctx, "audit log not written", "error", err)
		return refusal(codes.Unavailable, notRecorded, "the audit log cannot be written; nothing was done", order.ID(entry.GetOrderId()))
	}
	return nil
}

// end records the outcome of the act. If that fails, the log says that it is not known.
func (a *admin) end(ctx context.Context, entry *checkoutv1.AuditEntry) {
	if a.audit == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), decisionTime)
	defer cancel()
	if err := a.write(ctx, entry); err != nil {
		a.log.WarnContext(ctx, "audit log not written", "error", err)
	}
}

func (a *admin) write(ctx context.Context, entry *checkoutv1.AuditEntry) error {
	body, err := proto.Marshal(entry)
	if err != nil {
		return err
	}
	return a.audit.WriteAudit(ctx, entry.GetEntryId(), order.ID(entry.GetOrderId()), body)
}

// auditState is what a decision can change of an order.
func auditState(o *order.Order) *checkoutv1.AuditState {
	return &checkoutv1.AuditState{
		State:         checkoutv1.OrderState(o.State),
		TransactionId: o.TransactionID,
		TrackingId:    o.TrackingID,
		Undeliverable: named(o.Undeliverable),
		Skipped:       named(o.Skipped),
	}
}

// decisionName is the name of a decision in the API.
func decisionName(kind order.ResolutionKind) string {
	switch kind {
	case order.NotPaid:
		return "not_paid"
	case order.PaidBack:
		return "refunded"
	case order.Retry, order.Paid, order.Shipped, order.SkipDeliveries, order.Cancel, order.Refund:
	}
	return string(kind)
}

// ListAudit returns what operators have done, newest first, a page at a time.
func (a *admin) ListAudit(ctx context.Context, req *checkoutv1.ListAuditRequest) (*checkoutv1.ListAuditResponse, error) {
	if a.audit == nil {
		return a.UnimplementedOrderAdminServer.ListAudit(ctx, req)
	}
	var bad violations
	q := lookup.AuditQuery{From: bad.time("after", req.GetAfter()), Until: bad.time("before", req.GetBefore()), Limit: bad.pageSize(req.GetPageSize()) + 1}
	if req.GetOrderId() != "" {
		q.Order = bad.id(req.GetOrderId())
	}
	if token := req.GetPageToken(); token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || uuid.Validate(string(last)) != nil {
			bad.add("page_token", "is not the token of a page")
		}
		q.Before = string(last)
	}
	if bad != nil {
		return nil, bad.refuse()
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	found, err := a.audit.Audit(ctx, q)
	if err != nil {
		a.log.WarnContext(ctx, "the record of orders was not read", "error", err)
		return nil, refusal(codes.Unavailable, "UNAVAILABLE", "the audit log cannot be read", q.Order)
	}
	resp := &checkoutv1.ListAuditResponse{}
	bytes := 0
	for i, r := range found {
		bytes += len(r.Body)
		if i == q.Limit-1 || i > 0 && bytes > pageBytes {
			resp.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(found[i-1].ID))
			break
		}
		entry := &checkoutv1.AuditEntry{}
		if err := proto.Unmarshal(r.Body, entry); err != nil { // it is there all the same
			entry = &checkoutv1.AuditEntry{EntryId: r.ID, Detail: "the entry cannot be read"}
		}
		resp.Entries = append(resp.Entries, entry)
	}
	return resp, nil
}
