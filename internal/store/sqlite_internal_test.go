package store

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/order"
)

func TestAFileIsSetUpToLoseNothing(t *testing.T) {
	t.Parallel()
	s, err := Open(filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for pragma, want := range map[string]string{
		"journal_mode": "wal",
		"synchronous":  "2", // FULL
		"locking_mode": "exclusive",
		"user_version": "1",
	} {
		var got string
		err := s.owner.do(t.Context(), other, func(c *conn) error {
			return c.sql.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got)
		})
		if err != nil || got != want {
			t.Errorf("PRAGMA %s = %q, %v, want %q", pragma, got, err, want)
		}
	}
}

func TestDueOrdersAreFoundByAnIndex(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	for statement, index := range map[string]string{
		claimUnshipped:     "SEARCH orders USING INDEX orders_unshipped (due<?)",
		claimUndelivered:   "SEARCH orders USING COVERING INDEX orders_undelivered (due<?)",
		releaseUnshipped:   "SEARCH orders USING INDEX orders_unshipped (due>?)",
		releaseUndelivered: "SEARCH orders USING INDEX orders_undelivered (due>?)",
		deleteOrders:       "SEARCH orders USING INDEX orders_final (due<?)",
	} {
		var plan []string
		err := s.owner.do(t.Context(), other, func(c *conn) error {
			rows, err := c.sql.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+statement, 0, 0, 0)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, parent, unused int
				var step string
				if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
					return err
				}
				plan = append(plan, step)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(plan, "\n"); !strings.Contains(got, index) || strings.Contains(got, "SCAN orders") {
			t.Errorf("the plan of %s\nis\n%s\nwant %s", statement, got, index)
		}
	}
}

func TestAnUnreadableOrderDoesNotKeepBackTheOthers(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	for _, id := range []order.ID{"1", "2", "3"} {
		if err := s.Open(t.Context(), opened(id), -time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	err := s.owner.do(t.Context(), other, func(c *conn) error {
		_, err := c.exec("UPDATE orders SET body = $1 WHERE id = '2'", []byte("no record"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := s.Claim(t.Context(), order.Unshipped, 10, time.Hour)
	if err == nil || !strings.Contains(err.Error(), "order 2") {
		t.Errorf("Claim says %v, want it to name order 2", err)
	}
	if len(claimed) != 2 || claimed[0].ID != "1" || claimed[1].ID != "3" {
		t.Errorf("claimed %v, want the orders 1 and 3", claimed)
	}
	if _, err := s.Get(t.Context(), "2"); err == nil || !strings.Contains(err.Error(), "order 2") {
		t.Errorf("Get of order 2 says %v", err)
	}
}

func TestThereIsNowhereToRecordACard(t *testing.T) {
	t.Parallel()
	card := reflect.TypeFor[order.Card]()
	var visit func(path string, of reflect.Type)
	visit = func(path string, of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(path, of.Elem())
		case reflect.Struct:
			for i := range of.NumField() {
				visit(path+"."+of.Field(i).Name, of.Field(i).Type)
			}
		}
		if of == card || of.Kind() == reflect.Interface {
			t.Errorf("%s can hold a card", path)
		}
	}
	visit("Order", reflect.TypeFor[struct{ order.Order }]().Field(0).Type)

	messages := (&recordv1.Order{}).ProtoReflect().Descriptor().ParentFile().Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			f := fields.Get(j)
			if name := string(f.Name()); strings.Contains(name, "card") || strings.Contains(name, "cvv") || f.Kind() == protoreflect.BytesKind {
				t.Errorf("%s can hold a card", f.FullName())
			}
		}
	}
}
