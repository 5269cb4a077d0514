//go:build unix

// Package pgtest runs a real server of PostgreSQL, for tests, from the programs that are installed on this machine.
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"
)

// Start is the server that all tests of this process share. It runs until the last test that has asked for it ends. When
// PostgreSQL is not installed the test is skipped or, with CHECKOUT_TEST_POSTGRES=required in the environment, it fails.
func Start(t testing.TB) *Server {
	t.Helper()
	if _, err := Programs(); err != nil {
		missing(t, err)
	}
	s, err := shared.acquire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.release(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// missing ends a test that needs a program that is not installed.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CHECKOUT_TEST_POSTGRES") == "required" { //nolint:forbidigo // tests have no main that could read it
		t.Fatal(err)
	}
	t.Skip(err)
}

// StartOwn is a server that the test has to itself, and may stop, pause and kill.
func StartOwn(t testing.TB) *Server {
	t.Helper()
	Start(t) // or skip
	return owned(t, run)
}

// owned is a server that the test has to itself, until it ends.
func owned(t testing.TB, open func(context.Context) (*Server, error)) *Server {
	t.Helper()
	s, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Standby is a server that follows this one, which the test has to itself. Promote makes it take writes.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	return owned(t, func(ctx context.Context) (*Server, error) {
		standby := &Server{programs: s.programs, password: s.password, account: s.account}
		return standby, standby.open(ctx, func(ctx context.Context) error {
			copied := s.command(ctx, "pg_basebackup", "--dbname="+s.URL(), "--pgdata="+standby.data(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
			if out, err := copied.CombinedOutput(); err != nil {
				return fmt.Errorf("pg_basebackup: %w: %s", err, out)
			}
			return nil
		})
	})
}

// Promote makes a standby take writes, and waits until it does.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	db, err := sql.Open("postgres", s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
}

// Fresh makes an empty database and returns its URL.
func (s *Server) Fresh(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	db, err := sql.Open("postgres", s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create the database %s: %v", name, err)
	}
	return s.url(name)
}

// shared is the one server, and how many tests use it.
var shared server //nolint:gochecknoglobals // to start a server takes longer than most tests

type server struct {
	mu    sync.Mutex
	users int
	*Server
}

func (s *server) acquire() (_ *Server, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		if s.Server, err = run(context.Background()); err != nil {
			return nil, err
		}
	}
	s.users++
	return s.Server, nil
}

func (s *server) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	return s.Remove()
}

// run is Run with a limit.
func run(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return Run(ctx)
}
