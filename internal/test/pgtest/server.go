//go:build unix

package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"checkout/internal/test/nettest"
	"checkout/internal/wait"
)

// superuser is the name of the one who may do anything in the server, and of the operating system's user that runs it when
// we are root, which PostgreSQL refuses to be run by.
const superuser = "postgres"

// trusted is who needs no password, and does not exist until a test makes it.
const trusted = "trusted"

// Server is a server of PostgreSQL with its data in a folder. Its methods must not be called concurrently, but for URL and
// Fresh.
type Server struct {
	folder    string       // holds data, the log and the socket
	programs  string       // the folder of initdb and postgres
	addr      string       // of the loopback interface
	release   func() error // gives the port back, which is reserved while the server is down
	password  string
	account   *syscall.Credential // who runs the server; nil: we do
	process   *exec.Cmd           // nil: it does not run
	databases atomic.Int64        // made by Fresh
}

// Run makes a server in a temporary folder, and starts it. The server ends with this process at the latest, where the system
// allows to arrange that. It writes to the disk like any other: what it has committed survives Kill. Remove it.
func Run(ctx context.Context) (*Server, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	account, err := Account()
	if err != nil {
		return nil, err
	}
	s := &Server{programs: bin, password: rand.Text(), account: account}
	if err := s.open(ctx, s.create); err != nil {
		return nil, err
	}
	return s, nil
}

// open gives the server a folder and an address, has its data made, and starts it. On an error nothing is left. The folder is
// none of a test's: the path of that may be too long for a socket, and closed to the server's user.
func (s *Server) open(ctx context.Context, create func(context.Context) error) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Remove())
		}
	}()
	if s.folder, err = os.MkdirTemp("", "pgtest"); err != nil {
		return err
	}
	if err := s.give(s.folder); err != nil {
		return err
	}
	if s.addr, s.release, err = nettest.Hold(ctx); err != nil {
		return err
	}
	if err := create(ctx); err != nil {
		return fmt.Errorf("make a database cluster in %s: %w", s.folder, err)
	}
	return s.Start(ctx)
}

// Remove ends the server and removes its data.
func (s *Server) Remove() error {
	err := s.Kill()
	if s.release != nil {
		err = errors.Join(err, s.release())
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// give makes a file or a folder the server's.
func (s *Server) give(path string) error {
	if s.account == nil {
		return nil
	}
	return os.Chown(path, int(s.account.Uid), int(s.account.Gid))
}

// Programs is the folder of the newest PostgreSQL that is installed.
func Programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the others may have no link of their own
		return filepath.Dir(path), err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed: initdb is neither in the path nor in /usr/lib/postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// Account is the account to run the server with, if it cannot be ours.
func Account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("root cannot run PostgreSQL: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) create(ctx context.Context) error {
	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.give(secret); err != nil {
		return err
	}
	initdb := s.command(ctx, "initdb", "--pgdata="+s.data(), "--username="+superuser, "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	rules := filepath.Join(s.data(), "pg_hba.conf")
	text, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	text = append([]byte("host all "+trusted+" 127.0.0.1/32 trust\n"), text...)
	return errors.Join(os.WriteFile(rules, text, 0o600), os.Remove(secret))
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.programs, program), args...) //nolint:gosec // a program of PostgreSQL
	c.Dir = s.folder
	c.Env = []string{"LC_ALL=C", "PATH=" + s.programs}
	c.SysProcAttr = attributes(s.account)
	return c
}

// URL is that of the superuser's database.
func (s *Server) URL() string { return s.url(superuser) }

func (s *Server) url(database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     s.addr,
		Path:     "/" + database,
		RawQuery: "sslmode=disable&connect_timeout=30", // seconds: on a busy machine the handshake may take a while
	}).String()
}

// Start starts the server after Stop or Kill, at the same address and with the same data, and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return err
	}
	s.process = s.command(context.WithoutCancel(ctx), "postgres", "-D", s.data(), "-p", port, "-k", s.folder,
		"-c", "listen_addresses="+host, "-c", "max_connections=400", "-c", "shared_buffers=32MB")
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	if err := answers(ctx, s.URL()); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("start PostgreSQL: %w\n%s", err, text), s.Kill())
	}
	return nil
}

// answers waits until the database that url names can be used.
func answers(ctx context.Context, url string) error {
	db, err := sql.Open("postgres", url)
	if err != nil {
		return err
	}
	defer db.Close()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// PID is the id of the server's main process.
func (s *Server) PID() int { return s.process.Process.Pid }

// Stop ends the server in good order, and waits for it. Its clients are cut off.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a crash would, in the middle of what it does, and waits for it.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(how syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(how); err != nil {
		return err
	}
	_ = s.process.Wait() // it says how it was ended
	s.process = nil
	return nil
}

// Pause stops the server's processes where they are, as an overloaded or half-dead machine would: it can be connected to,
// and does not answer. Resume lets them go on.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	main := s.process.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", main))
	if err != nil {
		return err
	}
	errs := []error{syscall.Kill(main, sig)} // first, so that there will be no more of them
	for child := range strings.FieldsSeq(string(children)) {
		pid, err := strconv.Atoi(child)
		if err == nil {
			err = syscall.Kill(pid, sig)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Configure writes files into the server's data, and adds lines to its configuration and to the rules of who may connect,
// before the others. The next Reload makes them count.
func (s *Server) Configure(files map[string][]byte, config, rules string) error {
	for _, change := range []struct{ name, before, after string }{{"postgresql.conf", "", config}, {"pg_hba.conf", rules, ""}} {
		text, err := os.ReadFile(filepath.Join(s.data(), change.name))
		if err != nil {
			return err
		}
		if err := s.write(change.name, []byte(change.before+string(text)+change.after)); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := s.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) write(name string, content []byte) error {
	path := filepath.Join(s.data(), name)
	return errors.Join(os.WriteFile(path, content, 0o600), s.give(path))
}

// Reload has the server read its configuration again, and waits until it has.
func (s *Server) Reload(ctx context.Context) error {
	db, err := sql.Open("postgres", s.URL())
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxIdleConns(0) // a session learns of it later than a new one
	loaded := func() (at time.Time, err error) {
		err = db.QueryRowContext(ctx, "SELECT pg_conf_load_time()").Scan(&at)
		return at, err
	}
	before, err := loaded()
	if err != nil {
		return err
	}
	if err := s.process.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	for {
		if now, err := loaded(); err != nil || now.After(before) {
			return err
		}
		if !wait.For(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}
