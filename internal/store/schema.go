package store

import "fmt"

// A schema is a list of steps: a database of version n has been through the first n of them. Steps that have been
// released are never changed. All times are Unix milliseconds.

// sqliteSchema is the schema of SQLite.
func sqliteSchema() []string {
	return []string{sqliteOrders, sqliteLatest, sqliteConditions, sqliteOverwritten, sqliteSearch, byState}
}

// sqliteOrders: WITHOUT ROWID, because the id is the only way to a row and grows with time, so that there is one tree to
// write and its end is where writes go.
const sqliteOrders = `
	CREATE TABLE orders (
		id        TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
		state     INTEGER NOT NULL, -- order.State
		epoch     INTEGER NOT NULL, -- fencing token, raised by every take-over
		due       INTEGER NOT NULL, -- when somebody else may take the order; once it is final, when the row may be deleted
		user_id   TEXT    NOT NULL,
		delivered INTEGER NOT NULL, -- order.Delivery
		attempts  INTEGER NOT NULL, -- failed tries since the last change of state
		created   INTEGER NOT NULL,
		changed   INTEGER NOT NULL, -- when the order came into its state
		body      BLOB    NOT NULL  -- checkout.record.v1.Order
	) STRICT, WITHOUT ROWID;
	CREATE INDEX orders_unshipped ON orders (due) WHERE state IN (1, 2);
	CREATE INDEX orders_undelivered ON orders (due) WHERE state = 3;
	CREATE INDEX orders_final ON orders (due) WHERE state IN (4, 5, 8, 9)`

// sqliteLatest: keys, and one latest order a user. What was in doubt or to be refunded waited for a person, and parked did
// too, though nothing said so.
const sqliteLatest = `
	ALTER TABLE orders ADD COLUMN key TEXT;        -- order.Order.Key; NULL: none
	ALTER TABLE orders ADD COLUMN latest_of TEXT;  -- the user whose latest order this is; NULL: there is a later one
	ALTER TABLE orders ADD COLUMN settled INTEGER; -- when it was first saved as settled; NULL: it is not
	UPDATE orders SET latest_of = user_id WHERE id IN (
		SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY created DESC, id DESC) AS age FROM orders)
		WHERE age = 1);
	UPDATE orders SET settled = changed WHERE state IN (4, 5, 8, 9) OR delivered & 1 = 1;
	UPDATE orders SET due = ` + atRest + ` WHERE state IN (6, 7, 10);
	DROP INDEX orders_unshipped;
	CREATE INDEX orders_unshipped ON orders (due) WHERE state IN (1, 2, 6, 7);
	CREATE INDEX orders_parked ON orders (due) WHERE state = 10;
	CREATE INDEX orders_unplaced ON orders (id) WHERE state IN (5, 8, 9);
	CREATE UNIQUE INDEX orders_latest ON orders (latest_of) WHERE latest_of IS NOT NULL;
	CREATE UNIQUE INDEX orders_key ON orders (user_id, key) WHERE key IS NOT NULL`

// sqliteConditions: conditions without lists, and an index of all orders that require an operator.
const sqliteConditions = `
	DROP INDEX orders_unshipped;
	DROP INDEX orders_undelivered;
	DROP INDEX orders_parked;
	DROP INDEX orders_unplaced;
	DROP INDEX orders_final;
	CREATE INDEX orders_shipping ON orders (due) WHERE ` + shipping + `;
	CREATE INDEX orders_delivery ON orders (due) WHERE ` + delivery + `;
	CREATE INDEX orders_attention ON orders (due) WHERE ` + attention + `;
	CREATE INDEX orders_unplaced ON orders (id) WHERE ` + unplaced + `;
	CREATE INDEX orders_final ON orders (due) WHERE ` + final

// sqliteOverwritten changes nothing: a file of this version has no free pages that hold what was deleted (conn.overwrite).
const sqliteOverwritten = `-- no change`

// sqliteSearch: what orders are found by (search.go), and what operators have done (audit.go). The indexes are partial, so that making them costs nothing.
const sqliteSearch = `
	CREATE TABLE orders_secret (
		id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
		secret  BLOB    NOT NULL,
		indexed TEXT    NOT NULL -- the id up to which orders have their hashes
	) STRICT;
	CREATE TABLE orders_audit (
		id       TEXT NOT NULL PRIMARY KEY, -- a UUID that begins with the time
		order_id TEXT NOT NULL,
		body     BLOB NOT NULL -- checkout.v1.AuditEntry
	) STRICT, WITHOUT ROWID;
	ALTER TABLE orders ADD COLUMN user_hash INTEGER; -- NULL: not yet indexed
	ALTER TABLE orders ADD COLUMN email_hash INTEGER;
	ALTER TABLE orders ADD COLUMN transaction_hash INTEGER;
	ALTER TABLE orders ADD COLUMN tracking_hash INTEGER;` + searchIndexes

const searchIndexes = `
	CREATE INDEX IF NOT EXISTS orders_user ON orders (user_hash, id) WHERE user_hash IS NOT NULL;
	CREATE INDEX IF NOT EXISTS orders_email ON orders (email_hash, id) WHERE email_hash IS NOT NULL;
	CREATE INDEX IF NOT EXISTS orders_transaction ON orders (transaction_hash, id) WHERE transaction_hash IS NOT NULL;
	CREATE INDEX IF NOT EXISTS orders_tracking ON orders (tracking_hash, id) WHERE tracking_hash IS NOT NULL`

// byState: a list of the refunded orders must not look at all that were declined, nor an order's audit log at all entries.
const byState = `
	DROP INDEX IF EXISTS orders_unplaced;
	CREATE INDEX IF NOT EXISTS orders_unplaced_state ON orders (state, id) WHERE ` + unplaced + `;
	CREATE INDEX IF NOT EXISTS orders_audit_order ON orders_audit (order_id, id)`

// postgresSchema is the schema of PostgreSQL. As its steps are carried out by whichever replica comes first, and there is
// no lock that all databases of this kind know, doing one twice must do no harm.
func postgresSchema() []string {
	return []string{postgresOrders, postgresAttention, postgresSearch, byState}
}

// postgresOrders: ids are ordered alike by all collations, because they are UUIDs.
const postgresOrders = `
	CREATE TABLE IF NOT EXISTS orders (
		id        TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
		state     INTEGER NOT NULL, -- order.State
		epoch     BIGINT  NOT NULL, -- fencing token, raised by every take-over
		due       BIGINT  NOT NULL, -- when somebody else may take the order; once it is final, when the row may be deleted
		user_id   TEXT    NOT NULL,
		key       TEXT,             -- order.Order.Key; NULL: none
		latest_of TEXT,             -- the user whose latest order this is; NULL: there is a later one
		settled   BIGINT,           -- when it was first saved as settled; NULL: it is not
		delivered INTEGER NOT NULL, -- order.Delivery
		attempts  INTEGER NOT NULL, -- failed tries since the last change of state
		created   BIGINT  NOT NULL,
		changed   BIGINT  NOT NULL, -- when the order came into its state
		body      BYTEA   NOT NULL  -- checkout.record.v1.Order
	);
	CREATE INDEX IF NOT EXISTS orders_unshipped ON orders (due) WHERE state IN (1, 2, 6, 7);
	CREATE INDEX IF NOT EXISTS orders_undelivered ON orders (due) WHERE state = 3;
	CREATE INDEX IF NOT EXISTS orders_parked ON orders (due) WHERE state = 10;
	CREATE INDEX IF NOT EXISTS orders_unplaced ON orders (id) WHERE state IN (5, 8, 9);
	CREATE INDEX IF NOT EXISTS orders_final ON orders (due) WHERE state IN (4, 5, 8, 9);
	CREATE UNIQUE INDEX IF NOT EXISTS orders_latest ON orders (latest_of) WHERE latest_of IS NOT NULL;
	CREATE UNIQUE INDEX IF NOT EXISTS orders_key ON orders (user_id, key) WHERE key IS NOT NULL`

// postgresAttention: an index of all orders that require an operator.
const postgresAttention = `
	CREATE INDEX IF NOT EXISTS orders_attention ON orders (due) WHERE ` + attention + `;
	DROP INDEX IF EXISTS orders_parked`

// postgresSearch: what orders are found by (search.go), and what operators have done (audit.go).
const postgresSearch = `
	CREATE TABLE IF NOT EXISTS orders_secret (
		id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
		secret  BYTEA   NOT NULL,
		indexed TEXT    NOT NULL -- the id up to which orders have their hashes
	);
	CREATE TABLE IF NOT EXISTS orders_audit (
		id       TEXT  NOT NULL PRIMARY KEY, -- a UUID that begins with the time
		order_id TEXT  NOT NULL,
		body     BYTEA NOT NULL -- checkout.v1.AuditEntry
	);
	ALTER TABLE orders ADD COLUMN IF NOT EXISTS user_hash BIGINT;
	ALTER TABLE orders ADD COLUMN IF NOT EXISTS email_hash BIGINT;
	ALTER TABLE orders ADD COLUMN IF NOT EXISTS transaction_hash BIGINT;
	ALTER TABLE orders ADD COLUMN IF NOT EXISTS tracking_hash BIGINT;` + searchIndexes

// tooNew says that a later release has used the database.
func tooNew(version, known int) error {
	return fmt.Errorf("its schema has version %d, and this program knows none above %d; use a later release, or restore the backup from before the upgrade", version, known)
}
