package serve_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
	"checkout/internal/test/nettest"
	"checkout/internal/test/pgtest"
)

// The files were written by a release of November 2026, which was killed while other services failed: an order in each state,
// of a user who is named for it.
func TestTheOrdersOfAnEarlierReleaseAreFinished(t *testing.T) {
	for driver, fresh := range map[string]func() string{
		"sqlite":   func() string { return filepath.Join(t.TempDir(), "orders.db") },
		"postgres": func() string { return pgtest.Start(t).Fresh(t) },
	} {
		t.Run(driver, func(t *testing.T) {
			record := fresh()
			write(t, driver, record)
			s := open(t, map[string]string{"CHECKOUT_DB": record, "PAYMENT_MODE": "keyed"})
			orders := checkoutv1.NewOrderServiceClient(nettest.DialGRPC(t, s.addr))
			for user, want := range map[string]struct {
				state checkoutv1.OrderState
				done  demo.Tally // for it, since
			}{
				"completed":   {state: checkoutv1.OrderState_COMPLETED},
				"declined":    {state: checkoutv1.OrderState_DECLINED},
				"cancelled":   {state: checkoutv1.OrderState_CANCELLED},
				"refunded":    {state: checkoutv1.OrderState_REFUNDED},
				"parked":      {state: checkoutv1.OrderState_PARKED},
				"undelivered": {state: checkoutv1.OrderState_UNDELIVERED},
				"charging":    {state: checkoutv1.OrderState_CANCELLED}, // the payment service knows of no charge
				"in-doubt":    {state: checkoutv1.OrderState_CANCELLED},
				"refunding":   {state: checkoutv1.OrderState_REFUNDED},
				"charged":     {checkoutv1.OrderState_COMPLETED, demo.Tally{Parcels: 1, Emails: 1}},
				"placed":      {checkoutv1.OrderState_COMPLETED, demo.Tally{Emails: 1}},
			} {
				var o *checkoutv1.Order
				s.await(t, user+" does not become "+want.state.String(), func() bool {
					found, err := orders.ListOrders(t.Context(), &checkoutv1.ListOrdersRequest{UserId: user})
					if err != nil || len(found.GetOrders()) != 1 {
						t.Fatalf("the orders of user %s: %v, %v; want one", user, found, err)
					}
					o = found.GetOrders()[0]
					return o.GetState() == want.state
				})
				done := s.shop.Ledgers().Orders[o.GetOrderId()]
				if done.Events = 0; done != want.done { // an event may come twice
					t.Errorf("%s: %+v, want %+v", user, done, want.done)
				}
			}
			if o, err := s.PlaceOrder(withKey(t.Context(), "key of completed"), request("completed", "EUR")); err != nil || len(s.shop.Payment.Charges()) > 0 {
				t.Errorf("a request that is repeated: %v, %v, %d charges; want the order of before", o, err, len(s.shop.Payment.Charges()))
			}
		})
	}
}

// write writes the record of that release, as if it had been killed a minute ago.
func write(t *testing.T, driver, name string) {
	t.Helper()
	record, err := os.ReadFile("testdata/record-2026-11." + driver + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), string(record)); err != nil {
		t.Fatal(err)
	}
	var killed int64
	if err := db.QueryRowContext(t.Context(), "SELECT max(changed) FROM orders").Scan(&killed); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `
		UPDATE orders SET created = created + $1, changed = changed + $1, settled = settled + $1,
			due = CASE WHEN state IN (1, 2, 3, 6, 7) THEN 0 WHEN state IN (10, 11) THEN due ELSE due + $1 END`,
		time.Now().Add(-time.Minute).UnixMilli()-killed); err != nil {
		t.Fatal(err)
	}
}
