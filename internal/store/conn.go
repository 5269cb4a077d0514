package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// conn is the connection, and its statements as they have been prepared. One goroutine at a time may use it.
//
// Its calls have no deadline: to interrupt SQLite in the middle of a write makes nothing better, so it is the callers
// who stop waiting.
type conn struct {
	sql        *sql.Conn
	statements map[string]*sql.Stmt
}

func newConn(db *sql.DB) (*conn, error) {
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{sql: c, statements: make(map[string]*sql.Stmt)}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, statement := range c.statements {
		errs = append(errs, statement.Close())
	}
	return errors.Join(append(errs, c.sql.Close())...)
}

// prepare sets the connection up, finds or makes the schema, and releases what an earlier process has held.
func (c *conn) prepare(journal string) error {
	if err := c.writable(); err != nil {
		return err
	}
	if err := c.set(
		"busy_timeout = 1000",      // milliseconds: for a predecessor that is just ending
		"locking_mode = EXCLUSIVE", // before anything is read: then there is no memory shared with others either
	); err != nil {
		return err
	}
	if err := c.ours(); err != nil {
		return err
	}
	if err := c.set(
		"auto_vacuum = INCREMENTAL", // of a new file: it can shrink
		"journal_mode = "+journal,   // what is committed is appended to one file
		"synchronous = FULL",        // and on the disk when COMMIT returns
		"fullfsync = ON",            // on macOS too
		"wal_autocheckpoint = 200",  // pages; a small log is a small cache of the kernel's
		"cache_size = -256",         // KiB
		"temp_store = MEMORY",       // the file system around may be read-only
		"secure_delete = ON",        // what is deleted is overwritten: no page of it is written that would not be anyhow
		"trusted_schema = OFF",
	); err != nil {
		return err
	}
	if err := c.migrate(); err != nil {
		return err
	}
	if err := c.probe(); err != nil {
		return err
	}
	for _, release := range []string{releaseShipping, releaseDelivery} {
		if _, err := c.exec(context.Background(), release); err != nil {
			return fmt.Errorf("release orders: %w", err)
		}
	}
	return nil
}

func (c *conn) set(pragmas ...string) error {
	for _, pragma := range pragmas {
		if _, err := c.sql.ExecContext(context.Background(), "PRAGMA "+pragma); err != nil {
			return fmt.Errorf("set %s: %w", pragma, err)
		}
	}
	return nil
}

// ours refuses a database of another program, before anything in it is changed. Ours is empty, or has our table of orders.
func (c *conn) ours() error {
	const isOurs = `SELECT 2 = (SELECT count(*) FROM pragma_table_info('orders') WHERE name IN ('epoch', 'body')) OR
		0 = (SELECT count(*) FROM sqlite_schema) + (SELECT user_version FROM pragma_user_version) + (SELECT application_id FROM pragma_application_id)`
	var is bool
	if err := c.sql.QueryRowContext(context.Background(), isOurs).Scan(&is); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if !is {
		return errors.New("it is another program's database, and was left as it is; name a file that does not exist yet")
	}
	return nil
}

// writable asks SQLite whether it had to open the file for reading only, which it does without a word.
func (c *conn) writable() error {
	return c.sql.Raw(func(driver any) error {
		file, ok := driver.(interface {
			IsReadOnly(schema string) (bool, error)
		})
		if !ok {
			return fmt.Errorf("the driver %T does not tell what it has opened", driver)
		}
		readOnly, err := file.IsReadOnly("main")
		if err == nil && readOnly {
			err = errReadOnly
		}
		return err
	})
}

// migrate takes the schema from the version that it has to the one that this program knows, step by step.
func (c *conn) migrate() error {
	var version int
	if err := c.sql.QueryRowContext(context.Background(), "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	steps := sqliteSchema()
	if version > len(steps) {
		return tooNew(version, len(steps))
	}
	for existed := version > 0; version < len(steps); version++ {
		if existed && steps[version] == sqliteOverwritten {
			if err := c.overwrite(); err != nil {
				return fmt.Errorf("overwrite what was deleted: %w", err)
			}
		}
		step := fmt.Sprintf("BEGIN IMMEDIATE;\n%s;\nPRAGMA user_version = %d;\nCOMMIT", steps[version], version+1)
		if _, err := c.sql.ExecContext(context.Background(), step); err != nil {
			return fmt.Errorf("bring the schema to version %d: %w", version+1, err)
		}
	}
	return nil
}

// probe is nil when the database takes writes. It moves what is in the log to where it belongs, which also makes room
// and rids the log of what a failed write has left there, and then writes to the log.
func (c *conn) probe() error {
	if err := c.run("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := c.run(fmt.Sprintf("PRAGMA user_version = %d", len(sqliteSchema()))); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// overwrite fills the free pages of a file that an earlier release has written, which left there what it deleted. A table
// takes them up, a few at a time so that the log stays small, and gives them back as they are.
func (c *conn) overwrite() error {
	ctx := context.Background()
	const pages = 200
	if _, err := c.sql.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS overwritten (zeros BLOB NOT NULL)"); err != nil {
		return err
	}
	for {
		var free, size int
		err := c.sql.QueryRowContext(ctx, "SELECT freelist_count, page_size FROM pragma_freelist_count, pragma_page_size").Scan(&free, &size)
		if err != nil {
			return err
		}
		if free == 0 {
			break
		}
		if _, err := c.sql.ExecContext(ctx, "INSERT INTO overwritten VALUES (zeroblob($1))", min(free, pages)*size); err != nil {
			return err
		}
	}
	_, err := c.sql.ExecContext(ctx, "PRAGMA secure_delete = OFF; DROP TABLE overwritten; PRAGMA secure_delete = ON")
	return err
}

// tidy makes nothing remain of what was deleted: the file gives back a part of its free pages, and the log, which has
// deleted orders as they were before, is moved into the file and emptied.
func (c *conn) tidy() error {
	if err := c.run(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", tidyPages)); err != nil {
		return fmt.Errorf("shrink the file: %w", err)
	}
	if err := c.run("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// tidyPages is how many pages are given back at a time, so that no order waits long for it.
const tidyPages = 500

// run carries out a statement without parameters.
func (c *conn) run(query string) error {
	statement, err := c.statement(query, 0) //nolint:sqlclosecheck // kept until close
	if err == nil {
		_, err = statement.ExecContext(context.Background())
	}
	return err
}

// exec implements session.
func (c *conn) exec(_ context.Context, query string, args ...any) (int64, error) {
	statement, err := c.statement(query, len(args)) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return 0, err
	}
	result, err := statement.ExecContext(context.Background(), clocked(args)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// atomically implements session: the owner does all work in transactions.
func (c *conn) atomically(_ context.Context, work func(session) error) error { return work(c) }

// rows implements session.
func (c *conn) rows(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := c.statement(query, len(args)) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return nil, err
	}
	return statement.QueryContext(context.Background(), clocked(args)...)
}

// clocked are args, and the time as @now and @late.
func clocked(args []any) []any {
	now := time.Now()
	return slices.Concat(args, []any{now.UnixMilli(), now.Add(time.Millisecond - 1).UnixMilli()})
}

// statement is that of query, which has so many parameters, and after them the time.
func (c *conn) statement(query string, parameters int) (*sql.Stmt, error) {
	if statement, ok := c.statements[query]; ok {
		return statement, nil
	}
	text := strings.NewReplacer(
		"@now", fmt.Sprintf("$%d", parameters+1),
		"@late", fmt.Sprintf("$%d", parameters+2),
	).Replace(query)
	statement, err := c.sql.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	c.statements[query] = statement
	return statement, nil
}

// code is SQLite's primary result code, or 0 when err is not of SQLite.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// failed reports whether err is about the database rather than about the request that met it.
func failed(err error) bool {
	switch code(err) {
	case 0, codes.SQLITE_CONSTRAINT, codes.SQLITE_TOOBIG, codes.SQLITE_MISMATCH, codes.SQLITE_RANGE:
		return false
	}
	return true
}

// damaged reports whether err says that the file is not what SQLite has written.
func damaged(err error) bool {
	return code(err) == codes.SQLITE_CORRUPT || code(err) == codes.SQLITE_NOTADB
}

// explain says in plain words why the database could not be opened.
func explain(err error) error {
	switch code(err) {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return fmt.Errorf("it is in use by another process: %w", err)
	case codes.SQLITE_NOTADB:
		return fmt.Errorf("it is not a database of SQLite: %w", err)
	case codes.SQLITE_CORRUPT:
		return fmt.Errorf("it is damaged: %w", err)
	}
	return err
}
