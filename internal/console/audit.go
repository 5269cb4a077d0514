package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/web"
	"checkout/internal/wire"
)

// auditList is a page of the audit log.
type auditList struct {
	At      time.Time    `json:"at"`
	Entries []auditEntry `json:"entries"`
	Next    string       `json:"next_page,omitempty"` // the page after it
	Order   string       `json:"-"`                   // whose entries they are; empty: all
	First   bool         `json:"-"`                   // it is the first page
}

type auditEntry struct {
	ID       string      `json:"id"`
	At       time.Time   `json:"at"`
	Order    string      `json:"order_id,omitempty"`
	Action   string      `json:"action"`
	By       string      `json:"by"`
	Identity string      `json:"identity,omitempty"`
	Why      string      `json:"why,omitempty"`
	Before   *auditState `json:"before,omitempty"`
	After    *auditState `json:"after,omitempty"`
	Outcome  string      `json:"outcome"`
	Detail   string      `json:"detail,omitempty"`
}

type auditState struct {
	State         string   `json:"state"`
	Transaction   string   `json:"transaction_id,omitempty"`
	Tracking      string   `json:"tracking_id,omitempty"`
	Undeliverable []string `json:"undeliverable,omitempty"`
	Skipped       []string `json:"skipped,omitempty"`
}

func auditStateOf(s *checkoutv1.AuditState) *auditState {
	if s == nil {
		return nil
	}
	return &auditState{wire.StateName(s.GetState()), s.GetTransactionId(), s.GetTrackingId(), s.GetUndeliverable(), s.GetSkipped()}
}

func auditEntryOf(e *checkoutv1.AuditEntry) auditEntry {
	outcome := map[checkoutv1.AuditEntry_Outcome]string{checkoutv1.AuditEntry_DONE: "done", checkoutv1.AuditEntry_REFUSED: "refused"}[e.GetOutcome()]
	if outcome == "" {
		outcome = "unknown"
	}
	return auditEntry{
		e.GetEntryId(), e.GetAt().AsTime(), e.GetOrderId(), e.GetAction(), e.GetBy(), e.GetIdentity(), e.GetWhy(),
		auditStateOf(e.GetBefore()), auditStateOf(e.GetAfter()), outcome, e.GetDetail(),
	}
}

// showAudit shows what operators have done.
func (c *Console) showAudit(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	of, token := strings.TrimSpace(query.Get("order")), query.Get("page")
	resp, err := c.services.audit(r.Context(), &checkoutv1.ListAuditRequest{OrderId: of, PageSize: pageSize, PageToken: token})
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	l := auditList{At: c.now(), Entries: []auditEntry{}, Order: of, First: token == ""}
	for _, e := range resp.GetEntries() {
		l.Entries = append(l.Entries, auditEntryOf(e))
	}
	if next := resp.GetNextPageToken(); next != "" {
		q := url.Values{"page": {next}}
		if of != "" {
			q.Set("order", of)
		}
		l.Next = c.site.URL("/audit?") + q.Encode()
	}
	c.answer(w, r, http.StatusOK, "audit", l, web.Page{Title: "Audit log", Nav: "/audit", Data: l})
}

func (s services) audit(ctx context.Context, req *checkoutv1.ListAuditRequest) (*checkoutv1.ListAuditResponse, error) {
	return first(ctx, s, func(ctx context.Context, one Service) (*checkoutv1.ListAuditResponse, error) {
		return checkoutv1.NewOrderAdminClient(one.Conn).ListAudit(ctx, req)
	})
}
