//go:build real

package real

import (
	"database/sql"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkout/internal/certs/certstest"
	"checkout/internal/test/pgtest"
	"checkout/internal/test/process"
)

func TestPostgreSQLIsKilledAndItsStandbyPromoted(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	primary := pgtest.StartOwn(t)
	database := primary.Fresh(t)
	standby := primary.Standby(t)
	both := host(t, standby) + "," + host(t, primary)
	alter(t, primary.URL(), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	address := strings.Replace(database, host(t, primary), both, 1) + "&target_session_attrs=read-write"
	s := openShop(t, k, address, 2)
	stop := s.customers(t)
	time.Sleep(3 * time.Second)
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	standby.Promote(t)
	time.Sleep(4 * time.Second)
	stop()
	s.audit(t, k.events)
}

func host(t testing.TB, s *pgtest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// alter has a server of PostgreSQL carry out statements.
func alter(t testing.TB, address string, statements ...string) {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPgBouncerIsRestarted(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	for mode, connections := range map[string]int{"transaction": 4, "session": 20} { // two replicas with eight each
		t.Run(mode, func(t *testing.T) {
			server := pgtest.StartOwn(t)
			bouncer := server.PgBouncer(t, server.Fresh(t), mode, connections)
			s := openShop(t, k, bouncer.URL, 2)
			stop := s.customers(t)
			for range 3 {
				s.more(t, 2*rate)
				bouncer.Restart(t)
			}
			s.more(t, 2*rate)
			stop()
			s.audit(t, k.events)
		})
	}
}

func TestPostgreSQLVerifiesTheServiceAndIsVerified(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	server := pgtest.StartOwn(t)
	database, err := url.Parse(server.Fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	folder := secured(t, server)
	_, port, _ := net.SplitHostPort(database.Host)
	address := func(ca, cert string) string {
		at := url.URL{Scheme: "postgres", User: url.User(certificateName), Host: "localhost:" + port, Path: database.Path}
		at.RawQuery = fmt.Sprintf("sslmode=verify-full&sslrootcert=%s&sslcert=%s&sslkey=%s",
			filepath.Join(folder, ca), filepath.Join(folder, cert), filepath.Join(folder, cert+"-key"))
		return at.String()
	}
	s := openShop(t, k, address("ca", "client"), 2)
	s.orders(t, 2*rate)
	s.audit(t, k.events)
	for name, c := range map[string]struct{ ca, cert, problem string }{
		"the server's authority is another":  {"other-ca", "client", "certificate signed by unknown authority"},
		"the service's authority is another": {"ca", "other-client", "unknown certificate authority"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := maps.Clone(s.environ)
			environ["CHECKOUT_DB"] = address(c.ca, c.cert)
			refused, err := process.Serve(t.Context(), executable(t), environ, "")
			if err == nil {
				t.Error("the service serves", refused.Close())
			} else if !strings.Contains(err.Error(), c.problem) {
				t.Errorf("the service does not report %q: %v", c.problem, err)
			}
		})
	}
}

// certificateName is the name in certificates of certstest, which PostgreSQL takes for the user.
const certificateName = "test"

// secured has the server accept that user only over TLS, with a certificate. The folder has the files.
func secured(t *testing.T, server *pgtest.Server) (folder string) {
	t.Helper()
	account, err := pgtest.Account()
	if err != nil {
		t.Fatal(err)
	}
	folder = folderOf(t, account)
	file := func(name string) string { return filepath.Join(folder, name) }
	authority, other := certstest.New(t), certstest.New(t)
	authority.Write(file("ca"))
	authority.Issue(file("server"), file("server-key"))
	authority.Issue(file("client"), file("client-key"))
	other.Write(file("other-ca"))
	other.Issue(file("other-client"), file("other-client-key"))
	rules := "hostssl all " + certificateName + " 127.0.0.1/32 cert\nhost all postgres 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(file("rules"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if account != nil {
		for _, path := range []string{file("ca"), file("server"), file("server-key"), file("rules")} {
			if err := os.Chown(path, int(account.Uid), int(account.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	alter(t, server.URL(), "ALTER SYSTEM SET ssl = on",
		"ALTER SYSTEM SET ssl_ca_file = '"+file("ca")+"'",
		"ALTER SYSTEM SET ssl_cert_file = '"+file("server")+"'",
		"ALTER SYSTEM SET ssl_key_file = '"+file("server-key")+"'",
		"ALTER SYSTEM SET hba_file = '"+file("rules")+"'",
		"CREATE ROLE "+certificateName+" LOGIN SUPERUSER")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return folder
}
