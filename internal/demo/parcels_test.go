package demo

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/oteldemo"
)

const parcelBody = `{"address":{"street_address":"1 Main","city":"SF","state":"","country":"US","zip_code":"94102"},` +
	`"items":[{"product_id":"OLJCESPC7Z","quantity":2},{"product_id":"HQTGWGPNH4","quantity":10}]}`

func TestShippingAnswers(t *testing.T) {
	t.Parallel()
	shipping := open(t, newShipping)
	const quote = `{"cost_usd":{"currency_code":"USD","nanos":880000000,"units":107}}` + "\n" // 12 × 8.99
	for name, test := range map[string]struct {
		method, path, kind, body string
		status                   int
		answer                   string // what it contains
	}{
		"a quote":             {"POST", "/get-quote", "application/json", parcelBody, 200, quote},
		"with a charset":      {"POST", "/get-quote", "application/json; charset=utf-8", parcelBody, 200, quote},
		"in camelCase":        {"POST", "/get-quote", "application/json", camel(parcelBody), 200, quote},
		"nothing to ship":     {"POST", "/get-quote", "application/json", without(parcelBody, `{"product_id":"OLJCESPC7Z","quantity":2},{"product_id":"HQTGWGPNH4","quantity":10}`), 200, `"units":0`},
		"no zip code":         {"POST", "/ship-order", "application/json", without(parcelBody, `,"zip_code":"94102"`), 400, "missing field `zip_code`"},
		"no state":            {"POST", "/ship-order", "application/json", without(parcelBody, `"state":"",`), 400, "missing field `state`"},
		"no product":          {"POST", "/ship-order", "application/json", without(parcelBody, `"product_id":"OLJCESPC7Z",`), 400, "missing field `product_id`"},
		"no quantity":         {"POST", "/ship-order", "application/json", without(parcelBody, `,"quantity":2`), 400, "missing field `quantity`"},
		"no items":            {"POST", "/ship-order", "application/json", `{"address":{}}`, 400, "missing field `items`"},
		"a quantity in words": {"POST", "/ship-order", "application/json", strings.Replace(parcelBody, "2}", `"two"}`, 1), 400, "field `quantity`"},
		"no JSON":             {"POST", "/ship-order", "application/json", `hello`, 400, ""},
		"a form":              {"POST", "/ship-order", "application/x-www-form-urlencoded", parcelBody, 415, ""},
		"to read":             {"GET", "/ship-order", "application/json", "", 405, ""},
		"elsewhere":           {"POST", "/elsewhere", "application/json", parcelBody, 404, ""},
		"too much":            {"POST", "/ship-order", "application/json", strings.Repeat(" ", maxRequest+1), 413, ""},
	} {
		status, header, body, err := exchange(soon(t), test.method, shipping.Address(), test.path, test.kind, test.body)
		if err != nil || status != test.status || !strings.Contains(body, test.answer) {
			t.Errorf("%s: status %d, body %q, error %v", name, status, body, err)
		}
		if status == 200 && header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: answers as %q", name, header.Get("Content-Type"))
		}
	}
	if n := len(shipping.Parcels()); n != 0 {
		t.Errorf("%d parcels, want none", n)
	}
}

func without(s, part string) string { return strings.Replace(s, part, "", 1) }

func camel(body string) string {
	return strings.NewReplacer("street_address", "streetAddress", "zip_code", "zipCode", "product_id", "productId").Replace(body)
}

func TestShippingWritesEveryParcelDown(t *testing.T) {
	t.Parallel()
	shipping := open(t, newShipping)
	for range 2 {
		if _, _, err := post(soon(t), shipping.Address(), "/ship-order", parcelBody); err != nil {
			t.Fatal(err)
		}
	}
	parcels := shipping.Parcels()
	if len(parcels) != 2 || parcels[0].TrackingID == parcels[1].TrackingID {
		t.Fatalf("parcels %+v, want two", parcels)
	}
	got := parcels[0]
	if got.Key != "order-1" {
		t.Errorf("key %q, want order-1", got.Key)
	}
	if diff := cmp.Diff(&oteldemo.Address{StreetAddress: "1 Main", City: "SF", Country: "US", ZipCode: "94102"}, got.Address, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	items := []*oteldemo.CartItem{{ProductId: "OLJCESPC7Z", Quantity: 2}, {ProductId: "HQTGWGPNH4", Quantity: 10}}
	if diff := cmp.Diff(items, got.Items, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestShippingThatHonoursKeysShipsOnce(t *testing.T) {
	t.Parallel()
	shipping := open(t, newShipping)
	shipping.HonourKeys(true)
	answers := make(map[string]bool)
	for range 3 {
		_, _, body, err := exchange(soon(t), http.MethodPost, shipping.Address(), "/ship-order", "application/json", parcelBody)
		if err != nil {
			t.Fatal(err)
		}
		answers[body] = true
	}
	if len(answers) != 1 || len(shipping.Parcels()) != 1 {
		t.Errorf("%d answers, %d parcels, want one", len(answers), len(shipping.Parcels()))
	}
}

func TestShippingThatBeginsToHonourKeysAnswersLikeTheFirstTime(t *testing.T) {
	t.Parallel()
	shipping := open(t, newShipping)
	ship := func() string {
		_, _, body, err := exchange(soon(t), http.MethodPost, shipping.Address(), "/ship-order", "application/json", parcelBody)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	first, second := ship(), ship()
	shipping.HonourKeys(true)
	if third := ship(); third != first || third == second {
		t.Errorf("it answers %q, want %q as at first", third, first)
	}
}

func TestShippingCanRefuseAParcelForGoodThatItHasQuoted(t *testing.T) {
	t.Parallel()
	shipping := open(t, newShipping)
	shipping.Inject(Fault{Kind: Refuse, Status: http.StatusUnprocessableEntity, Text: "no lorry goes there"}, "ship-order")
	if status, _, err := post(soon(t), shipping.Address(), "/get-quote", parcelBody); status != 200 || err != nil {
		t.Errorf("the quote: status %d, error %v, want 200", status, err)
	}
	if status, _, err := post(soon(t), shipping.Address(), "/ship-order", parcelBody); status != 422 || err != nil {
		t.Errorf("the parcel: status %d, error %v, want 422", status, err)
	}
	if n := len(shipping.Parcels()); n != 0 {
		t.Errorf("%d parcels, want none", n)
	}
}

const orderBody = `{"email":"ann@example.com","order":{"order_id":"order-1","shipping_tracking_id":"track-1",` +
	`"shipping_cost":{"currency_code":"USD","units":8,"nanos":90000000},` +
	`"shipping_address":{"street_address":"1 Main","city":"SF","state":"CA","country":"US","zip_code":"94102"},` +
	`"items":[{"item":{"product_id":"OLJCESPC7Z","quantity":2},"cost":{"currency_code":"USD","units":101,"nanos":960000000}}]}}`

func newMail(n *Server) (*Email, func() error) { return newEmail(n, &Catalog{products: products()}) }

func TestEmailKeepsConfirmationsThatCanBeRead(t *testing.T) {
	t.Parallel()
	email := open(t, newMail)
	if status, _, err := post(soon(t), email.Address(), "/send_order_confirmation", orderBody); status != 200 || err != nil {
		t.Fatalf("status %d, error %v", status, err)
	}
	const want = `To: ann@example.com
Subject: Your order is on its way

Thank you for your order order-1.

  2 × USD 101.96  USD 203.92  National Park Foundation Explorascope
                    USD 8.09  Shipping
                  USD 212.01  Total

Shipped to: 1 Main, SF CA 94102, US
Tracking number: track-1
`
	sent := email.Sent()
	if len(sent) != 1 || sent[0].To != "ann@example.com" || sent[0].OrderID != "order-1" || sent[0].Key != "order-1" {
		t.Fatalf("e-mails %+v", sent)
	}
	if diff := cmp.Diff(want, sent[0].Text); diff != "" {
		t.Error(diff)
	}
}

func TestEmailFailsAsItsTemplateDoes(t *testing.T) {
	t.Parallel()
	email := open(t, newMail)
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"no shipping cost": {without(orderBody, `"shipping_cost":{"currency_code":"USD","units":8,"nanos":90000000},`), 500},
		"no address":       {strings.Replace(orderBody, "shipping_address", "other", 1), 500},
		"no items":         {strings.Replace(orderBody, `"items"`, `"other"`, 1), 500},
		"nothing":          {`{}`, 500},
		"no JSON":          {`hello`, 400},
		"no tracking id":   {without(orderBody, `"shipping_tracking_id":"track-1",`), 200},
		"no zip code":      {without(orderBody, `,"zip_code":"94102"`), 200},
		"one key more":     {strings.Replace(orderBody, `{`, `{"extra":1,`, 1), 200},
	} {
		if status, _, err := post(soon(t), email.Address(), "/send_order_confirmation", test.body); status != test.status || err != nil {
			t.Errorf("%s: status %d, error %v, want %d", name, status, err, test.status)
		}
	}
	if n := len(email.Sent()); n != 3 {
		t.Errorf("%d e-mails, want the 3 that could be written", n)
	}
}
