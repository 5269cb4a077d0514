package serve_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/serve"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
	"checkout/internal/test/pgtest"
)

// What a shop does when it is not sure: it asks again. With an idempotency key and without one, in the same process, in
// the next one and in another replica: one charge, one answer.

func withKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
}

// place asks for ada's order, under a key or none.
func (s *service) place(t *testing.T, key string) (*oteldemo.OrderResult, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(withKey(t.Context(), key), patience)
	defer cancel()
	resp, err := s.PlaceOrder(ctx, request("ada", "USD"))
	return resp.GetOrder(), err
}

// must is an order that was placed.
func (s *service) must(t *testing.T, key string) string {
	t.Helper()
	o, err := s.place(t, key)
	if err != nil {
		t.Fatalf("order under key %q: %v", key, err)
	}
	return o.GetOrderId()
}

// keys are the two ways to ask.
func keys() map[string]string { return map[string]string{"with a key": "k1", "without a key": ""} }

func TestARetryAfterALostAnswerIsTheSameOrder(t *testing.T) {
	for name, key := range keys() {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
			first := s.must(t, key)
			if again := s.must(t, key); again != first {
				t.Errorf("asked again: order %s, want %s", again, first)
			}
			s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
		})
	}
}

func TestADoubleClickIsOneOrder(t *testing.T) {
	for name, key := range keys() {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			s.shop.Payment.Inject(demo.Fault{Latency: 200 * time.Millisecond})
			s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
			ids := make([]string, 5)
			var clicks sync.WaitGroup
			for i := range ids {
				clicks.Go(func() {
					o, err := s.place(t, key)
					if err != nil {
						t.Errorf("click %d: %v", i, err)
					}
					ids[i] = o.GetOrderId()
				})
			}
			clicks.Wait()
			for _, id := range ids {
				if id != ids[0] {
					t.Errorf("the clicks made the orders %v, want one", ids)
				}
			}
			s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
		})
	}
}

func TestARetryAfterARestartIsTheSameOrder(t *testing.T) {
	for name, key := range keys() {
		t.Run(name, func(t *testing.T) {
			record := map[string]string{"CHECKOUT_DB": filepath.Join(t.TempDir(), "orders.db")}
			s := open(t, record)
			s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
			first := s.must(t, key)
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			s = openIn(t, s.shop, record)
			if again := s.must(t, key); again != first {
				t.Errorf("asked again: order %s, want %s", again, first)
			}
			s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
		})
	}
}

func TestAskingAnotherReplicaIsTheSameOrder(t *testing.T) {
	server := pgtest.Start(t)
	for name, key := range keys() {
		t.Run(name, func(t *testing.T) {
			record := map[string]string{"CHECKOUT_DB": server.Fresh(t)}
			one := open(t, record)
			replicas := []*service{one, openIn(t, one.shop, record)}
			one.shop.Payment.Inject(demo.Fault{Latency: 200 * time.Millisecond})
			one.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
			ids := make([]string, 4)
			var clicks sync.WaitGroup
			for i := range ids { // at once, on both
				clicks.Go(func() {
					o, err := replicas[i%2].place(t, key)
					if err != nil {
						t.Errorf("click %d: %v", i, err)
					}
					ids[i] = o.GetOrderId()
				})
			}
			clicks.Wait()
			if err := one.stop(); err != nil { // and later, when the first is gone
				t.Fatal(err)
			}
			for _, id := range append(ids, replicas[1].must(t, key)) {
				if id != ids[0] || id == "" {
					t.Errorf("the orders are %v, want one", ids)
				}
			}
			one.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
		})
	}
}

func TestAReusedKeyIsRefused(t *testing.T) {
	s := open(t, nil)
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	s.must(t, "k1")
	_, err := s.PlaceOrder(withKey(t.Context(), "k1"), request("ada", "EUR"))
	if code, reason, moved := refusal(t, err); code != codes.FailedPrecondition || reason != "IDEMPOTENCY_KEY_REUSED" || moved != "no" {
		t.Errorf("answered %v, %s, money moved: %s; want that the key is another request's", code, reason, moved)
	}
}

func TestAChargeWithoutAnAnswerIsLookedUp(t *testing.T) {
	s := open(t, map[string]string{"PAYMENT_MODE": "keyed", "CHECKOUT_CHARGE_TIMEOUT": "3s"}) // enough for the charge to leave
	s.shop.Payment.HonourKeys(true)
	s.shop.Payment.Inject(demo.Fault{Kind: demo.HangAfter}, "Charge")
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	s.must(t, "")
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
}

func TestAnOperatorResolvesAnOrderInDoubt(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:0"})
	s.shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer})
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	if _, err := s.place(t, "k1"); status.Code(err) != codes.Aborted {
		t.Fatalf("answered %v, want ABORTED", err)
	}
	orders := checkoutv1.NewOrderServiceClient(nettest.DialGRPC(t, s.addr))
	o, err := orders.GetOrder(t.Context(), &checkoutv1.GetOrderRequest{UserId: "ada", IdempotencyKey: "k1"})
	if err != nil || o.GetState() != checkoutv1.OrderState_IN_DOUBT || !o.GetRequiresOperator() {
		t.Fatalf("on record: %v, %v; want it in doubt", o, err)
	}
	resolve := &checkoutv1.ResolveOrderRequest{
		OrderId: o.GetOrderId(), Resolution: checkoutv1.ResolveOrderRequest_PAID,
		TransactionId: s.shop.Payment.Charges()[0].TransactionID, By: "grace", Why: "the bank has it",
	}
	if _, err := checkoutv1.NewOrderAdminClient(nettest.DialGRPC(t, s.addr)).ResolveOrder(t.Context(), resolve); status.Code(err) != codes.Unimplemented {
		t.Errorf("resolved by way of the shop's port: %v, want that it is not served there", err)
	}
	if _, err := checkoutv1.NewOrderAdminClient(nettest.DialGRPC(t, s.admin(t))).ResolveOrder(t.Context(), resolve); err != nil {
		t.Fatal(err)
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
	if again := s.must(t, "k1"); again != o.GetOrderId() {
		t.Errorf("asked again: order %s, want %s", again, o.GetOrderId())
	}
}

func TestWithoutItsDatabaseNothingIsCharged(t *testing.T) {
	server := pgtest.StartOwn(t)
	s := open(t, map[string]string{"CHECKOUT_DB": server.Fresh(t)})
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := s.place(t, "k1")
	if code, _, moved := refusal(t, err); code != codes.Unavailable || moved != "unknown" { // by an earlier call
		t.Errorf("without the database: %v, money moved: %s; want UNAVAILABLE, unknown", code, moved)
	}
	if n := len(s.shop.Payment.Charges()); n != 0 {
		t.Errorf("%d charges, want none", n)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(t, "an order once the database is back", func() bool {
		_, err := s.place(t, "k1")
		return err == nil
	})
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
}

// admin is the address of the operators' listener, as the log tells it.
func (s *service) admin(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var said struct{ Msg, For, Address string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		if said.Msg == "serving" && said.For == "operators" {
			return said.Address
		}
	}
	t.Fatal("nobody serves operators")
	return ""
}

func TestAnOrderInDoubtIsLookedUpOnceThePaymentServiceCanBeAsked(t *testing.T) {
	set := map[string]string{"CHECKOUT_DB": filepath.Join(t.TempDir(), "orders.db")}
	s := open(t, set)
	s.shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer}, "Charge")
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	if _, err := s.place(t, "k1"); status.Code(err) != codes.Aborted {
		t.Fatalf("answered %v, want ABORTED", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	set["PAYMENT_MODE"] = "keyed"
	s.shop.Payment.HonourKeys(true)
	s = openIn(t, s.shop, set)
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
}

func TestADatabasesPasswordIsNotPrinted(t *testing.T) {
	for _, db := range []string{"host=db user=checkout password=hunter2", "postgres://checkout:hunter2@127.0.0.1:1/orders", "postgres://127.0.0.1:1/orders?password=hunter2"} {
		environ := map[string]string{
			"CHECKOUT_PORT": "0", "CART_ADDR": "a:1", "PRODUCT_CATALOG_ADDR": "a:1", "CURRENCY_ADDR": "a:1", "PAYMENT_ADDR": "a:1",
			"SHIPPING_ADDR": "a:1", "EMAIL_ADDR": "a:1", "CHECKOUT_DB": db, "OTEL_SDK_DISABLED": "true",
		}
		var log output.Buffer
		config, err := serve.ParseConfig(nil, func(name string) string { return environ[name] })
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2) // the database might start yet
			err = serve.Run(ctx, config, &log, nil)
			cancel()
		}
		if err == nil || strings.Contains(err.Error()+log.String(), "hunter2") {
			t.Errorf("CHECKOUT_DB=%s: %v, and the log\n%s\nwant a failure without the password", db, err, &log)
		}
	}
}
