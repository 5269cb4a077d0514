package serve

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/store"
)

// parse is the configuration of a service whose record is db, set by the environment and by a flag.
func parse(t *testing.T, db string) (fromEnv, fromFlag Config, errs [2]error) {
	t.Helper()
	environ := map[string]string{
		"CHECKOUT_PORT": "0", "CART_ADDR": "a:1", "PRODUCT_CATALOG_ADDR": "a:1", "CURRENCY_ADDR": "a:1", "PAYMENT_ADDR": "a:1",
		"SHIPPING_ADDR": "a:1", "EMAIL_ADDR": "a:1",
	}
	var out bytes.Buffer
	getenv := func(name string) string { return environ[name] }
	fromFlag, errs[0] = ParseConfig([]string{"-db", db}, getenv)
	environ["CHECKOUT_DB"] = db
	fromEnv, errs[1] = ParseConfig(nil, getenv)
	if out.Len() > 0 {
		t.Errorf("CHECKOUT_DB=%s: it printed %s", db, &out)
	}
	return fromEnv, fromFlag, errs
}

func TestThePlaceOfTheRecordIsUnderstood(t *testing.T) {
	t.Parallel()
	const url = "postgres://u:p@h:5432/db?sslmode=disable"
	for db, want := range map[string]string{
		"":                             "",
		"memory":                       "memory",
		"Memory":                       "memory",
		":memory:":                     "memory",
		"/var/lib/checkout/orders.db":  "/var/lib/checkout/orders.db",
		"orders.db":                    "orders.db",
		"./orders:1.db":                "./orders:1.db",
		"a folder/50% of a=b? #1.db":   "a folder/50% of a=b? #1.db",
		url:                            url,
		`"` + url + `"`:                url,
		"'" + url + "'":                url,
		" \t" + url + " \r\n":          url,
		`" ` + url + ` "`:              url,
		"Postgres" + url[8:]:           url,
		"postgresql" + url[8:]:         url,
		"POSTGRESQL" + url[8:]:         url,
		"sqlite://orders.db":           "orders.db",
		"sqlite:orders.db":             "orders.db",
		"sqlite3:///var/orders.db":     "/var/orders.db",
		"SQLite:////var/orders.db":     "/var/orders.db",
		"sqlite::memory:":              "memory",
		"sqlite://:memory:":            "memory",
		"file:orders.db":               "orders.db",
		"file:///var/lib/orders.db":    "/var/lib/orders.db",
		`"file:/var/lib/x/orders.db"`:  "/var/lib/x/orders.db",
		"postgres://h1:1,h2:2,h3/name": "postgres://h1:1,h2:2,h3/name",
	} {
		fromEnv, fromFlag, errs := parse(t, db)
		if fromEnv.DB != want || fromFlag.DB != want || errs != [2]error{} {
			t.Errorf("CHECKOUT_DB=%s is %q, %q, %v, want %q", db, fromEnv.DB, fromFlag.DB, errs, want)
		}
	}
}

func TestAPlaceOfTheRecordThatIsNotUnderstoodIsRefusedWithTheRemedy(t *testing.T) {
	t.Parallel()
	const remedy = "; use a file path, postgres://user:password@host:5432/name, or memory"
	for db, want := range map[string]string{
		"jdbc:postgresql://u:hunter2@h/db":           `CHECKOUT_DB="jdbc:postgresql:…": unsupported scheme "jdbc:postgresql"` + remedy,
		"jdbc://u:hunter2@h/db":                      `CHECKOUT_DB="jdbc:…": unsupported scheme "jdbc"` + remedy,
		"mysql://u:hunter2@h/db":                     `CHECKOUT_DB="mysql:…": unsupported scheme "mysql"` + remedy,
		"postgresql+psycopg://u:hunter2@h/db":        `CHECKOUT_DB="postgresql+psycopg:…": unsupported scheme "postgresql+psycopg"` + remedy,
		"cockroachdb://u:hunter2@h/db":               `unsupported scheme "cockroachdb"` + remedy,
		"db.example.com:5432/hunter2":                `unsupported scheme "db.example.com"` + remedy,
		"10.0.0.1:5432/hunter2":                      `unsupported scheme "10.0.0.1"` + remedy,
		"postgres:u:hunter2@h/db":                    `CHECKOUT_DB="postgres:…": not a URL of PostgreSQL; write postgres://user:password@host:5432/name`,
		"host=db user=checkout password=hunter2":     `CHECKOUT_DB="…": neither a path nor a URL; write postgres://user:password@host:5432/name`,
		"sqlite:":                                    "no path follows the scheme",
		"sqlite:orders.db?_auth&_auth_pass=hunter2":  "parameters follow the path; use a file path",
		"'mssql://server;Password=hunter2;user=sa' ": `unsupported scheme "mssql"` + remedy,
	} {
		_, _, errs := parse(t, db)
		for _, err := range errs {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("CHECKOUT_DB=%s: %v, want it to say %s", db, err, want)
			}
		}
	}
}

func TestADatabaseMayStartLater(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("open the store: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	wrong := errors.New("password authentication failed")
	for name, test := range map[string]struct {
		fails time.Duration
		then  error
		takes time.Duration
	}{
		"at once":          {takes: 0},
		"after 40 s":       {fails: 40 * time.Second, takes: 40 * time.Second},
		"never":            {fails: time.Hour, then: refused, takes: startTime},
		"wrong password":   {then: wrong, takes: 0},
		"wrong, and later": {fails: 5 * time.Second, then: wrong, takes: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var log bytes.Buffer
				_, err := patiently(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), func() (*store.Postgres, error) {
					if time.Since(began) < test.fails {
						return nil, refused
					}
					return new(store.Postgres), test.then
				})
				if took := time.Since(began); !errors.Is(err, test.then) || took != test.takes {
					t.Errorf("after %v: %v; want %v after %v", took, err, test.then, test.takes)
				}
				if lines := strings.Count(log.String(), "waiting for the database"); lines != min(1, int(test.fails)) {
					t.Errorf("%d lines in the log, want one if it waits: %s", lines, &log)
				}
			})
		})
	}
}
