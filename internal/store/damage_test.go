package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
)

func TestADatabaseThatIsDamagedInPlaceTakesNoMoreOrders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for i := range 2000 { // more than the cache holds
		if err := enter(t.Context(), s, storetest.Order(name(i))); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(info.Size())), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	for i := 2000; ; i++ {
		if err := enter(t.Context(), s, storetest.Order(name(i))); err != nil {
			break
		}
		if i == 4000 {
			t.Fatal("2000 orders were taken by a damaged database")
		}
	}
	time.Sleep(longerThanAProbe)
	if err := s.Ready(t.Context()); !errors.Is(err, order.ErrUnsent) {
		t.Errorf("the store is ready: %v, want that it takes no orders", err)
	}
}
