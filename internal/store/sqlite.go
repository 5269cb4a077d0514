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
	"sync"

	"modernc.org/sqlite"

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
