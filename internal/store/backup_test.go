package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
	"checkout/internal/test/pgtest"
)

// addOrder records an order of a user of its own.
func addOrder(t *testing.T, s storetest.Store, id string, state order.State, change func(*order.Order)) {
	t.Helper()
	o := storetest.Order(order.ID(id))
	o.UserID, o.Key, o.State = "user of "+id, id, state
	if change != nil {
		change(o)
	}
	if other, err := s.Open(t.Context(), order.Opening{Order: o, Hold: 0, CartRead: time.Now()}); other != nil || err != nil {
		t.Fatalf("Open of %s: %v, %v", id, other, err)
	}
}

// restored is the record of a backup, as it is after it was copied to its place.
func restored(t *testing.T, b *os.File) *store.SQLite {
	t.Helper()
	defer b.Close()
	path := filepath.Join(t.TempDir(), "restored.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, b)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return file(t, path)
}

// nothingIsDue wants recovery to find nothing to do.
func nothingIsDue(t *testing.T, s storetest.Store) {
	t.Helper()
	for _, queue := range []order.Queue{order.ShippingQueue, order.DeliveryQueue} {
		if claimed, err := s.Claim(t.Context(), queue, 10_000, time.Hour); len(claimed) > 0 || err != nil {
			t.Errorf("recovery would take up %d orders, %v", len(claimed), err)
		}
	}
}

// nothingIsLeft wants no backup in the folder.
func nothingIsLeft(t *testing.T, folder string) {
	t.Helper()
	if files, err := filepath.Glob(filepath.Join(folder, "*backup*")); len(files) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestABackupIsMadeWhileOrdersGoOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := file(t, filepath.Join(folder, "orders.db"))
	const before = 60 // large ones, which take more pages than are copied at a time
	for i := range before {
		addOrder(t, s, fmt.Sprintf("%05d", i), order.Completed, func(o *order.Order) { o.Items = slices.Repeat(o.Items, 200) })
	}
	going, stop := context.WithCancel(t.Context())
	var customers sync.WaitGroup
	placed := make(chan struct{}, 1)
	customers.Go(func() {
		for i := before; going.Err() == nil; i++ {
			id := fmt.Sprintf("%05d", i)
			addOrder(t, s, id, order.Charging, nil)
			o, err := s.Get(t.Context(), order.ID(id))
			if err != nil {
				t.Error(err)
				return
			}
			o.State, o.TransactionID = order.Charged, "t"
			if err := s.Save(t.Context(), o, order.Charging, time.Hour); err != nil {
				t.Error(err)
			}
			select {
			case placed <- struct{}{}:
			default:
			}
		}
	})
	<-placed
	b, held, err := s.Backup(t.Context())
	stop()
	customers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	r := restored(t, b)
	found, _, err := r.List(t.Context(), lookup.Query{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	parked := 0
	for i, o := range slices.Backward(found) {
		if want := fmt.Sprintf("%05d", len(found)-1-i); string(o.ID) != want {
			t.Fatalf("order %s, want %s: one is missing", o.ID, want)
		}
		if o.State == order.Parked {
			parked++
		}
	}
	if len(found) <= before || parked != held || len(found)-parked != before {
		t.Errorf("%d orders, of which %d are parked, want %d and %d", len(found), parked, before+held, held)
	}
	nothingIsDue(t, r)
	nothingIsLeft(t, folder)
}

func TestABackupThatIsGivenUpLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := file(t, filepath.Join(folder, "orders.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Backup(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup: %v, want %v", err, context.Canceled)
	}
	nothingIsLeft(t, folder)
	addOrder(t, s, "1a7e", order.Charging, nil)
	b, held, err := s.Backup(t.Context())
	if err != nil || held != 1 {
		t.Fatalf("the next backup: %d orders are held, %v, want 1", held, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestABackupThatAKilledProcessLeftIsRemovedAtTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	if err := os.WriteFile(path+".backup", []byte("addresses"), 0o600); err != nil {
		t.Fatal(err)
	}
	file(t, path)
	nothingIsLeft(t, filepath.Dir(path))
}

func TestARecordInMemoryHasNoBackup(t *testing.T) {
	t.Parallel()
	s := memory(t)
	if _, _, err := s.Backup(t.Context()); !errors.Is(err, order.ErrRefused) {
		t.Errorf("Backup: %v, want %v", err, order.ErrRefused)
	}
}

func TestWhatARestoredRecordHasUnfinishedIsHeld(t *testing.T) {
	t.Parallel()
	everywhere(t, holds)
}

// holds wants what is not finished to wait for an operator, and everything else to be as it was.
func holds(t *testing.T, s record) {
	const all = order.CartSettled | order.EmailSent | order.EventPublished
	want := map[order.ID]order.State{} // an id is the state in hexadecimal, and what is delivered
	put := func(state, after order.State, delivered order.Delivery) {
		id := fmt.Sprintf("%02x-%d", uint8(state), delivered)
		addOrder(t, s, id, state, func(o *order.Order) { o.Delivered = delivered })
		want[order.ID(id)] = after
	}
	for _, state := range order.States() {
		after := state
		switch state {
		case order.Charging, order.Charged, order.InDoubt, order.Refunding:
			after = order.Parked
		case order.Placed:
			after = order.Undelivered
		}
		put(state, after, 0)
	}
	put(order.Placed, order.Undelivered, order.CartSettled|order.EmailSent)
	put(order.Placed, order.Completed, order.EmailSent|order.EventPublished)
	put(order.Completed, order.Completed, all)
	for range 2 {
		if n, err := s.Hold(t.Context()); n != 8 || err != nil {
			t.Errorf("Hold = %d, %v, want 8: all that require an operator, since when ever", n, err)
		}
	}
	nothingIsDue(t, s)
	got := map[order.ID]order.State{}
	found, _, err := s.List(t.Context(), lookup.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		got[o.ID] = o.State
		if o.State == order.Undelivered && o.ID != "0b-0" && o.Undeliverable|o.Delivered != all {
			t.Errorf("%s: delivered %b, undeliverable %b", o.ID, o.Delivered, o.Undeliverable)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if _, err := s.Take(t.Context(), "02-0"); err != nil { // an operator can
		t.Error(err)
	}
}

func TestARecordMovesToPostgreSQLAndBack(t *testing.T) {
	t.Parallel()
	first, middle, last := file(t, filepath.Join(t.TempDir(), "first.db")), postgres(t, pgtest.Start(t).Fresh(t)), file(t, filepath.Join(t.TempDir(), "last.db"))
	for _, state := range order.States() {
		addOrder(t, first, fmt.Sprintf("%02x", uint8(state)), state, nil)
	}
	everything := lookup.Query{Limit: 100}
	want, _, err := first.List(t.Context(), everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, copied := range []struct{ from, to store.Database }{{first, middle}, {middle, last}} {
		if n, err := store.Copy(t.Context(), copied.from, copied.to); n != int64(len(want)) || err != nil {
			t.Fatalf("%T to %T: %d orders, %v, want %d", copied.from, copied.to, n, err, len(want))
		}
		if _, err := store.Copy(t.Context(), copied.from, copied.to); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("%T to %T once more: %v, want %v", copied.from, copied.to, err, store.ErrNotEmpty)
		}
	}
	for _, s := range []storetest.Store{middle, last} {
		got, _, err := s.List(t.Context(), everything)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T has other orders than were copied", s)
		}
		if o, err := s.Find(t.Context(), "user of 02", "02"); err != nil || o.ID != "02" {
			t.Errorf("%T: the order of a key: %v, %v", s, o, err)
		}
	}
}
