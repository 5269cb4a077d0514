package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
	"checkout/internal/test/pgtest"
)

func TestSQLiteInMemoryIsAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func() (storetest.Store, error) { return store.OpenMemory() })
}

func TestSQLiteInAFileIsAStore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var files atomic.Int64
	storetest.Run(t, func() (storetest.Store, error) {
		return store.Open(filepath.Join(folder, fmt.Sprint(files.Add(1))))
	})
}

// record is a store with all that operators ask of it.
type record interface {
	storetest.Store
	Hold(ctx context.Context) (int, error)
	Erase(ctx context.Context, userID string) (int, []order.ID, error)
	Index(ctx context.Context) error
	Backlog(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error
	WriteAudit(ctx context.Context, id string, of order.ID, body []byte) error
	Audit(ctx context.Context, q lookup.AuditQuery) ([]lookup.AuditRecord, error)
	PurgeAudit(ctx context.Context, before time.Time) error
}

// everywhere runs a test with an empty record of each database.
func everywhere(t *testing.T, test func(t *testing.T, s record)) {
	t.Helper()
	for name, open := range map[string]func(*testing.T) record{
		"SQLite":     func(t *testing.T) record { return memory(t) },
		"PostgreSQL": func(t *testing.T) record { return postgres(t, pgtest.Start(t).Fresh(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// memory is a store in memory that is closed at the end of the test.
func memory(t *testing.T) *store.SQLite {
	t.Helper()
	s, err := store.OpenMemory()
	return closing(t, s, err)
}

// file is a store in a file that is closed at the end of the test.
func file(t *testing.T, path string) *store.SQLite {
	t.Helper()
	s, err := store.Open(path)
	return closing(t, s, err)
}

func closing(t *testing.T, s *store.SQLite, err error) *store.SQLite {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
