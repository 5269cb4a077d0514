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
