package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"checkout/internal/order"
	"checkout/internal/wait"
)

const (
	// poolSize is how many statements are under way at most. More would only wait in the database.
	poolSize = 8
	// patience is how long a call takes at most, whatever its context allows; connectPatience is how long it takes to
	// connect.
	patience        = 10 * time.Second
	connectPatience = 2 * time.Second
	// startPatience bounds the look at the schema, and stepPatience its making, which may read all orders.
	startPatience = 30 * time.Second
	stepPatience  = time.Hour
	// idleTime is how long an idle connection is kept, and lifeTime how long any is: then a new one follows the
	// database's name to where it lives now.
	idleTime = 5 * time.Minute
	lifeTime = 30 * time.Minute
	// silence is how long a call has to wait in vain before new orders are refused at once, for as long as refusal; then
	// the next one tries. Every answer ends that.
	silence = 500 * time.Millisecond
	refusal = time.Second
	// tryAgain is how long to wait before a statement is tried for the third time; before the second there is no wait.
	tryAgain = 50 * time.Millisecond
)

var errSilent = fmt.Errorf("%w: no new orders since the database does not answer", order.ErrUnsent)

// Postgres is the record of orders in a database of PostgreSQL, or of another that speaks its protocol and knows FOR
// UPDATE SKIP LOCKED, such as CockroachDB and YugabyteDB. Any number of processes may share it, at the same time. It is
// safe for concurrent use.
type Postgres struct {
	orders
	statements
	db       *sql.DB
	patience time.Duration
	silent   atomic.Pointer[time.Time] // since when the database has not answered; nil: it has
}

// OpenPostgres opens the database that url names, as in postgres://user:password@host:5432/name?sslmode=verify-full, and
// makes the tables in it if need be. The parameters are those of libpq, and so are the variables of the environment and
// the password file that are consulted for what url leaves open. Without sslmode the connection is encrypted, and who is
// at its other end is not verified: sslmode=require. Of several hosts, host:5432,host2:5432, the first that takes writes
// is used (target_session_attrs=read-write). Certificates are read again when their files have changed; failed is called when
// that is not possible, and those before stay. The errors never repeat the password.
func OpenPostgres(ctx context.Context, url string, failed ...func(error)) (*Postgres, error) {
	config, err := postgresConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	encryption, err := encrypt(&config, func(err error) {
		for _, call := range failed {
			call(err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db := sql.OpenDB(connector{config, encryption})
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	db.SetConnMaxIdleTime(idleTime)
	db.SetConnMaxLifetime(lifeTime)
	p := &Postgres{statements: statements{db}, db: db, patience: patience}
	err = p.migrate(ctx)
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	var secret []byte
	if err == nil {
		secret, err = readSecret(ctx, p)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store %s on %s: %w", config.Database, addresses(config), err), db.Close())
	}
	p.orders = orders{p.do, secret}
	return p, nil
}

// IsAbsent reports whether a database could not be opened because none takes connections at its address, perhaps not yet.
func IsAbsent(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || pq.As(err, pqerror.TooManyConnections, pqerror.CannotConnectNow) != nil
}

// Ready is nil when the database can be reached and takes writes.
func (p *Postgres) Ready(ctx context.Context) error {
	return p.do(ctx, other, func(ctx context.Context, _ session) error { // also while new orders are refused
		var readOnly string
		err := p.db.QueryRowContext(ctx, "SELECT current_setting('transaction_read_only')").Scan(&readOnly)
		if err == nil && readOnly != "off" {
			err = fmt.Errorf("%w: no new orders: %w", order.ErrUnsent, errReadOnly)
		}
		return err
	})
}

// Close closes the connections. Calls that are under way finish. To close it again does nothing.
func (p *Postgres) Close() error { return p.db.Close() }

// do has work done, again if the database asks for that.
func (p *Postgres) do(ctx context.Context, k kind, work func(context.Context, session) error) (err error) {
	if since := p.silent.Load(); k == opening && since != nil && time.Since(*since) < refusal {
		return errSilent
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	start := time.Now()
	const tries = 3
	for sent, try := false, 1; ; try++ {
		if err = p.connected(ctx, k); err == nil {
			sent, err = true, work(ctx, p)
		} else if !sent {
			err = fmt.Errorf("%w: %w", order.ErrUnsent, err)
		}
		if !again(err) || try == tries || !wait.For(ctx, time.Duration(try-1)*tryAgain) {
			break
		}
	}
	switch now := time.Now(); {
	case err == nil || pq.As(err) != nil:
		p.silent.Store(nil)
	case ctx.Err() != nil && now.Sub(start) >= silence:
		p.silent.Store(&now)
	}
	return err
}

// connected ensures that there is a connection for a new order: without one, certainly nothing is recorded, and there is nothing
// to cancel later.
func (p *Postgres) connected(ctx context.Context, k kind) error {
	if k != opening {
		return nil
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// again reports whether a statement may well succeed when it is repeated at once: its connection was lost, the database has
// undone it for the sake of another's, or had no connection to spare.
func again(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || pq.As(err, pqerror.TRSerializationFailure, pqerror.TRDeadlockDetected,
		pqerror.TooManyConnections, pqerror.CannotConnectNow) != nil
}

// statements is a session: a database and a transaction carry statements out alike.
type statements struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

// exec implements session.
func (s statements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// rows implements session.
func (s statements) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.on.QueryContext(ctx, query, args...)
}

// atomically implements session.
func (s statements) atomically(ctx context.Context, work func(session) error) error {
	db, ok := s.on.(*sql.DB)
	if !ok { // it is a transaction
		return work(s)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(statements{tx}); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// migrate takes the schema to the version that this program knows. Replicas that do so at the same time wait for each
// other at the one row that holds the version.
func (p *Postgres) migrate(ctx context.Context) error {
	steps := postgresSchema()
	version, err := p.makeVersion(ctx)
	switch {
	case err != nil:
		return err
	case version > len(steps):
		return tooNew(version, len(steps))
	}
	ctx, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	for ; version < len(steps); version++ {
		step := fmt.Sprintf("UPDATE orders_schema SET version = version;\n%s;\nUPDATE orders_schema SET version = %d WHERE version < %[2]d",
			steps[version], version+1)
		if _, err := p.exec(ctx, step); err != nil {
			if version == 0 && pq.As(err, pqerror.UndefinedColumn) != nil {
				err = fmt.Errorf("there is another program's table orders; use a database of its own: %w", err)
			}
			return fmt.Errorf("bring the schema to version %d: %w", version+1, err)
		}
	}
	return nil
}

// makeVersion returns the version of the schema: 0 where there was none.
func (p *Postgres) makeVersion(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	const makeVersion = `
		CREATE TABLE IF NOT EXISTS orders_schema (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL);
		INSERT INTO orders_schema VALUES (1, 0) ON CONFLICT DO NOTHING`
	version, err := p.version(ctx)
	for tries := 5; pq.As(err, pqerror.UndefinedTable) != nil && tries > 0; tries-- {
		// Of two processes that create the table at the same moment one may fail.
		if _, failure := p.exec(ctx, makeVersion); failure != nil && tries == 1 {
			return 0, fmt.Errorf("make the schema: %w", failure)
		}
		version, err = p.version(ctx)
	}
	return version, err
}

func (p *Postgres) version(ctx context.Context) (version int, err error) {
	err = p.db.QueryRowContext(ctx, "SELECT version FROM orders_schema").Scan(&version)
	return version, err
}
