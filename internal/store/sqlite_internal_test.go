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
	"checkout/internal/creditcard"
	"checkout/internal/order"
)

func TestAFileIsSetUpToLoseNothing(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "orders.db"))
	for pragma, want := range map[string]string{
		"journal_mode": "wal",
		"synchronous":  "2", // FULL
		"locking_mode": "exclusive",
		"user_version": "6",
	} {
		var got string
		err := s.do(t.Context(), other, func(context.Context, session) error {
			return s.owner.conn.sql.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got)
		})
		if err != nil || got != want {
			t.Errorf("PRAGMA %s = %q, %v, want %q", pragma, got, err, want)
		}
	}
}

func TestOrdersAreFoundByAnIndex(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	everything := bits(order.States()...)
	for statement, plan := range map[string][]string{
		claimShipping:   {"SEARCH orders USING INDEX orders_shipping (due<?)", "SEARCH orders USING PRIMARY KEY (id=?)"},
		claimDelivery:   {"SEARCH orders USING COVERING INDEX orders_delivery (due<?)", "SEARCH orders USING PRIMARY KEY (id=?)"},
		releaseShipping: {"SEARCH orders USING INDEX orders_shipping (due>? AND due<?)"},
		releaseDelivery: {"SEARCH orders USING INDEX orders_delivery (due>?)"},
		deleteOrders:    {"SEARCH orders USING INDEX orders_final (due<?)", "SEARCH orders USING PRIMARY KEY (id=?)"},
		selectPart:      {"SEARCH orders USING PRIMARY KEY (id>?)"},
		eraseOrder:      {"SEARCH orders USING PRIMARY KEY (id=?)"},
		selectLatest:    {"SEARCH orders USING INDEX orders_latest (latest_of=?)"},
		selectKey:       {"SEARCH orders USING INDEX orders_key (user_id=? AND key=?)"},
		selectConflicts: {
			"SEARCH orders USING PRIMARY KEY (id=?)",
			"SEARCH orders USING INDEX orders_latest (latest_of=?)",
			"SEARCH orders USING INDEX orders_key (user_id=? AND key=?)",
		},
		countOrders: {
			"SCAN orders USING INDEX orders_shipping",
			"SCAN orders USING INDEX orders_delivery",
			"SCAN orders USING INDEX orders_attention",
		},
		listOrders(everything):      {"SEARCH orders USING PRIMARY KEY (id>? AND id<?)"},
		searchOrders(byUser):        {"SEARCH orders USING INDEX orders_user (user_hash=? AND id>? AND id<?)"},
		searchOrders(byEmail):       {"SEARCH orders USING INDEX orders_email (email_hash=? AND id>? AND id<?)"},
		searchOrders(byTransaction): {"SEARCH orders USING INDEX orders_transaction (transaction_hash=? AND id>? AND id<?)"},
		searchOrders(byTracking):    {"SEARCH orders USING INDEX orders_tracking (tracking_hash=? AND id>? AND id<?)"},
		listOrders(bits(order.InDoubt, order.Placed, order.Parked)): {
			"SEARCH orders USING PRIMARY KEY (id=?)",
			"SCAN orders USING INDEX orders_shipping",
			"SCAN orders USING COVERING INDEX orders_delivery",
			"SCAN orders USING INDEX orders_attention",
		},
	} {
		got := explained(t, s, statement)
		for _, step := range plan {
			if !strings.Contains(got, step) {
				t.Errorf("the plan of %s\nis\n%s\nwant %s", statement, got, step)
			}
		}
		if strings.Contains(got, "SCAN orders\n") {
			t.Errorf("the plan of %s\nis\n%s\nand goes through all orders", statement, got)
		}
	}
}

// explained is the plan that SQLite has for a statement, a step a line.
func explained(t *testing.T, s *SQLite, statement string) string {
	t.Helper()
	var plan strings.Builder
	err := s.do(t.Context(), other, func(ctx context.Context, _ session) error {
		explain, err := s.owner.conn.statement("EXPLAIN QUERY PLAN "+statement, 0) //nolint:sqlclosecheck // kept until close
		if err != nil {
			return err
		}
		rows, err := explain.QueryContext(ctx, 0, 0, 0, 0, 0, 0)
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
			plan.WriteString(step + "\n")
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func TestAnUnreadableOrderDoesNotKeepBackTheOthers(t *testing.T) {
	t.Parallel()
	s, _ := memory(t)
	for _, id := range []order.ID{"1", "2", "3"} {
		if err := enter(t.Context(), s, opened(id), -time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	carryOut(t, s, "UPDATE orders SET body = CAST('no record' AS BLOB) WHERE id = '2'")
	claimed, err := s.Claim(t.Context(), order.ShippingQueue, 10, time.Hour)
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
	card := reflect.TypeFor[creditcard.Card]()
	var visit func(path string, of reflect.Type)
	visit = func(path string, of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(path, of.Elem())
		case reflect.Struct:
			for field := range of.Fields() {
				visit(path+"."+field.Name, field.Type)
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
