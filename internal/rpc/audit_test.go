package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
)

// ledger is an AuditLog in memory.
type ledger struct {
	mu      sync.Mutex
	entries []lookup.AuditRecord // newest first
	away    error
}

func (l *ledger) WriteAudit(_ context.Context, id string, _ order.ID, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away != nil {
		return l.away
	}
	if i := slices.IndexFunc(l.entries, func(r lookup.AuditRecord) bool { return r.ID == id }); i >= 0 {
		l.entries[i].Body = body
		return nil
	}
	l.entries = append([]lookup.AuditRecord{{ID: id, Body: body}}, l.entries...)
	return nil
}

func (l *ledger) Audit(_ context.Context, q lookup.AuditQuery) (found []lookup.AuditRecord, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.entries {
		if (q.Before == "" || r.ID < q.Before) && len(found) < q.Limit {
			found = append(found, r)
		}
	}
	return found, l.away
}

func (l *ledger) PurgeAudit(context.Context, time.Time) error { return l.away }

// logged is the audit log, oldest first, page by page.
func logged(t *testing.T, client checkoutv1.OrderAdminClient) (entries []*checkoutv1.AuditEntry) {
	t.Helper()
	for req := (&checkoutv1.ListAuditRequest{PageSize: 2}); ; {
		resp, err := client.ListAudit(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.GetEntries() {
			entries = append([]*checkoutv1.AuditEntry{e}, entries...)
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return entries
		}
	}
}

func TestEveryActOfAnOperatorIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	d := &desk{order: order.Order{ID: id(1), State: order.Charged, TransactionID: "tx 1"}}
	client, _ := audited(t, d)
	resolve := func(is checkoutv1.ResolveOrderRequest_Resolution, tx string) error {
		_, err := client.ResolveOrder(t.Context(), &checkoutv1.ResolveOrderRequest{
			OrderId: string(id(1)), Resolution: is, TransactionId: tx, By: "grace", Why: "asked the bank",
		})
		return err
	}
	if err := resolve(checkoutv1.ResolveOrderRequest_PAID, "tx 1"); err != nil {
		t.Fatal(err)
	}
	d.err = fmt.Errorf("%w: %w", order.ErrRefused, order.Violation{Field: "resolution", Problem: "it was paid, by transaction tx 1"})
	wantRefusal(t, resolve(checkoutv1.ResolveOrderRequest_NOT_PAID, ""), codes.FailedPrecondition, "DECISION_REFUSED", "resolution")
	d.err = errors.New("disk I/O error")
	wantRefusal(t, resolve(checkoutv1.ResolveOrderRequest_REFUNDED, ""), codes.Unavailable, "UNAVAILABLE")
	if _, err := client.EraseUser(t.Context(), &checkoutv1.EraseUserRequest{UserId: "ada@example.com", By: "grace", Why: "asked for it"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range logged(t, client) {
		if time.Since(e.GetAt().AsTime()) > time.Minute || e.GetBy() != "grace" || e.GetIdentity() != "" || e.GetWhy() == "" {
			t.Errorf("%v: want when, who, that nobody has verified it, and why", e)
		}
		if strings.Contains(e.String(), "ada@") {
			t.Errorf("%v tells who was erased", e)
		}
		got = append(got, fmt.Sprintf("%s %s: %v -> %v %s%s", e.GetAction(), e.GetOutcome(), e.GetBefore().GetState(), e.GetAfter().GetState(), e.GetAfter().GetTransactionId(), e.GetDetail()))
	}
	want := []string{
		"paid DONE: IN_DOUBT -> CHARGED tx 1",
		"not_paid REFUSED: IN_DOUBT -> ORDER_STATE_UNSPECIFIED this cannot be done to the order: it was paid, by transaction tx 1",
		"refunded OUTCOME_UNSPECIFIED: IN_DOUBT -> ORDER_STATE_UNSPECIFIED ",
		"erase DONE: ORDER_STATE_UNSPECIFIED -> ORDER_STATE_UNSPECIFIED 2 orders were erased, 0 are not finished and were kept",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNothingIsDoneThatCannotBeLogged(t *testing.T) {
	t.Parallel()
	d := &desk{}
	client, l := audited(t, d)
	l.away = errors.New("the disk is full")
	_, err := client.RetryOrder(t.Context(), &checkoutv1.RetryOrderRequest{OrderId: string(id(1)), By: "grace"})
	wantRefusal(t, err, codes.Unavailable, "NOT_RECORDED")
	_, err = client.EraseUser(t.Context(), &checkoutv1.EraseUserRequest{UserId: "ada", By: "grace", Why: "asked for it"})
	wantRefusal(t, err, codes.Unavailable, "NOT_RECORDED")
	_, err = client.ListAudit(t.Context(), &checkoutv1.ListAuditRequest{})
	wantRefusal(t, err, codes.Unavailable, "UNAVAILABLE")
	if d.asked != nil {
		t.Errorf("%v was done all the same", d.asked)
	}
}

func TestADecisionIsCheckedWithoutBeingMade(t *testing.T) {
	t.Parallel()
	d := &desk{order: order.Order{ID: id(1), State: order.Charged}}
	client, _ := audited(t, d)
	req := &checkoutv1.ResolveOrderRequest{OrderId: string(id(1)), Resolution: checkoutv1.ResolveOrderRequest_PAID, TransactionId: "tx 1", ValidateOnly: true}
	if o, err := client.ResolveOrder(t.Context(), req); err != nil || o.GetState() != checkoutv1.OrderState_CHARGED {
		t.Errorf("%v, %v; want the order as it would be", o, err)
	}
	if o, err := client.RetryOrder(t.Context(), &checkoutv1.RetryOrderRequest{OrderId: string(id(1)), ValidateOnly: true}); err != nil || o.GetOrderId() == "" {
		t.Errorf("%v, %v; want the order as it would be", o, err)
	}
	if entries := logged(t, client); d.previews != 2 || d.asked != nil || entries != nil {
		t.Errorf("%d checks, decisions %v, log %v; want checks alone", d.previews, d.asked, entries)
	}
}

func TestATransactionOfAnotherOrderIsRefused(t *testing.T) {
	t.Parallel()
	for _, validateOnly := range []bool{true, false} {
		d := &desk{}
		client, _ := audited(t, d)
		_, err := client.ResolveOrder(t.Context(), &checkoutv1.ResolveOrderRequest{
			OrderId: string(id(1)), Resolution: checkoutv1.ResolveOrderRequest_PAID, TransactionId: "tx 2",
			By: "grace", Why: "asked the bank", ValidateOnly: validateOnly,
		})
		wantRefusal(t, err, codes.FailedPrecondition, "TRANSACTION_OF_ANOTHER_ORDER", "transaction_id")
		if said := status.Convert(err).Message(); !strings.Contains(said, string(id(2))) {
			t.Errorf("it says %q, want the other order named", said)
		}
		if d.asked != nil || d.previews > 0 {
			t.Error("the decision was looked at all the same")
		}
	}
}

func TestAReasonHasNoAddressInIt(t *testing.T) {
	t.Parallel()
	for why, bad := range map[string]bool{
		"told ada@example.com": true, "<ada@example.com> called": true, "4 pieces @ 5 EUR": false, "paid @bank": false,
	} {
		var v violations
		v.kept("why", why, required)
		if (v != nil) != bad {
			t.Errorf("%q: %v", why, v)
		}
	}
}
