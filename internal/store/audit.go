package store

import (
	"context"
	"fmt"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

const (
	// upsertAudit: an entry is written before the act and again after it.
	upsertAudit = `
		INSERT INTO orders_audit (id, order_id, body) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET body = excluded.body`
	selectAudit      = `SELECT id, body FROM orders_audit WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3`
	selectOrderAudit = `SELECT id, body FROM orders_audit WHERE id >= $1 AND id < $2 AND order_id = $4 ORDER BY id DESC LIMIT $3`
	deleteAudit      = `DELETE FROM orders_audit WHERE id < $1`
)

// WriteAudit records an entry of the audit log, or replaces the one of that id, which is a UUID of version 7.
func (s orders) WriteAudit(ctx context.Context, id string, of order.ID, body []byte) error {
	if _, err := s.change(ctx, upsertAudit, id, string(of), body); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// Audit are the entries that q selects, newest first, as they were written.
func (s orders) Audit(ctx context.Context, q lookup.AuditQuery) ([]lookup.AuditRecord, error) {
	first, end := "", "g" // ids are hexadecimal
	if !q.From.IsZero() {
		first = idAt(q.From)
	}
	if !q.Until.IsZero() {
		end = idAt(q.Until)
	}
	if q.Before != "" {
		end = min(end, q.Before)
	}
	statement, args := selectAudit, []any{first, end, max(q.Limit, 0)}
	if q.Order != "" {
		statement, args = selectOrderAudit, append(args, string(q.Order))
	}
	found, err := query(ctx, s, func(r *lookup.AuditRecord) []any { return []any{&r.ID, &r.Body} }, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return found, nil
}

// PurgeAudit deletes the entries that were written before a time.
func (s orders) PurgeAudit(ctx context.Context, before time.Time) error {
	if _, err := s.change(ctx, deleteAudit, idAt(before)); err != nil {
		return fmt.Errorf("purge audit log: %w", err)
	}
	return nil
}
