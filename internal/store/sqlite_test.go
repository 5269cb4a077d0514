package store_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"checkout/internal/store"
	"checkout/internal/store/storetest"
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
