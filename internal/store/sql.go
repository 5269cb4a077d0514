package store

// The statements, in the SQL that SQLite and PostgreSQL have in common. Each touches the rows of one table, finds them
// by its key or by an index on due, and takes the time as a parameter: when a row is due is for the database's clock to
// say, and SQLite's clock is the one of its process.
const (
	// columns are those of a record, in the order of its fields.
	columns = `id, state, epoch, due, user_id, delivered, attempts, created, changed, body`

	// unshipped and undelivered are the states in the lanes of order.State.Lane, and final those of Final. The terms stand
	// here word for word as in the indexes, or these would not be used.
	unshipped   = `state IN (1, 2)`
	undelivered = `state = 3`
	final       = `state IN (4, 5, 8, 9)`

	// insertOrder changes no row when there is one of that id.
	insertOrder = `
		INSERT INTO orders (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO NOTHING`

	// updateOrder is the compare-and-set: it changes no row of another state or epoch.
	updateOrder = `
		UPDATE orders SET state = $1, due = $2, delivered = $3, attempts = $4, changed = $5, body = $6
		WHERE id = $7 AND epoch = $8 AND state = $9`

	selectOrder = `SELECT ` + columns + ` FROM orders WHERE id = $1`

	// A claim asks twice whether a row is due, for databases that look at it again after they have waited for its lock.
	claimUnshipped   = claim + unshipped + claimed
	claimUndelivered = claim + undelivered + claimed

	claim = `
		UPDATE orders SET epoch = epoch + 1, due = $1
		WHERE due <= $2 AND id IN (
			SELECT id FROM orders WHERE `
	claimed = ` AND due <= $2 ORDER BY due LIMIT $3)
		RETURNING ` + columns

	deleteOrders = `
		DELETE FROM orders WHERE id IN (
			SELECT id FROM orders WHERE ` + final + ` AND due <= $1 ORDER BY due LIMIT $2)`

	// A release makes due what an owner that is gone has held.
	releaseUnshipped   = `UPDATE orders SET due = $1 WHERE ` + unshipped + ` AND due > $1`
	releaseUndelivered = `UPDATE orders SET due = $1 WHERE ` + undelivered + ` AND due > $1`
)

// schemaVersion is what this program reads and writes; a database carries its own in PRAGMA user_version.
const schemaVersion = 1

// schema makes an empty database one of schemaVersion. All times are Unix milliseconds. WITHOUT ROWID, because the id
// is the only way to a row and grows with time, so that there is one tree to write and its end is where writes go.
const schema = `
	BEGIN IMMEDIATE;
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
	CREATE INDEX orders_unshipped ON orders (due) WHERE ` + unshipped + `;
	CREATE INDEX orders_undelivered ON orders (due) WHERE ` + undelivered + `;
	CREATE INDEX orders_final ON orders (due) WHERE ` + final + `;
	PRAGMA user_version = 1;
	COMMIT`
