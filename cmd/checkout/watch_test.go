package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/store"
	"checkout/internal/test/nettest"
)

// watched is a running `checkout order watch`.
type watched struct {
	lines *bufio.Scanner
	stop  context.CancelFunc
	ended chan int
}

// startWatch runs `checkout order watch` until it ends or the test does.
func startWatch(t *testing.T, environ map[string]string, stderr io.Writer, args ...string) *watched {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	w := &watched{bufio.NewScanner(out), stop, make(chan int, 1)}
	p := process{getenv: func(name string) string { return environ[name] }, stdout: in, stderr: stderr}
	go func() {
		defer func() { _ = in.Close() }()
		w.ended <- p.run(ctx, append([]string{"checkout", "order", "watch"}, args...))
	}()
	t.Cleanup(func() { stop(); _ = out.Close() })
	return w
}

// next wants the next line to say all of this.
func (w *watched) next(t *testing.T, words ...string) {
	t.Helper()
	w.lines.Scan()
	if line := w.lines.Text(); slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
		t.Fatalf("the next line is %q, want %q in it", line, words)
	}
}

func TestOrdersAreWatchedUntilThatIsEnough(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	o := off.put(t, 1, order.InDoubt)
	w := startWatch(t, off.environ, io.Discard, "-state", "in_doubt")
	w.next(t, "in_doubt", "USD 47.98", id(1), "user 1")
	off.put(t, 2, order.InDoubt)
	w.next(t, "in_doubt", id(2))
	off.move(t, o, order.Cancelled)
	w.next(t, "cancelled", id(1))
	w.stop()
	if status := <-w.ended; status != 0 {
		t.Errorf("when it is interrupted it exits with %d, want 0", status)
	}
}

func TestAnOrderIsWatchedToItsEnd(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	now := time.Now()
	tell := func(o *order.Order, after time.Duration, s order.State, problem string) {
		o.History = append(o.History, order.HistoryEntry{At: now.Add(after), State: s, Problem: problem})
	}
	o := off.put(t, 1, order.InDoubt, func(o *order.Order) {
		o.Created = now
		tell(o, 0, order.Charging, "")
		tell(o, 2*time.Second, order.InDoubt, "no answer")
	})
	w := startWatch(t, off.environ, io.Discard, id(1))
	w.next(t, "+0s  charging")
	w.next(t, "+2s  in_doubt     no answer")
	tell(o, time.Minute, order.Cancelled, "never charged")
	off.move(t, o, order.Cancelled)
	w.next(t, "+1m0s  cancelled    never charged")
	if status := <-w.ended; status != 0 {
		t.Errorf("at the end of the order it exits with %d, want 0", status)
	}
}

func TestAWatchForProgramsIsALineOfJSONAChange(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.Declined)
	w := startWatch(t, off.environ, io.Discard, id(1), "-json")
	w.next(t, `"state":`, `"DECLINED"`, id(1))
	if status := <-w.ended; status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func TestAWatchOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	record, err := store.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() })
	off := &office{SQLite: record}
	off.put(t, 1, order.Parked)
	serve := func(addr string) *grpc.Server {
		server, l := rpc.NewServer(nil, health.NewServer(), rpc.Options{Orders: record, Log: slog.New(slog.DiscardHandler)}), listen(t, addr)
		run(t, server, l)
		return server
	}
	addr := nettest.Reserve(t)
	server := serve(addr)
	said, stderr := io.Pipe()
	t.Cleanup(func() { _ = said.Close() })
	w := startWatch(t, nil, stderr, "-admin-addr", addr)
	w.next(t, "parked", id(1))
	server.Stop()
	complaint, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || !strings.Contains(complaint, "waiting for the server") {
		t.Errorf("when the server has gone it says %q, %v; want that it waits", complaint, err)
	}
	serve(addr)
	off.put(t, 2, order.Parked)
	w.next(t, "parked", id(2)) // and not the first one once more
	w.stop()
	<-w.ended
}

func TestAWatchOfNoServerEnds(t *testing.T) {
	t.Parallel()
	if status, _, stderr := call(t, nil, "", "order", "watch", "-admin-addr", nettest.Reserve(t)); status != 1 || !strings.Contains(stderr, "Unavailable") {
		t.Errorf("exit status %d, stderr %q; want 1, and that there is no server", status, stderr)
	}
}
