//go:build unix

package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
)

// TestAFullDiskRefusesNewOrdersAndLosesNone runs in a process of its own, because the size of files is limited by process.
func TestAFullDiskRefusesNewOrdersAndLosesNone(t *testing.T) {
	t.Parallel()
	out, err := child(t, "full", filepath.Join(t.TempDir(), "orders.db")).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func fillTheDisk(path string, out io.Writer) error {
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	const accepted = 50
	for i := range accepted {
		if err := enter(ctx, s, storetest.Order(name(i))); err != nil {
			return err
		}
	}
	lift, err := limitFiles(1 << 14) // less than the log has by now, and not more than the database
	if err != nil {
		return err
	}
	next := func() error { return enter(ctx, s, storetest.Order(name(accepted))) }
	fmt.Fprintln(out, "the first order that does not fit:", next())
	fmt.Fprintln(out, "an order after that:", next())
	if err := persist(longerThanAProbe, next); err == nil || !strings.Contains(err.Error(), "no new orders since a write failed") {
		return fmt.Errorf("open with a full disk = %w", err)
	}
	if err := holdsAll(ctx, s, accepted); err != nil {
		return fmt.Errorf("with a full disk: %w", err)
	}
	if err := lift(); err != nil {
		return err
	}
	if err := persist(time.Minute, next); err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = store.Open(path); err != nil {
		return err
	}
	return errors.Join(holdsAll(ctx, s, accepted+1), s.Close())
}

func name(i int) order.ID { return order.ID(fmt.Sprint(i)) }

// limitFiles makes every write beyond size fail, until the limit is lifted.
func limitFiles(size uint64) (lift func() error, err error) {
	signal.Ignore(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return nil, err
	}
	limited := syscall.Rlimit{Cur: size, Max: unlimited.Max}
	return func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited) },
		syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited)
}

// longerThanAProbe is longer than the store waits before it tries the disk again.
const longerThanAProbe = 2500 * time.Millisecond

// persist does again and again what fails, for as long as told.
func persist(patience time.Duration, do func() error) error {
	end := time.After(patience)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-end:
			return err
		}
	}
}

func holdsAll(ctx context.Context, s *store.SQLite, orders int) error {
	for i := range orders {
		if _, err := s.Get(ctx, name(i)); err != nil {
			return err
		}
	}
	return nil
}
