//go:build unix

package child_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"checkout/internal/storefront/child"
)

// The test's executable is the child as well: role says what it does, address where it listens.
const (
	role    = "TEST_CHILD_ROLE"
	address = "TEST_CHILD_ADDRESS"
)

func TestMain(m *testing.M) {
	if os.Getenv(role) != "" {
		os.Exit(play())
	}
	goleak.VerifyTestMain(m)
}

// play is the child.
func play() int {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	if os.Getenv(role) == "sick" {
		fmt.Fprintln(os.Stderr, "no strength today")
		return 3
	}
	fmt.Println("hello from", os.Getpid()) // before it serves: who serves and is killed has said it
	_ = os.Remove(os.Getenv(address))      // who was killed has left it
	listener, err := net.Listen("unix", os.Getenv(address))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for <-asked; os.Getenv(role) == "stubborn"; <-asked {
	}
	_ = listener.Close()
	fmt.Println("farewell")
	return 0
}

// log is a writer for the child's words.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed by the next word, when somebody waits for it
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

// await waits for words: a pipe brings them, which may take longer than the connection that proves that the child serves.
func (l *log) await(t *testing.T, words string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		l.mu.Lock()
		if strings.Contains(l.text.String(), words) {
			l.mu.Unlock()
			return
		}
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		select {
		case <-more:
		case <-late:
			t.Fatalf("the log lacks %q: %s", words, l)
		}
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// options are those of a child in a role, with a socket of its own: a free port may be somebody else's before it listens.
func options(t *testing.T, as string, out *log) child.Options {
	t.Helper()
	at := filepath.Join(t.TempDir(), "socket")
	return child.Options{
		Path: os.Args[0],
		Env:  append(os.Environ(), role+"="+as, address+"="+at),
		Log:  out,
		Probe: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", at)
			if err != nil {
				return err
			}
			return conn.Close()
		},
		Grace: 30 * time.Second,
	}
}

func start(t *testing.T, o child.Options) *child.Child {
	t.Helper()
	c, err := child.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // a test that cares has closed it before
	return c
}

// await waits until the child is as it should be.
func await(t *testing.T, c *child.Child, is func(child.Status) bool) child.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		changed := c.Changed()
		if s := c.Status(); is(s) {
			return s
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("it stays as it is: %+v", c.Status())
		}
	}
}

func TestAChildThatIsKilledIsStartedAgain(t *testing.T) {
	t.Parallel()
	var said log
	c := start(t, options(t, "loyal", &said))
	first := c.Status()
	if !first.Serving || first.PID == 0 || first.Restarts != 0 {
		t.Fatalf("after the start: %+v", first)
	}
	for n := 1; n <= 2; n++ {
		before := c.Status().PID
		if killed, err := c.Kill(); err != nil || killed != before {
			t.Fatalf("killed %d, error %v, want %d", killed, err, before)
		}
		s := await(t, c, func(s child.Status) bool { return s.Serving && s.Restarts == n })
		if s.PID == before || s.Outage.PID != before {
			t.Errorf("%d was killed, and now: %+v", before, s)
		}
		if o := s.Outage; o.Started.Before(o.Died) || o.Served.Before(o.Started) {
			t.Errorf("died, started and served in no order: %+v", o)
		}
		said.await(t, "hello from "+strconv.Itoa(s.PID)+"\n")
	}
}

func TestCloseLetsAChildEndInOrder(t *testing.T) {
	t.Parallel()
	var said log
	c := start(t, options(t, "loyal", &said))
	for range 2 { // the second time nothing is left to do
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if !strings.HasSuffix(said.String(), "farewell\n") {
		t.Errorf("it said: %s", said.String())
	}
	if pid, err := c.Kill(); pid != 0 || err != nil {
		t.Errorf("killed %d, error %v, want nobody", pid, err)
	}
}

func TestAChildThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	o := options(t, "stubborn", new(log))
	o.Grace = 50 * time.Millisecond
	c := start(t, o)
	pid := c.Status().PID
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("error %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}

func TestWhatAChildHasStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	var said log
	o := options(t, "loyal", &said)
	o.Path, o.Args = "/bin/sh", []string{"-c", `trap : TERM; "$0"; exit 0`, o.Path}
	c := start(t, o)
	if _, err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, c, func(s child.Status) bool { return s.Serving && s.Restarts == 1 })
	if err := c.Close(); err != nil {
		t.Errorf("error %v: %s", err, said.String())
	}
	if n := strings.Count(said.String(), "hello from"); n != 2 || !strings.HasSuffix(said.String(), "farewell\n") {
		t.Errorf("the script's program began %d times, want 2: %s", n, said.String())
	}
}

func TestAChildThatNeverServesIsGivenUp(t *testing.T) {
	t.Parallel()
	_, err := child.Start(t.Context(), options(t, "sick", new(log)))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no strength today") {
		t.Errorf("error %v", err)
	}
	missing := options(t, "loyal", new(log))
	missing.Path = "/no/such/program"
	if _, err := child.Start(t.Context(), missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestAChildThatDiesAgainAndAgainIsGivenUp(t *testing.T) {
	t.Parallel()
	o := options(t, "loyal", new(log))
	healthy := o.Probe
	var mu sync.Mutex
	wanted := true
	o.Probe = func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if !wanted {
			return errors.New("not today")
		}
		return healthy(ctx)
	}
	c := start(t, o)
	mu.Lock()
	wanted = false
	mu.Unlock()
	for lives := 0; ; lives++ {
		if pid, err := c.Kill(); err != nil {
			t.Fatalf("killing %d: %v", pid, err)
		}
		changed := c.Changed()
		select {
		case <-changed:
		case <-c.Ended():
			if err := c.Close(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("error %v", err)
			}
			return
		}
	}
}

func TestAStartThatTakesTooLongIsCalledOff(t *testing.T) {
	t.Parallel()
	o := options(t, "loyal", new(log))
	asked := make(chan struct{})
	o.Probe = func(context.Context) error {
		select {
		case asked <- struct{}{}:
		default:
		}
		return errors.New("not yet")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := child.Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
