package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"modernc.org/sqlite"

	"checkout/internal/order"
)

// memory is a store whose transactions are counted.
func memory(t *testing.T) (s *SQLite, commits *int) {
	t.Helper()
	s, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	commits = new(int)
	err = s.owner.conn.sql.Raw(func(driver any) error {
		driver.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
			*commits++
			return 0
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, commits
}

// opened is a new order, as far as these tests care.
func opened(id order.ID) *order.Order {
	return &order.Order{ID: id, UserID: string(id), State: order.Charging}
}

// enter opens an order that nothing stands in the way of.
func enter(ctx context.Context, s *SQLite, o *order.Order, hold time.Duration) error {
	conflict, err := s.Open(ctx, order.Opening{Order: o, Hold: hold, CartRead: time.Now()})
	if conflict != nil {
		return fmt.Errorf("order %s is in the way", conflict.ID)
	}
	return err
}

// occupy keeps the store busy until it is freed.
func occupy(t *testing.T, s *SQLite) (free func()) {
	t.Helper()
	busy := make(chan struct{})
	done := make(chan error)
	go func() { done <- s.do(t.Context(), other, func(context.Context, session) error { <-busy; return nil }) }()
	synctest.Wait()
	return func() {
		close(busy)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// openAtOnce opens orders while the store is busy, so that they all wait together, and returns what each is answered.
func openAtOnce(t *testing.T, s *SQLite, ids ...order.ID) []error {
	t.Helper()
	free := occupy(t, s)
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = enter(t.Context(), s, opened(id), time.Hour) })
	}
	synctest.Wait()
	free()
	wg.Wait()
	return errs
}

func TestRequestsThatWaitTogetherAreCommittedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, commits := memory(t)
		var ids []order.ID
		for i := range maxBatch + 36 {
			ids = append(ids, order.ID(fmt.Sprint(i)))
		}
		errs := openAtOnce(t, s, ids...)
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if want := 1 + 2; *commits != want { // the one that kept the store busy, and two batches
			t.Errorf("%d orders made %d transactions, want %d", len(ids), *commits, want)
		}
	})
}

func TestARequestThatFailsDoesNotFailThoseBesideIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := memory(t)
		errs := openAtOnce(t, s, "1", "2", "", "4") // the schema does not take an empty id
		for i, err := range errs {
			if bad := i == 2; (err != nil) != bad {
				t.Errorf("Open of order %d = %v", i+1, err)
			}
		}
		for _, id := range []order.ID{"1", "2", "4"} {
			if _, err := s.Get(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if err := enter(t.Context(), s, opened("5"), time.Hour); err != nil {
			t.Errorf("Open after a bad request = %v", err)
		}
	})
}

// fill sets how many pages the database may have: 0 for no more than it has.
func fill(t *testing.T, s *SQLite, pages int) {
	t.Helper()
	carryOut(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", max(pages, 1)))
}

func TestNoNewOrderIsTakenAfterAFailedWriteUntilTheDatabaseWorksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := memory(t)
		first := opened("first")
		if err := enter(t.Context(), s, first, time.Hour); err != nil {
			t.Fatal(err)
		}
		fill(t, s, 0)
		large := opened("large")
		large.Reason = strings.Repeat("x", 1<<16)
		if err := enter(t.Context(), s, large, time.Hour); err == nil {
			t.Fatal("Open of more than there is room for = nil")
		}
		fill(t, s, 1000)

		const refusal = "no new orders since a write failed"
		if err := enter(t.Context(), s, opened("second"), time.Hour); err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("Open right after a failure = %v, want %q", err, refusal)
		}
		charged := opened("first")
		charged.State = order.Charged
		if err := s.Save(t.Context(), charged, order.Charging, time.Hour); err != nil {
			t.Errorf("Save of an order under way after a failure = %v", err)
		}
		time.Sleep(probeEvery)
		if err := enter(t.Context(), s, opened("second"), time.Hour); err != nil {
			t.Errorf("Open when there is room again = %v", err)
		}
		if _, err := s.Get(t.Context(), "large"); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("Get of the order that was not taken = %v, want %v", err, order.ErrNotFound)
		}
	})
}

func TestACallerMayLeaveWhileTheStoreIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := memory(t)
		free := occupy(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := enter(ctx, s, opened("1"), time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open = %v, want %v", err, context.DeadlineExceeded)
		}
		free()
		if _, err := s.Get(t.Context(), "1"); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("Get of what nobody waited for = %v, want %v", err, order.ErrNotFound)
		}
	})
}

func TestACallerMayLeaveWhileItsRequestIsCarriedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := memory(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		busy := make(chan struct{})
		err := s.do(ctx, other, func(context.Context, session) error { <-busy; return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("do = %v, want %v", err, context.DeadlineExceeded)
		}
		close(busy)
		if err := enter(t.Context(), s, opened("1"), time.Hour); err != nil {
			t.Errorf("Open after a caller has left = %v", err)
		}
	})
}

func TestCloseWaitsForWhatIsUnderWayAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := memory(t)
		free := occupy(t, s)
		waiting, closing := make(chan error), make(chan error)
		go func() { waiting <- enter(t.Context(), s, opened("1"), time.Hour) }()
		go func() { closing <- s.Close() }()
		if err := <-waiting; !errors.Is(err, errClosed) {
			t.Errorf("Open while closing = %v, want %v", err, errClosed)
		}
		synctest.Wait()
		select {
		case err := <-closing:
			t.Errorf("Close did not wait, and returned %v", err)
		default:
		}
		free()
		if err := <-closing; err != nil {
			t.Error(err)
		}
	})
}
