package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"checkout/internal/order"
)

var errReadOnly = errors.New("it cannot be written to")

// SQLite is the record of orders in a database of SQLite. It is safe for concurrent use.
type SQLite struct {
	orders
	owner *owner
	place place // nil: in memory
	close func() error
	path  string // empty: in memory
}

// Open opens the database in the file path, which it creates if need be, with its folder, readable by its owner alone:
// it holds addresses. No other process can open the file until Close, so orders that were held by an earlier process are due.
func Open(path string) (*SQLite, error) {
	s, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, explain(err))
	}
	return s, nil
}

// OpenMemory opens an empty database that is gone after Close.
func OpenMemory() (*SQLite, error) {
	s, err := connect(":memory:", "memory")
	if err != nil {
		return nil, fmt.Errorf("open a store in memory: %w", err)
	}
	return s, nil
}

// Ready is nil when new orders can be recorded, as far as is known. When the record was deleted or replaced, it has them
// refused until the next look.
func (s *SQLite) Ready(ctx context.Context) error {
	if s.place != nil {
		var lost *error
		if err := s.place.check(); err != nil {
			err = fmt.Errorf("%w: no new orders: %w", order.ErrUnsent, err)
			lost = &err
		}
		s.owner.lost.Store(lost)
	}
	return s.do(ctx, opening, func(context.Context, session) error { return nil })
}

// Purge deletes as the orders' Purge does, and leaves nothing of what it has deleted in the files.
func (s *SQLite) Purge(ctx context.Context, limit int) (int, error) {
	n, err := s.orders.Purge(ctx, limit)
	if n == 0 || err != nil {
		return n, err
	}
	return n, s.owner.interpose(ctx, (*conn).tidy)
}

// Erase deletes as the orders' Erase does, and leaves nothing of what it has deleted in the files.
func (s *SQLite) Erase(ctx context.Context, userID string) (erased int, open []order.ID, err error) {
	erased, open, err = s.orders.Erase(ctx, userID)
	if erased > 0 {
		err = errors.Join(err, s.owner.interpose(ctx, (*conn).tidy))
	}
	return erased, open, err
}

// Close waits for the write under way, fails the others and closes the database. To close it again does nothing.
func (s *SQLite) Close() error {
	defer s.place.close()
	return s.close()
}

func openFile(path string) (*SQLite, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := createFile(path); err != nil {
		return nil, err
	}
	if err := checkMount(path); err != nil {
		return nil, err
	}
	// POSIX takes a process's locks on a file away when it closes any descriptor of it, of whatever origin. Locks of the
	// open file description stay. Where there are none, the others have to do.
	_, _ = sqlite.OFDLocking(true)
	s, err := connect((&url.URL{Scheme: "file", Path: path}).String(), "wal")
	if err != nil {
		return nil, err
	}
	s.path = path
	if s.place, err = findPlace(path); err == nil {
		err = removeBackup(path) // of a process that was killed
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func createFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return f.Close()
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("is not a file")
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// connect opens the database that dsn names and makes it ready for use.
func connect(dsn, journal string) (*SQLite, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	c, err := newConn(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := c.prepare(journal); err != nil {
		return nil, errors.Join(err, c.close(), db.Close())
	}
	secret, err := readSecret(context.Background(), c)
	if err != nil {
		return nil, errors.Join(err, c.close(), db.Close())
	}
	o := own(c)
	return &SQLite{orders: orders{o.do, secret}, owner: o, close: sync.OnceValue(func() error {
		o.stop()
		return errors.Join(c.close(), db.Close())
	})}, nil
}

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

// failed tells whether err is about the database rather than about the request that met it.
func failed(err error) bool {
	switch code(err) {
	case 0, codes.SQLITE_CONSTRAINT, codes.SQLITE_TOOBIG, codes.SQLITE_MISMATCH, codes.SQLITE_RANGE:
		return false
	}
	return true
}

// damaged tells whether err says that the file is not what SQLite has written.
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
