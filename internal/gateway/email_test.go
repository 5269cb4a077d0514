package gateway

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

func newEmail(t *testing.T, addr string, timeouts Timeouts) *Email {
	t.Helper()
	email, err := NewEmail(addr, newHTTP(t), timeouts)
	if err != nil {
		t.Fatal(err)
	}
	return email
}

// placed is an order as it is when customers and consumers are told of it.
func placed(t *testing.T) *order.Order {
	t.Helper()
	return &order.Order{
		ID: orderID, TrackingID: "PARCEL-1", Email: "a@example.com", Address: home, Currency: "USD",
		Shipping: amount(t, "USD", 8, 90_000_000),
		Items:    []order.Item{{Line: lines[0], Cost: amount(t, "USD", 101, 960_000_000)}},
	}
}

func TestMailConfirmsTheOrderWithEveryKey(t *testing.T) {
	t.Parallel()
	addr, requests := replying(t, 200, "")
	email := newEmail(t, addr, patient)
	if err := email.Confirm(t.Context(), placed(t)); err != nil {
		t.Fatal(err)
	}
	if err := email.Confirm(t.Context(), &order.Order{ID: "2", Items: []order.Item{{}}}); err != nil {
		t.Fatal(err)
	}
	got := []request{<-requests, <-requests}
	want := []request{
		{"POST", "/send_order_confirmation", "application/json", string(orderID), `{"email":"a@example.com",` +
			`"order":{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","shipping_tracking_id":"PARCEL-1",` +
			`"shipping_cost":{"currency_code":"USD","units":8,"nanos":90000000},` +
			`"shipping_address":{"street_address":"1 Main","city":"SF","state":"CA","country":"US","zip_code":"94102"},` +
			`"items":[{"item":{"product_id":"OLJCESPC7Z","quantity":2},"cost":{"currency_code":"USD","units":101,"nanos":960000000}}]}}`},
		{"POST", "/send_order_confirmation", "application/json", "2", `{"email":"",` +
			`"order":{"order_id":"2","shipping_tracking_id":"","shipping_cost":{"currency_code":"","units":0,"nanos":0},` +
			`"shipping_address":{"street_address":"","city":"","state":"","country":"","zip_code":""},` +
			`"items":[{"item":{"product_id":"","quantity":0},"cost":{"currency_code":"","units":0,"nanos":0}}]}}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestErrorsOfTheMailDoNotNameTheCustomer(t *testing.T) {
	t.Parallel()
	refusing, _ := replying(t, 422, "no such mailbox: a@example.com")
	for _, addr := range []string{refusing, nettest.Reserve(t), silent(t)} {
		err := newEmail(t, addr, soon).Confirm(t.Context(), placed(t))
		wantError(t, err, nil, "email: confirm order "+string(orderID))
		if strings.Contains(err.Error(), "example.com") {
			t.Errorf("the customer's address leaks: %q", err)
		}
	}
}
