package store

import (
	"context"
	"database/sql"
	"errors"
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
	err := s.do(ctx, other, func(ctx context.Context, t session) error {
		_, err := t.exec(ctx, upsertAudit, id, string(of), body)
		return err
	})
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// Audit are the entries that q selects, newest first, as they were written.
func (s orders) Audit(ctx context.Context, q lookup.AuditQuery) (found []lookup.AuditRecord, err error) {
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
	query, args := selectAudit, []any{first, end, max(q.Limit, 0)}
	if q.Order != "" {
		query, args = selectOrderAudit, append(args, string(q.Order))
	}
	var read []lookup.AuditRecord // the work's alone until do returns nil
	err = s.do(ctx, other, func(ctx context.Context, t session) error {
		rows, err := t.rows(ctx, query, args...)
		if err == nil {
			read, err = scanAudit(rows)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return read, nil
}

// scanAudit reads rows to their end, and closes them.
func scanAudit(rows *sql.Rows) (found []lookup.AuditRecord, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r lookup.AuditRecord
		if err := rows.Scan(&r.ID, &r.Body); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// PurgeAudit deletes the entries that were written before a time.
func (s orders) PurgeAudit(ctx context.Context, before time.Time) error {
	err := s.do(ctx, other, func(ctx context.Context, t session) error {
		_, err := t.exec(ctx, deleteAudit, idAt(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("purge audit log: %w", err)
	}
	return nil
}
