package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/test/pgtest"
)

// openRecord opens the record in a file, and closes it with the test.
func openRecord(t *testing.T, path string) *store.SQLite {
	t.Helper()
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestARecordIsBackedUpWhileItIsServed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	off := officeOf(t, openRecord(t, filepath.Join(folder, "orders.db")), nil)
	off.put(t, 1, order.Completed)
	off.put(t, 2, order.Charged)
	off.put(t, 3, order.Parked)
	backup := filepath.Join(folder, "backup.db")
	status, _, stderr := call(t, off.environ, "", "record", "backup", backup)
	if status != cli.OK || !strings.Contains(stderr, "orders in the copy that require an operator: 2\n") {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if status, _, stderr := call(t, off.environ, "", "record", "backup", backup); status != cli.Failed || !strings.Contains(stderr, "exists") {
		t.Errorf("to the same file again: exit status %d, %s", status, stderr)
	}
	whole, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := call(t, off.environ, "", "record", "backup", "-"); status != cli.OK || len(stdout) != len(whole) {
		t.Errorf("to standard output: exit status %d, %d bytes, want %d, %s", status, len(stdout), len(whole), stderr)
	}
	restored := &office{SQLite: openRecord(t, backup)}
	for n, want := range map[int]order.State{1: order.Completed, 2: order.Parked, 3: order.Parked} {
		if got := restored.state(t, n); got != want {
			t.Errorf("order %d is %v in the backup, want %v", n, got, want)
		}
	}
}

// slow is a service that sends a part of a backup, and the rest when it may.
type slow struct {
	checkoutv1.UnimplementedRecordAdminServer
	sent, rest chan struct{}
}

func (s slow) BackupRecord(_ *checkoutv1.BackupRecordRequest, stream grpc.ServerStreamingServer[checkoutv1.BackupRecordResponse]) error {
	if err := stream.Send(&checkoutv1.BackupRecordResponse{Size: 2, Data: []byte("a")}); err != nil {
		return err
	}
	close(s.sent)
	<-s.rest
	return stream.Send(&checkoutv1.BackupRecordResponse{Data: []byte("b")})
}

// Whoever copies it too early, or kills the command, has no file that looks like a backup.
func TestABackupHasItsNameOnceItIsComplete(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, service := grpc.NewServer(), slow{sent: make(chan struct{}), rest: make(chan struct{})}
	checkoutv1.RegisterRecordAdminServer(server, service)
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	defer running.Wait()
	backup := filepath.Join(t.TempDir(), "backup.db")
	running.Go(func() {
		if status, _, stderr := call(t, map[string]string{"CHECKOUT_ADMIN_ADDR": listener.Addr().String()}, "", "record", "backup", backup); status != cli.OK {
			t.Errorf("exit status %d: %s", status, stderr)
		}
		if text, err := os.ReadFile(backup); string(text) != "ab" {
			t.Errorf("the backup is %q, %v, want ab", text, err)
		}
		server.Stop()
	})
	<-service.sent
	if _, err := os.Stat(backup); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half of it has its name already: %v", err)
	}
	close(service.rest)
}

func TestARecordInMemoryCannotBeBackedUp(t *testing.T) {
	t.Parallel()
	backup := filepath.Join(t.TempDir(), "backup.db")
	status, _, stderr := call(t, openOffice(t, nil).environ, "", "record", "backup", backup)
	if _, err := os.Stat(backup); status != cli.Failed || !strings.Contains(stderr, "pg_dump") || err == nil {
		t.Errorf("exit status %d, a file: %t, %s", status, err == nil, stderr)
	}
}

func TestARecordIsMovedToPostgreSQLAndHeld(t *testing.T) {
	t.Parallel()
	path, url := filepath.Join(t.TempDir(), "orders.db"), pgtest.Start(t).Fresh(t)
	off := &office{SQLite: openRecord(t, path)}
	off.put(t, 1, order.Completed)
	off.put(t, 2, order.Charged)
	for _, step := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"copy", path, url}, cli.Failed, "in use by another process"},
		{nil, 0, ""}, // the service ends
		{[]string{"copy", path, url}, cli.OK, "orders: 2\n"},
		{[]string{"copy", path, url}, cli.Failed, "there are orders in it already"},
		{[]string{"hold", url}, cli.OK, "orders that require an operator: 1\n"},
		{[]string{"hold", url}, cli.OK, "orders that require an operator: 1\n"}, // though it has nothing to do
		{[]string{"hold", path + "x"}, cli.Failed, "no such file"},
		{[]string{"hold", "memory"}, cli.Failed, "ends with its process"},
		{[]string{"hold", "mysql://root:secret@db/shop"}, cli.Failed, `unsupported scheme "mysql"`},
		{[]string{"copy", path}, cli.Usage, "missing argument TO"},
	} {
		if step.args == nil {
			if err := off.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		status, stdout, stderr := call(t, nil, "", append([]string{"record"}, step.args...)...)
		if status != step.status || !strings.Contains(stdout+stderr, step.says) || strings.Contains(stderr, "secret") {
			t.Errorf("record %s: exit status %d, %q, want %d and %q", step.args, status, stdout+stderr, step.status, step.says)
		}
	}
}
