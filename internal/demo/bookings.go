package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"checkout/gen/oteldemo"
)

// tables hold what the stock shop's accounting demands of an event.
const tables = `
CREATE TABLE orders (
	order_id TEXT PRIMARY KEY CHECK (order_id <> ''),
	event    BLOB NOT NULL
) STRICT;
CREATE TABLE order_item (
	order_id      TEXT NOT NULL REFERENCES orders,
	product_id    TEXT NOT NULL,
	quantity      INTEGER NOT NULL,
	cost_currency TEXT NOT NULL,
	cost_units    INTEGER NOT NULL,
	cost_nanos    INTEGER NOT NULL,
	PRIMARY KEY (order_id, product_id)
) STRICT;
CREATE TABLE shipping (
	tracking_id    TEXT PRIMARY KEY,
	order_id       TEXT NOT NULL UNIQUE REFERENCES orders,
	cost_currency  TEXT NOT NULL,
	cost_units     INTEGER NOT NULL,
	cost_nanos     INTEGER NOT NULL,
	street_address TEXT NOT NULL,
	city           TEXT NOT NULL,
	state          TEXT NOT NULL,
	country        TEXT NOT NULL,
	zip_code       TEXT NOT NULL
) STRICT;
`

// Entry is an order in the database.
type Entry struct {
	OrderID    string
	TrackingID string
	Shipping   *oteldemo.Money
	Items      []*oteldemo.OrderItem
}

// book writes an order into the database, whole or not at all. If it stands there already, its event is returned.
func (a *Accounting) book(ctx context.Context, o *oteldemo.OrderResult, event []byte) (before []byte, err error) {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("booking order %s: %w", o.GetOrderId(), err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	err = tx.QueryRowContext(ctx, `SELECT event FROM orders WHERE order_id = ?`, o.GetOrderId()).Scan(&before)
	if err == nil {
		return before, nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = insert(ctx, tx, o, event)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return nil, fmt.Errorf("booking order %s: %w", o.GetOrderId(), err)
	}
	return nil, nil
}

func insert(ctx context.Context, tx *sql.Tx, o *oteldemo.OrderResult, event []byte) error {
	cost, to := o.GetShippingCost(), o.GetShippingAddress()
	if cost == nil || to == nil || len(o.GetItems()) == 0 {
		return errors.New("shipping cost, address or items are missing")
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO orders (order_id, event) VALUES (?, ?)`, o.GetOrderId(), event); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO shipping (tracking_id, order_id, cost_currency, cost_units, cost_nanos, street_address, city, state, country, zip_code)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		o.GetShippingTrackingId(), o.GetOrderId(), cost.GetCurrencyCode(), cost.GetUnits(), cost.GetNanos(),
		to.GetStreetAddress(), to.GetCity(), to.GetState(), to.GetCountry(), to.GetZipCode()); err != nil {
		return err
	}
	for _, line := range o.GetItems() {
		item, cost := line.GetItem(), line.GetCost()
		if item == nil || cost == nil {
			return errors.New("an item or its cost is missing")
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO order_item (order_id, product_id, quantity, cost_currency, cost_units, cost_nanos) VALUES (?, ?, ?, ?, ?, ?)`,
			o.GetOrderId(), item.GetProductId(), item.GetQuantity(), cost.GetCurrencyCode(), cost.GetUnits(), cost.GetNanos()); err != nil {
			return err
		}
	}
	return nil
}

// Booked is how many orders are in the database.
func (a *Accounting) Booked(ctx context.Context) (n int, err error) {
	if err := a.db.QueryRowContext(ctx, `SELECT count(*) FROM orders`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the orders in the database: %w", err)
	}
	return n, nil
}

// Entry looks an order up. Its error is sql.ErrNoRows when the order is not there.
func (a *Accounting) Entry(ctx context.Context, orderID string) (Entry, error) {
	cost := new(oteldemo.Money)
	entry := Entry{OrderID: orderID, Shipping: cost}
	row := a.db.QueryRowContext(ctx, `
		SELECT tracking_id, cost_currency, cost_units, cost_nanos FROM shipping WHERE order_id = ?`, orderID)
	if err := row.Scan(&entry.TrackingID, &cost.CurrencyCode, &cost.Units, &cost.Nanos); err != nil {
		return Entry{}, fmt.Errorf("looking up order %s: %w", orderID, err)
	}
	var err error
	if entry.Items, err = a.items(ctx, orderID); err != nil {
		return Entry{}, fmt.Errorf("looking up the items of order %s: %w", orderID, err)
	}
	return entry, nil
}

func (a *Accounting) items(ctx context.Context, orderID string) ([]*oteldemo.OrderItem, error) {
	rows, err := a.db.QueryContext(ctx, `
		SELECT product_id, quantity, cost_currency, cost_units, cost_nanos FROM order_item WHERE order_id = ? ORDER BY rowid`, orderID)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err tells
	var items []*oteldemo.OrderItem
	for rows.Next() {
		line := &oteldemo.OrderItem{Item: new(oteldemo.CartItem), Cost: new(oteldemo.Money)}
		if err := rows.Scan(&line.Item.ProductId, &line.Item.Quantity, &line.Cost.CurrencyCode, &line.Cost.Units, &line.Cost.Nanos); err != nil {
			return nil, err
		}
		items = append(items, line)
	}
	return items, rows.Err()
}
