package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"

	"checkout/internal/order"
)

var errNoBackup = fmt.Errorf("%w: only a record in a file of SQLite is copied; for PostgreSQL use pg_dump and, after its restore, checkout record hold", order.ErrRefused)

const (
	// backupStep is how many pages are copied at a time, so that no order waits long for it.
	backupStep = 64
	// backupSuffix is that of the copy's name, until it is complete.
	backupSuffix = ".backup"
)

// Backup makes a copy of the record as it is at one moment, and needs as much room beside it. Orders go on meanwhile. In the
// copy, held orders require an operator: all that are not finished (Hold). The file is in no folder any more, and gone
// when it is closed. There is one backup at a time. The error is order.ErrRefused when the record is not in a file.
func (s *SQLite) Backup(ctx context.Context) (file *os.File, held int, err error) {
	if s.path == "" {
		return nil, 0, errNoBackup
	}
	path := s.path + backupSuffix
	defer func() {
		if err = errors.Join(err, removeBackup(s.path)); err != nil {
			_ = file.Close() // nothing was written
			file, err = nil, fmt.Errorf("back up the record: %w", err)
		}
	}()
	if err := s.copyTo(ctx, path); err != nil {
		return nil, 0, err
	}
	c, err := Open(path)
	if err != nil {
		return nil, 0, err
	}
	held, err = c.Hold(ctx)
	if err := errors.Join(err, c.Close()); err != nil {
		return nil, 0, err
	}
	file, err = os.Open(path)
	return file, held, err
}

// removeBackup removes the copy of the record in the file of that path, if there is one.
func removeBackup(path string) (err error) {
	for _, name := range []string{path + backupSuffix, path + backupSuffix + "-wal"} {
		if gone := os.Remove(name); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// copyTo copies the database to a new file, a part at a time. What this connection writes meanwhile, SQLite writes to both.
func (s *SQLite) copyTo(ctx context.Context, path string) (err error) {
	if err := createFile(path); err != nil {
		return err
	}
	to := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=cache_size(-256)&_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)"}
	var copying *sqlite.Backup
	step := func(ctx context.Context, work func() error) error {
		return s.owner.interpose(ctx, func(*conn) error { return work() })
	}
	err = s.owner.interpose(context.WithoutCancel(ctx), func(c *conn) error {
		return c.sql.Raw(func(driver any) (err error) {
			from, ok := driver.(interface {
				NewBackup(to string) (*sqlite.Backup, error)
			})
			if !ok {
				return fmt.Errorf("the driver %T cannot copy", driver)
			}
			copying, err = from.NewBackup(to.String())
			return err
		})
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, step(context.WithoutCancel(ctx), copying.Finish)) }()
	for more := true; more && err == nil; {
		if err = ctx.Err(); err == nil {
			err = step(context.WithoutCancel(ctx), func() (err error) { more, err = copying.Step(backupStep); return err })
		}
	}
	return err
}

// Backup is for SQLite.
func (p *Postgres) Backup(context.Context) (*os.File, int, error) { return nil, 0, errNoBackup }
