//go:build unix

package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
	"checkout/internal/test/pgtest"
)

// postgres is a store that is closed at the end of the test.
func postgres(t testing.TB, url string) *store.Postgres {
	t.Helper()
	s, err := store.OpenPatiently(t.Context(), url)
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

// execute carries out a statement beside the store.
func execute(t testing.TB, url, statement string) {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// atOnce does something so many times at a time, and wants all to succeed.
func atOnce(t *testing.T, times int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, times)
	for i := range times {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func TestPostgreSQLIsAStore(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	storetest.Run(t, func() (storetest.Store, error) {
		return store.OpenPatiently(t.Context(), server.Fresh(t))
	})
}

func TestReplicasShareOneRecord(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	storetest.OneOrder(t, postgres(t, url), postgres(t, url))
}

func TestReplicasMayStartAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	atOnce(t, 8, func(i int) error {
		s, err := store.OpenPostgres(t.Context(), url)
		if err != nil {
			return err
		}
		return errors.Join(enter(t.Context(), s, storetest.Order(name(i))), s.Close())
	})
}

func TestADatabaseThatIsReadyNeedsNoRightToMakeTables(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	owner := server.Fresh(t)
	postgres(t, owner)
	parsed, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	clerk := "clerk_of_" + strings.Trim(parsed.Path, "/") // accounts are the whole server's
	execute(t, owner, strings.ReplaceAll(`
		CREATE ROLE clerk LOGIN PASSWORD 'pencil';
		GRANT SELECT ON orders_schema TO clerk;
		GRANT SELECT, UPDATE ON orders_secret TO clerk;
		GRANT SELECT, INSERT, UPDATE, DELETE ON orders, orders_audit TO clerk`, "clerk", clerk))
	parsed.User = url.UserPassword(clerk, "pencil")
	s := postgres(t, parsed.String())
	if err := live(t.Context(), s, storetest.Order("1"), func(*order.Order) {}); err != nil {
		t.Error(err)
	}
}

func TestADatabaseOfALaterReleaseIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	postgres(t, url)
	execute(t, url, "UPDATE orders_schema SET version = 9")
	if s, err := store.OpenPostgres(t.Context(), url); err == nil || !strings.Contains(err.Error(), "has version 9") {
		t.Errorf("OpenPostgres = %v, %v", s, err)
	}
}

func TestAReadOnlyDatabaseIsNotReady(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	s := postgres(t, url)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	if s := postgres(t, url+"&default_transaction_read_only=on"); s.Ready(t.Context()) == nil {
		t.Error("Ready of a database that takes no writes = nil")
	}
}

func TestNoErrorTellsThePassword(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	const secret = "s3cr3t"
	address := strings.SplitAfter(server.URL(), "@")[1]
	for _, url := range []string{
		"postgres://postgres:" + secret + "@" + address,                           // it is wrong
		"postgres://postgres:" + secret + "@127.0.0.1:1/postgres?sslmode=disable", // nobody is there
		"postgres://127.0.0.1:1/postgres?sslmode=disable&password=" + secret,      // nor here
		"postgres://postgres:" + secret + "@127.0.0.1:99999/postgres",             // no port
		"postgres://postgres:" + secret + "@127.0.0.1/postgres?sslmode=none",      // no mode
		"postgres://postgres:%" + secret + "@" + address,                          // no URL
		"postgres://postgres:" + secret + "/@" + address,                          // looks like a port
	} {
		s, err := store.OpenPostgres(t.Context(), url)
		if err == nil {
			t.Errorf("OpenPostgres = %v, nil", s)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestConnectionsThatWereCutAreReplaced(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.Fresh(t)
	s := postgres(t, url)
	for round := range 3 {
		atOnce(t, 32, func(i int) error {
			return live(t.Context(), s, storetest.Order(name(100*round+i)), func(*order.Order) {})
		})
		execute(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'checkout' AND datname = current_database()")
	}
}

// worksThroughout places orders, some at a time, and wants each of them to come through all its states.
func worksThroughout(t *testing.T, s *store.Postgres) {
	t.Helper()
	atOnce(t, 60, func(i int) error {
		return live(t.Context(), s, storetest.Order(name(i)), func(*order.Order) {})
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	claimed, err := s.Claim(t.Context(), order.DeliveryQueue, 10, time.Hour)
	if err != nil {
		t.Errorf("Claim = %v, %v", claimed, err)
	}
}

func TestAPoolerMayCarryOutEachTransactionOnAnotherConnection(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	worksThroughout(t, postgres(t, server.Pooler(t, server.Fresh(t))))
}

func TestItWorksBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for mode, connections := range map[string]int{"transaction": 2, "session": 50} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t)
			url := server.PgBouncer(t, server.Fresh(t), mode, connections).URL
			atOnce(t, 2, func(int) error { // replicas that start at a time
				s, err := store.OpenPostgres(t.Context(), url)
				if err != nil {
					return err
				}
				return s.Close()
			})
			worksThroughout(t, postgres(t, url))
		})
	}
}

func TestConnectionsThatTheDatabaseEndsWhileTheyAreIdleAreReplaced(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	s := postgres(t, url+"&idle_session_timeout=500")
	for round := range 3 {
		atOnce(t, 16, func(i int) error {
			return live(t.Context(), s, storetest.Order(name(100*round+i)), func(*order.Order) {})
		})
		for busy := 1; busy > 0; { // until the database has ended them all (57P05)
			busy = count(t, url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'checkout' AND datname = current_database()")
		}
	}
}

// count is the number that a query returns, which is carried out beside the store.
func count(t *testing.T, url, query string) (n int) {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func BenchmarkOrderPostgres(b *testing.B) {
	server := pgtest.Start(b)
	for _, customers := range []int{1, 64} {
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			serve(b, postgres(b, server.Fresh(b)), customers)
		})
	}
}

func TestOneReplicaIndexesOrdersAndTheOthersDoNotWaitForIt(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	s := postgres(t, url)
	put(t, s, storetest.Order(storetest.IDAt(storetest.Order("1").Created)))
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	indexed := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "SELECT count(user_hash) FROM orders").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	another, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := another.ExecContext(t.Context(), "SELECT indexed FROM orders_secret FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if err := s.Index(t.Context()); err != nil || indexed() != 0 {
		t.Errorf("while another replica is at it: %v, %d orders indexed, want none", err, indexed())
	}
	if err := another.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Index(t.Context()); err != nil || indexed() != 1 {
		t.Errorf("when it has given up: %v, %d orders indexed, want 1", err, indexed())
	}
}
