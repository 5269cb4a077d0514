//go:build unix

package pgtest

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"checkout/internal/test/nettest"
)

// PgBouncer is a real PgBouncer before a server.
type PgBouncer struct {
	URL string // of the database through it

	command func() *exec.Cmd
	process *exec.Cmd
}

// PgBouncer runs a real PgBouncer before the server until the test ends. It pools by mode, "transaction" or "session", and has
// that many connections to each database. Where PgBouncer is not installed the test is skipped or, with
// CHECKOUT_TEST_POSTGRES=required, it fails.
func (s *Server) PgBouncer(t testing.TB, database, mode string, connections int) *PgBouncer {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		missing(t, errors.New("PgBouncer is not installed: pgbouncer is neither in the path nor in /usr/sbin"))
	}
	addr := nettest.Reserve(t)
	host, port, _ := net.SplitHostPort(addr)
	serverHost, serverPort, _ := net.SplitHostPort(s.addr)
	config := filepath.Join(s.folder, "pgbouncer"+port+".ini")
	text := fmt.Sprintf(`
[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = %d
`, serverHost, serverPort, superuser, s.password, host, port, mode, connections)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), s.give(config)); err != nil {
		t.Fatal(err)
	}
	b := &PgBouncer{URL: strings.Replace(database, s.addr, addr, 1), command: func() *exec.Cmd {
		c := s.command(context.WithoutCancel(t.Context()), program, config)
		c.Path = program
		return c
	}}
	t.Cleanup(b.kill)
	b.start(t)
	return b
}

// Restart kills PgBouncer, which cuts off its clients, and starts it again.
func (b *PgBouncer) Restart(t testing.TB) {
	t.Helper()
	b.kill()
	b.start(t)
}

func (b *PgBouncer) start(t testing.TB) {
	t.Helper()
	b.process = b.command()
	if err := b.process.Start(); err != nil {
		t.Fatal(err)
	}
	if err := answers(t.Context(), b.URL); err != nil {
		t.Fatalf("start PgBouncer: %v", err)
	}
}

func (b *PgBouncer) kill() {
	_ = b.process.Process.Kill() // it may have ended
	_ = b.process.Wait()
}

// pooler is a pooler of transactions in miniature, and the worst there can be: each of its clients has two connections to
// the server, and every transaction is carried out on the other one than the transaction before.
type pooler struct{ server string }

// Pooler runs a pooler before the server until the test ends. It returns the URL under which it serves the database.
func (s *Server) Pooler(t testing.TB, database string) string {
	t.Helper()
	s.trust(t)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	p := pooler{s.addr}
	u.Host, u.User = nettest.Serve(t, func(client net.Conn) { p.serve(t.Context(), client) }), url.User(trusted)
	return u.String()
}

// trust makes the account that needs no password, unless there is one.
func (s *Server) trust(t testing.TB) {
	t.Helper()
	db, err := sql.Open("postgres", s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE ROLE "+trusted+" LOGIN SUPERUSER")
	if err != nil && pq.As(err, pqerror.DuplicateObject) == nil {
		t.Fatal(err)
	}
}

// serve passes on what a client asks and the servers answer.
func (p pooler) serve(ctx context.Context, client net.Conn) {
	hello := make([]byte, 4)
	if _, err := io.ReadFull(client, hello); err != nil {
		return
	}
	hello = append(hello, make([]byte, binary.BigEndian.Uint32(hello)-4)...)
	if _, err := io.ReadFull(client, hello[4:]); err != nil {
		return
	}
	var servers [2]net.Conn
	for i := range servers {
		server, err := new(net.Dialer).DialContext(ctx, "tcp", p.server)
		if err != nil {
			return
		}
		defer server.Close()
		servers[i] = server
	}
	for i, server := range servers {
		// The client logs in to both, and sees the answer of one: the server asks it for nothing.
		if _, err := server.Write(hello); err != nil {
			return
		}
		to := io.Discard
		if i == 0 {
			to = client
		}
		if _, err := pass(server, to, "Z"); err != nil {
			return
		}
	}
	for turn := 0; ; {
		last, err := pass(client, servers[turn], "QSX")
		if err != nil || last[0] == 'X' {
			return
		}
		ready, err := pass(servers[turn], client, "Z")
		if err != nil {
			return
		}
		if ready[5] == 'I' { // not within a transaction
			turn = 1 - turn
		}
	}
}

// pass copies messages of PostgreSQL's protocol up to one of the types in last, which it returns.
func pass(from io.Reader, to io.Writer, last string) ([]byte, error) {
	for {
		message := make([]byte, 5)
		if _, err := io.ReadFull(from, message); err != nil {
			return nil, err
		}
		message = append(message, make([]byte, binary.BigEndian.Uint32(message[1:])-4)...)
		if _, err := io.ReadFull(from, message[5:]); err != nil {
			return nil, err
		}
		if _, err := to.Write(message); err != nil {
			return nil, err
		}
		if slices.Contains([]byte(last), message[0]) {
			return message, nil
		}
	}
}
