package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// ErrNotEmpty: the record that is copied to has orders already.
var ErrNotEmpty = errors.New("there are orders in it already; nothing was copied")

// secretTable has a row from the start, which is replaced.
const secretTable = "orders_secret"

// copied are the tables of a record, and their columns: those of both databases.
func copied() map[string]string {
	return map[string]string{ //nolint:gosec // the name of a table is no secret
		"orders": "id, state, epoch, due, user_id, key, latest_of, settled, delivered, attempts, created, changed, body, " +
			"user_hash, email_hash, transaction_hash, tracking_hash",
		"orders_audit": "id, order_id, body",
		secretTable:    "id, secret, indexed",
	}
}

// Database is a record that can be copied, and copied to.
type Database interface {
	connection(ctx context.Context, use func(*sql.Conn) error) error
}

func (s *SQLite) connection(ctx context.Context, use func(*sql.Conn) error) error {
	return s.owner.interpose(ctx, func(c *conn) error { return use(c.sql) })
}

func (p *Postgres) connection(ctx context.Context, use func(*sql.Conn) error) error {
	c, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(c), c.Close())
}

// Copy copies one record to another, which has to be empty, entirely or not at all, and returns how many orders there are. The
// records must not be in use meanwhile, and have to be opened anew afterwards.
func Copy(ctx context.Context, from, to Database) (orders int64, err error) {
	err = from.connection(ctx, func(source *sql.Conn) error {
		return to.connection(ctx, func(target *sql.Conn) error {
			tx, err := target.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			for table, columns := range copied() {
				n, err := copyTable(ctx, source, tx, table, columns)
				if err != nil {
					return errors.Join(fmt.Errorf("table %s: %w", table, err), tx.Rollback())
				}
				if table == "orders" {
					orders = n
				}
			}
			return tx.Commit()
		})
	})
	if err != nil {
		return 0, fmt.Errorf("copy the record: %w", err)
	}
	return orders, nil
}

func copyTable(ctx context.Context, source *sql.Conn, target *sql.Tx, table, columns string) (n int64, err error) {
	var some bool
	if table == secretTable {
		if _, err := target.ExecContext(ctx, "DELETE FROM "+secretTable); err != nil {
			return 0, err
		}
	} else if err := target.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&some); err != nil {
		return 0, err
	} else if some {
		return 0, ErrNotEmpty
	}
	names := strings.Split(columns, ", ")
	values, fields, places := make([]any, len(names)), make([]any, len(names)), make([]string, len(names))
	for i := range names {
		fields[i], places[i] = &values[i], fmt.Sprintf("$%d", i+1)
	}
	insert, err := target.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, columns, strings.Join(places, ", ")))
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	found, err := source.QueryContext(ctx, "SELECT "+columns+" FROM "+table) //nolint:gosec // both are constants
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for ; found.Next(); n++ {
		if err := found.Scan(fields...); err != nil {
			return n, err
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return n, err
		}
	}
	return n, found.Err()
}
