package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkout/internal/order"
	"checkout/internal/store/storetest"
)

func TestARecordThatWasDeletedOrReplacedTakesNoNewOrders(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		harm, heal func(path string) // nil: cannot be
		says       string
	}{
		"file deleted": {func(path string) { must(os.Remove(path)) }, nil, "orders.db was deleted"},
		"log deleted":  {func(path string) { must(os.Remove(path + "-wal")) }, nil, "orders.db-wal was deleted"},
		"file replaced": {func(path string) {
			must(os.Rename(path, path+".old"))
			must(os.WriteFile(path, nil, 0o600))
		}, func(path string) { must(os.Rename(path+".old", path)) }, "orders.db was replaced"},
		"folder moved": {func(path string) {
			must(os.Rename(filepath.Dir(path), filepath.Dir(path)+".old"))
		}, func(path string) {
			must(os.Rename(filepath.Dir(path)+".old", filepath.Dir(path)))
		}, "was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "var", "orders.db")
			s := file(t, path)
			before := storetest.Order("before")
			must(enter(t.Context(), s, before))
			must(s.Ready(t.Context()))

			test.harm(path)
			ready, opened := s.Ready(t.Context()), enter(t.Context(), s, storetest.Order("after"))
			for what, err := range map[string]error{"Ready": ready, "Open": opened} {
				if !errors.Is(err, order.ErrUnsent) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "docs/operations.md") {
					t.Errorf("%s = %v, want %v that says %q and the remedy", what, err, order.ErrUnsent, test.says)
				}
			}
			before.State = order.Charged
			must(s.Save(t.Context(), before, order.Charging, time.Hour)) // what has begun goes on

			if test.heal != nil {
				test.heal(path)
				must(s.Ready(t.Context()))
				must(enter(t.Context(), s, storetest.Order("after")))
			}
		})
	}
}

func TestARecordBehindALinkIsFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "orders.db")
	if s := file(t, filepath.Join(folder, "data", "real.db")); s.Close() != nil {
		t.Fatal("cannot be closed")
	}
	if err := os.Symlink(filepath.Join("data", "real.db"), link); err != nil {
		t.Fatal(err)
	}
	if err := file(t, link).Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
}
