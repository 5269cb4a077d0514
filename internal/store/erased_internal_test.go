package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkout/internal/order"
	"checkout/internal/store/storetest"
)

// person is an e-mail address that is nobody else's.
func person(i int) order.EmailAddress {
	return order.EmailAddress(fmt.Sprintf("person-%d@mail.example", i))
}

// traces are the addresses that the files of a record hold anywhere in their bytes.
func traces(t *testing.T, path string) (found int) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found += bytes.Count(content, []byte("@mail.example"))
	}
	return found
}

// recordPeople records orders of people, of every size, through all states, and lets those be purged that keep is not true for.
func recordPeople(t *testing.T, s *SQLite, people int, keep func(i int) bool) {
	t.Helper()
	for i := range people {
		o := storetest.Order(order.ID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i)))
		o.Email, o.Key = person(i), fmt.Sprint("key ", i)
		o.UserID = fmt.Sprint("user ", i)
		for range i % 60 { // beyond what one page takes
			o.Items = append(o.Items, o.Items[0])
		}
		if conflict, err := s.Open(t.Context(), order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now()}); conflict != nil || err != nil {
			t.Fatal(conflict, err)
		}
		for _, to := range []order.State{order.Charged, order.Placed, order.Completed} {
			from, hold := o.State, time.Hour
			if to == order.Completed && !keep(i) {
				hold = -time.Minute
			}
			o.State = to
			o.Reason += strings.Repeat("later ", i%7)
			if err := s.Save(t.Context(), o, from, hold); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func purgeAll(t *testing.T, s interface {
	Purge(context.Context, int) (int, error)
},
) {
	t.Helper()
	for {
		n, err := s.Purge(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func openAt(t testing.TB, path string) *SQLite {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// carryOut carries out statements beside those of the store.
func carryOut(t *testing.T, s *SQLite, statements string) {
	t.Helper()
	if err := s.owner.interpose(t.Context(), func(c *conn) error {
		_, err := c.sql.ExecContext(context.Background(), statements)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestNothingOfAPurgedOrderRemainsInTheFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s := openAt(t, path)
	recordPeople(t, s, 1000, func(i int) bool { return i%100 == 0 })
	if traces(t, path) < 1000 {
		t.Fatal("the addresses are not even found before the purge: this test would find nothing")
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	purgeAll(t, s)
	if found := traces(t, path); found != 10 {
		t.Errorf("%d addresses are in the files, want those of the 10 orders that are kept", found)
	}
	if after, err := os.Stat(path); err != nil || after.Size() > before.Size()/2 {
		t.Errorf("the file has %d bytes, %v, and had %d: it has not become smaller", after.Size(), err, before.Size())
	}
	for i := range 10 {
		if _, err := s.Get(t.Context(), order.ID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", 100*i))); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingOfAnErasedUserRemainsInTheFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s := openAt(t, path)
	const people = 200
	recordPeople(t, s, people, func(int) bool { return true })
	for _, i := range []int{7, 59, 199} { // of a few lines, and of many
		if erased, kept, err := s.Erase(t.Context(), fmt.Sprint("user ", i)); erased != 1 || len(kept) > 0 || err != nil {
			t.Errorf("Erase = %d, %v, %v, want 1", erased, kept, err)
		}
	}
	if found := traces(t, path); found != people-3 {
		t.Errorf("%d addresses are in the files, want %d", found, people-3)
	}
}

func TestWhatAnEarlierReleaseHasDeletedIsOverwritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s := openAt(t, path)
	carryOut(t, s, "PRAGMA secure_delete = FAST")
	recordPeople(t, s, 1000, func(i int) bool { return i%100 == 0 })
	purgeAll(t, s.orders) // as the earlier release did
	carryOut(t, s, `
		DROP INDEX orders_user; DROP INDEX orders_email; DROP INDEX orders_transaction; DROP INDEX orders_tracking;
		ALTER TABLE orders DROP COLUMN user_hash; ALTER TABLE orders DROP COLUMN email_hash;
		ALTER TABLE orders DROP COLUMN transaction_hash; ALTER TABLE orders DROP COLUMN tracking_hash;
		DROP TABLE orders_secret; DROP TABLE orders_audit;
		PRAGMA user_version = 3`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if before := traces(t, path); before < 100 {
		t.Fatalf("%d addresses remain of an earlier release: this test would find nothing", before)
	}
	s = openAt(t, path)
	if found := traces(t, path); found != 10 {
		t.Errorf("%d addresses are in the files, want those of the 10 orders that are kept", found)
	}
	var tables int
	err := s.do(t.Context(), other, func(context.Context, session) error {
		return s.owner.conn.sql.QueryRowContext(context.Background(), "SELECT count(*) FROM sqlite_schema WHERE type = 'table'").Scan(&tables)
	})
	if tables != 3 || err != nil {
		t.Errorf("%d tables, %v, want orders, its secret and the audit log", tables, err)
	}
}
