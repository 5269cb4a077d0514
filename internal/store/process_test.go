package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
)

// childVariable names the program that this process is to be, instead of the tests.
const childVariable = "STORE_TEST_CHILD"

// children are the programs that the tests run in processes of their own, with the path of a store.
func children() map[string]func(path string, out io.Writer) error {
	return map[string]func(string, io.Writer) error{
		"open":  openAndClose,
		"write": writeForEver,
		"full":  fillTheDisk,

		"mounted file":   mountedFile,
		"mounted folder": mountedFolder,
	}
}

func TestMain(m *testing.M) {
	if program, ok := children()[os.Getenv(childVariable)]; ok {
		if err := program(os.Args[1], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child is a process that runs one of the children.
func child(t *testing.T, program, path string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], path)
	cmd.Env = append(os.Environ(), childVariable+"="+program)
	return cmd
}

func openAndClose(path string, _ io.Writer) error {
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	return s.Close()
}

// storeOfVersion makes a file whose schema says that it has that version.
func storeOfVersion(t *testing.T, path string, version int) {
	t.Helper()
	if err := openAndClose(path, io.Discard); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		t.Fatal(err)
	}
}

// writeForEver writes orders and says which state of which order has been accepted, a line each.
func writeForEver(path string, out io.Writer) error {
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(o *order.Order) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, o.ID, uint8(o.State))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				o := storetest.Order(order.ID(fmt.Sprint(rand.Uint64())))
				if err := live(context.Background(), s, o, say); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// enter opens an order that nothing stands in the way of, and that is held while the tests run.
func enter(ctx context.Context, s order.Store, o *order.Order) error {
	conflict, err := s.Open(ctx, order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now()})
	if conflict != nil {
		return fmt.Errorf("order %s is in the way", conflict.ID)
	}
	return err
}

// live takes an order from its first state to its last, and calls then after each write.
func live(ctx context.Context, s order.Store, o *order.Order, then func(*order.Order)) error {
	if err := enter(ctx, s, o); err != nil {
		return err
	}
	then(o)
	for _, state := range []order.State{order.Charged, order.Placed, order.Completed} {
		from := o.State
		o.State = state
		if err := s.Save(ctx, o, from, time.Hour); err != nil {
			return err
		}
		then(o)
	}
	return nil
}

func TestWhatWasAcceptedSurvivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	accepted := make(map[order.ID]order.State)
	for range 8 {
		writeUntilKilled(t, path, rand.IntN(500), accepted)
		s, err := store.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for id, state := range accepted {
			switch o, err := s.Get(t.Context(), id); {
			case err != nil:
				t.Errorf("an accepted order is lost: %v", err)
			case o.State < state: // the states of this life are in the order of their numbers
				t.Errorf("order %s was accepted as %s and is %s", id, state, o.State)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d orders were accepted", len(accepted))
}

// writeUntilKilled kills a writer when it has accepted so many writes, and notes them all.
func writeUntilKilled(t *testing.T, path string, writes int, accepted map[order.ID]order.State) {
	t.Helper()
	writer := child(t, "write", path)
	var stderr strings.Builder
	writer.Stderr = &stderr
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == writes {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var id order.ID
		var state order.State
		if _, err := fmt.Sscan(lines.Text(), &id, &state); err != nil {
			t.Fatalf("the writer said %q: %v", lines.Text(), err)
		}
		accepted[id] = max(accepted[id], state)
	}
	if _ = writer.Wait(); writer.ProcessState.Exited() || stderr.Len() > 0 {
		t.Fatalf("the writer was not killed, it ended by itself: %v, %s", writer.ProcessState, stderr.String())
	}
}
