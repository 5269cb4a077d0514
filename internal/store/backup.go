package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"
)

// Why there is no backup.
var (
	// ErrNoBackup: this kind of record is not copied by itself.
	ErrNoBackup = errors.New("only a record in a file of SQLite can be backed up; for PostgreSQL use pg_dump, and after its restore `checkout record hold`")
	// ErrBackupRuns: one backup at a time.
	ErrBackupRuns = errors.New("another backup is being made")
)

// backupStep is how many pages are copied at a time, so that no order waits long for it.
const backupStep = 64

// Backup is a copy of a record.
type Backup struct {
	*os.File // to be read; it is in no folder any more, and gone when it is closed
	Size     int64
	Held     int // orders that require an operator because they were not finished
}

// Backup makes a copy of the record as it is at one moment, and needs as much room beside it. Orders go on meanwhile. In the
// copy the orders that are not finished require an operator (Hold): who restores it cannot know what became of them.
func (s *SQLite) Backup(ctx context.Context) (b *Backup, err error) {
	switch {
	case s.path == "":
		return nil, ErrNoBackup
	case !s.copying.TryLock():
		return nil, ErrBackupRuns
	}
	defer s.copying.Unlock()
	path := s.path + ".backup"
	defer func() {
		for _, file := range []string{path, path + "-wal"} { // also what a process has left that was killed
			if gone := os.Remove(file); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
		if err != nil {
			b, err = nil, fmt.Errorf("back up the record: %w", err)
		}
	}()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := s.copyTo(ctx, path); err != nil {
		return nil, err
	}
	return held(ctx, path)
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

// held opens the copy at path, which is to be removed, with its unfinished orders held.
func held(ctx context.Context, path string) (_ *Backup, err error) {
	s, err := Open(path)
	if err != nil {
		return nil, err
	}
	n, err := s.Hold(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Backup{f, info.Size(), n}, nil
}

// Backup is for SQLite.
func (p *Postgres) Backup(context.Context) (*Backup, error) { return nil, ErrNoBackup }
