package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
)

// schemaOfVersion1 is the schema of the release before there were keys.
const schemaOfVersion1 = `
	CREATE TABLE orders (
		id        TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
		state     INTEGER NOT NULL,
		epoch     INTEGER NOT NULL,
		due       INTEGER NOT NULL,
		user_id   TEXT    NOT NULL,
		delivered INTEGER NOT NULL,
		attempts  INTEGER NOT NULL,
		created   INTEGER NOT NULL,
		changed   INTEGER NOT NULL,
		body      BLOB    NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE INDEX orders_unshipped ON orders (due) WHERE state IN (1, 2);
	CREATE INDEX orders_undelivered ON orders (due) WHERE state = 3;
	CREATE INDEX orders_final ON orders (due) WHERE state IN (4, 5, 8, 9);
	PRAGMA user_version = 1`

// fileOfVersion1 has these orders, which were all created one after the other, and held for an hour.
func fileOfVersion1(t *testing.T, orders ...*order.Order) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), schemaOfVersion1); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, o := range orders {
		_, err := db.ExecContext(t.Context(), "INSERT INTO orders VALUES (?, ?, 1, ?, ?, ?, 0, ?, ?, x'')",
			o.ID, o.State, now.Add(time.Hour).UnixMilli(), o.UserID, o.Delivered,
			now.Add(time.Duration(i)*time.Second).UnixMilli(), now.UnixMilli())
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// past is an order as version 1 had it.
func past(id order.ID, user string, state order.State, delivered order.Delivery) *order.Order {
	return &order.Order{ID: id, UserID: user, State: state, Delivered: delivered}
}

func TestAFileOfTheReleaseBeforeIsTakenOver(t *testing.T) {
	t.Parallel()
	path := fileOfVersion1(t,
		past("1", "repeater", order.Completed, 7),
		past("3", "repeater", order.Declined, 0),
		past("2", "repeater", order.Charging, 0), // it is the latest, whatever the ids say
		past("4", "shipped", order.Placed, order.CartSettled),
		past("5", "full cart", order.Placed, order.EmailSent),
		past("6", "doubter", order.InDoubt, 0),
		past("7", "creditor", order.Refunding, 0),
		past("8", "nobody", order.Cancelled, 0),
	)
	for range 2 { // the second time, there is nothing to do
		s := file(t, path)
		for user, latest := range map[string]order.ID{
			"repeater": "2", "shipped": "4", "full cart": "5", "doubter": "6", "creditor": "7", "nobody": "8",
		} {
			if o, err := s.Find(t.Context(), user, ""); err != nil || o.ID != latest {
				t.Errorf("the latest order of %s is %v, %v, want %s", user, o, err, latest)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}

	s := file(t, path)
	for user, conflict := range map[string]order.ID{
		"repeater": "2", "shipped": "", "full cart": "5", "doubter": "6", "creditor": "7", "nobody": "",
	} {
		o := storetest.Order(order.ID("next of " + user))
		o.UserID = user
		got, err := s.Open(t.Context(), order.Opening{Order: o, Hold: time.Hour, CartRead: time.Now()})
		if err != nil || (got == nil) != (conflict == "") || got != nil && got.ID != conflict {
			t.Errorf("in the way of an order of %s is %v, %v, want %q", user, got, err, conflict)
		}
	}
	for id, rests := range map[order.ID]bool{"2": false, "5": false, "6": true, "7": true} {
		if _, err := s.Take(t.Context(), id); rests != (err == nil) || err != nil && !errors.Is(err, order.ErrFenced) {
			t.Errorf("Take of order %s = %v", id, err)
		}
	}
	for lane, want := range map[order.Queue]string{order.ShippingQueue: "[2]", order.DeliveryQueue: "[4 5]"} {
		claimed, err := s.Claim(t.Context(), lane, 10, time.Hour)
		var ids []order.ID
		for _, o := range claimed {
			ids = append(ids, o.ID)
		}
		if got := fmt.Sprint(ids); err != nil || got != want {
			t.Errorf("claimed %s, %v of lane %d, want %s", got, err, lane, want)
		}
	}
}

func TestOrdersOfTheReleaseBeforeAreFound(t *testing.T) {
	t.Parallel()
	s := file(t, fileOfVersion1(t, past("1", "ada", order.Completed, 7), past("2", "bob", order.Completed, 7), past("3", "ada", order.Placed, 0)))
	for range 3 { // before they are indexed, afterwards, and when there is nothing to do
		if got := fmt.Sprint(pages(t, s, lookup.Query{UserID: "ada", Limit: 10})); got != "[3 1]" {
			t.Errorf("found %s, want [3 1]", got)
		}
		if err := s.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnIDIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := memory(t)
	first, second := storetest.Order("1"), storetest.Order("1")
	second.UserID = "somebody else"
	if err := enter(t.Context(), s, first); err != nil {
		t.Fatal(err)
	}
	if err := enter(t.Context(), s, second); !errors.Is(err, store.ErrExists) {
		t.Errorf("Open = %v, want %v", err, store.ErrExists)
	}
}
