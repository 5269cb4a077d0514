package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
)

func TestAFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "var", "a folder? of #100%")
	path := filepath.Join(folder, "orders.db")
	file(t, path)
	for path, want := range map[string]os.FileMode{
		folder:        0o700,
		path:          0o600,
		path + "-wal": 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestWhatCannotBeOpenedIsNamedWithTheReason(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := filepath.Join(folder, "newer.db")
	storeOfVersion(t, newer, 7)

	for path, reason := range map[string]string{
		folder: "is not a file",
		file("text.db", strings.Repeat("not a database\n", 100)): "it is not a database of SQLite",
		filepath.Join(file("file", ""), "orders.db"):             "not a directory",
		newer:                      "its schema has version 7, and this program knows none above 6",
		"/proc/checkout/orders.db": "/proc/checkout: ",
		file("torn.db", "SQLite format 3\x00"+strings.Repeat("x", 4096)): "it is",
	} {
		s, err := store.Open(path)
		if err == nil {
			t.Errorf("Open(%s) = nil", path)
			_ = s.Close()
			continue
		}
		for _, want := range []string{path, reason} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%s) says %q, want it to say %q", path, err, want)
			}
		}
	}
}

func TestAFileThatCannotBeWrittenToIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write to any file")
	}
	path := filepath.Join(t.TempDir(), "orders.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path); err == nil || !strings.Contains(err.Error(), "it cannot be written to") {
		t.Errorf("Open = %v", err)
	}
}

func TestOrdersThatAnEarlierProcessHeldAreDueAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	lanes := map[order.Queue]int{}
	for _, state := range order.States() {
		o := storetest.Order(order.ID(state.String()))
		o.State = state
		if err := enter(t.Context(), s, o); err != nil {
			t.Fatal(err)
		}
		lanes[state.Queue()]++
	}
	if claimed, err := s.Claim(t.Context(), order.ShippingQueue, 100, time.Hour); len(claimed) != 0 || err != nil {
		t.Fatalf("claimed %v, %v while the orders are held", claimed, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = file(t, path)
	for _, lane := range []order.Queue{order.ShippingQueue, order.DeliveryQueue} {
		if claimed, err := s.Claim(t.Context(), lane, 100, time.Hour); len(claimed) != lanes[lane] || err != nil {
			t.Errorf("claimed %v, %v of lane %d after a restart, want %d", claimed, err, lane, lanes[lane])
		}
	}
	if n, err := s.Purge(t.Context(), 100); n != 0 || err != nil {
		t.Errorf("purged %d, %v after a restart, want none", n, err)
	}
}

func TestAFileHasOneUserAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	first := file(t, path)
	if sqlite.OFDLockingEnabled() { // or reading would take the lock away
		if _, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := store.Open(path); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("Open of a file that is open here = %v", err)
		_ = s.Close()
	}

	out, err := child(t, "open", path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("another process opens the file: %v, %s", err, out)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := child(t, "open", path).CombinedOutput(); err != nil {
		t.Errorf("another process opens the file when it is free: %v, %s", err, out)
	}
}

// snapshot copies a database as it would be found after a crash at this moment.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "orders.db")
	for _, suffix := range []string{"", "-wal"} {
		from, err := os.Open(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Create(copied + suffix)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(to, from)
		if err := errors.Join(err, from.Close(), to.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

func TestATornLastWriteIsDroppedAndNothingElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s := file(t, path)
	if err := enter(t.Context(), s, storetest.Order("1")); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := enter(t.Context(), s, storetest.Order("2")); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for size := before.Size(); size <= after.Size(); size += 512 {
		crashed := snapshot(t, path)
		if err := os.Truncate(crashed+"-wal", size); err != nil {
			t.Fatal(err)
		}
		s := file(t, crashed)
		if _, err := s.Get(t.Context(), "1"); err != nil {
			t.Errorf("the log cut to %d of %d bytes: %v", size, after.Size(), err)
		}
		_, err := s.Get(t.Context(), "2")
		if whole := size == after.Size(); (err == nil) != whole || err != nil && !errors.Is(err, order.ErrNotFound) {
			t.Errorf("the log cut to %d of %d bytes: %v", size, after.Size(), err)
		}
	}
}
