package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/money"
	"checkout/internal/order"
)

func newShipping(t *testing.T, addr string, timeouts Timeouts) *Shipping {
	t.Helper()
	shipping, err := NewShipping(addr, newHTTP(t), timeouts)
	if err != nil {
		t.Fatal(err)
	}
	return shipping
}

var (
	home  = order.Address{Street: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"}
	lines = []order.Line{{ProductID: "OLJCESPC7Z", Quantity: 2}}
)

const parcelJSON = `{"address":{"street_address":"1 Main","city":"SF","state":"CA","country":"US","zip_code":"94102"},"items":[{"product_id":"OLJCESPC7Z","quantity":2}]}`

func TestShippingQuotesAndShipsTheSameParcel(t *testing.T) {
	t.Parallel()
	addr, requests := replying(t, 200, `{"cost_usd":{"currency_code":"USD","units":8,"nanos":990000000},"tracking_id":"PARCEL-1"}`)
	shipping := newShipping(t, addr, patient)
	cost, err := shipping.Quote(t.Context(), home, lines)
	if want := amount(t, "USD", 8, 990_000_000); cost != want || err != nil {
		t.Errorf("quote is %v, %v; want %v", cost, err, want)
	}
	parcel, err := shipping.Ship(t.Context(), orderID, home, lines)
	if parcel != "PARCEL-1" || err != nil {
		t.Errorf("parcel is %q, %v; want PARCEL-1", parcel, err)
	}
	got := []request{<-requests, <-requests}
	want := []request{
		{"POST", "/get-quote", "application/json", "", parcelJSON},
		{"POST", "/ship-order", "application/json", string(orderID), parcelJSON},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestShippingIsSentEveryKeyAlsoWhenItIsEmpty(t *testing.T) {
	t.Parallel()
	addr, requests := replying(t, 200, `{"cost_usd":{"currency_code":"USD","units":0,"nanos":0}}`)
	if _, err := newShipping(t, addr, patient).Quote(t.Context(), order.Address{City: "Østerbro \"Ø\""}, nil); err != nil {
		t.Fatal(err)
	}
	want := `{"address":{"street_address":"","city":"Østerbro \"Ø\"","state":"","country":"","zip_code":""},"items":[]}`
	if got := (<-requests).Body; got != want {
		t.Errorf("body is %s, want %s", got, want)
	}
}

func TestQuoteThatCannotBeIsImplausible(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":            ``,
		"null":               `null`,
		"no cost":            `{}`,
		"a null cost":        `{"cost_usd":null}`,
		"an empty cost":      `{"cost_usd":{}}`,
		"an error inside":    `{"error":"no lorry"}`,
		"HTML":               `<html>welcome</html>`,
		"a list":             `[{"cost_usd":{"currency_code":"USD","units":8,"nanos":0}}]`,
		"another currency":   `{"cost_usd":{"currency_code":"EUR","units":8,"nanos":0}}`,
		"no currency":        `{"cost_usd":{"units":8,"nanos":0}}`,
		"negative":           `{"cost_usd":{"currency_code":"USD","units":-8,"nanos":0}}`,
		"negative nanos":     `{"cost_usd":{"currency_code":"USD","units":0,"nanos":-1}}`,
		"mixed signs":        `{"cost_usd":{"currency_code":"USD","units":8,"nanos":-1}}`,
		"nanos of 2·10⁹":     `{"cost_usd":{"currency_code":"USD","units":8,"nanos":2000000000}}`,
		"nanos of 10¹⁰":      `{"cost_usd":{"currency_code":"USD","units":8,"nanos":10000000000}}`,
		"units of 10¹⁹":      `{"cost_usd":{"currency_code":"USD","units":10000000000000000000,"nanos":0}}`,
		"a fraction":         `{"cost_usd":{"currency_code":"USD","units":8.5,"nanos":0}}`,
		"text for a number":  `{"cost_usd":{"currency_code":"USD","units":"8","nanos":0}}`,
		"a number for text":  `{"cost_usd":{"currency_code":840,"units":8,"nanos":0}}`,
		"a number for all":   `{"cost_usd":8.99}`,
		"more after it":      `{"cost_usd":{"currency_code":"USD","units":8,"nanos":0}}{}`,
		"half of it":         `{"cost_usd":{"currency_code":"USD","un`,
		"no UTF-8":           "{\"x\":\"\xff\",\"cost_usd\":{\"currency_code\":\"USD\",\"units\":8,\"nanos\":0}}",
		"more than 64 KiB":   `{"cost_usd":{"currency_code":"USD","units":8,"nanos":0}}` + strings.Repeat(" ", maxBody),
		"deeper than a well": strings.Repeat("[", maxBody),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := replying(t, 200, body)
			_, err := newShipping(t, addr, patient).Quote(t.Context(), home, lines)
			wantError(t, err, order.ErrImplausible, "shipping: quote, lines: 1")
		})
	}
}

func TestQuoteMayBeFreeAndHaveMoreToSay(t *testing.T) {
	t.Parallel()
	addr, _ := replying(t, 200, ` {"note":"today","cost_usd":{"currency_code":"USD","units":0,"nanos":0}} `)
	cost, err := newShipping(t, addr, patient).Quote(t.Context(), home, lines)
	if cost != money.Zero("USD") || err != nil {
		t.Errorf("quote is %v, %v; want nothing", cost, err)
	}
}

func FuzzQuoteIsAnAmountOrAnError(f *testing.F) {
	f.Add(`{"cost_usd":{"currency_code":"USD","units":8,"nanos":990000000}}`)
	f.Add(`{"cost_usd":{"currency_code":"USD","units":-1e18,"nanos":-2000000000}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var answer struct {
			Cost *jsonAmount `json:"cost_usd"`
		}
		if err := decode(strings.NewReader(body), &answer); err != nil {
			wantError(t, err, order.ErrImplausible)
			return
		}
		cost, err := quoted(answer.Cost)
		if err != nil {
			wantError(t, err, order.ErrImplausible)
			return
		}
		if cost.Currency() != "USD" || cost.Sign() < 0 {
			t.Errorf("a quote of %v", cost)
		}
	})
}

func TestAnswerWithoutAUsableTrackingIDMayHaveShipped(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":               ``,
		"a blank":               ` `,
		"null":                  `null`,
		"no id":                 `{}`,
		"another name":          `{"trackingId":"PARCEL-1"}`,
		"no object":             `"PARCEL-1"`,
		"a bare word":           `PARCEL-1`,
		"a bare number":         `7`,
		"a list":                `[{"tracking_id":"PARCEL-1"}]`,
		"nested":                `{"order":{"tracking_id":"PARCEL-1"}}`,
		"an empty id":           `{"tracking_id":""}`,
		"a blank id":            `{"tracking_id":" "}`,
		"a null id":             `{"tracking_id":null}`,
		"a number":              `{"tracking_id":7}`,
		"a truth":               `{"tracking_id":true}`,
		"a list of ids":         `{"tracking_id":["PARCEL-1"]}`,
		"an object for an id":   `{"tracking_id":{"id":"PARCEL-1"}}`,
		"an endless id":         `{"tracking_id":"` + strings.Repeat("x", 257) + `"}`,
		"a control mark":        `{"tracking_id":"a\u0000b"}`,
		"a line break":          `{"tracking_id":"a\nb"}`,
		"an error inside":       `{"error":"no lorry"}`,
		"HTML":                  `<html>welcome</html>`,
		"XML":                   `<tracking_id>PARCEL-1</tracking_id>`,
		"a form":                `tracking_id=PARCEL-1`,
		"single quotes":         `{'tracking_id':'PARCEL-1'}`,
		"a comma too much":      `{"tracking_id":"PARCEL-1",}`,
		"half of it":            `{"tracking_id":"PAR`,
		"more after it":         `{"tracking_id":"PARCEL-1"} {"tracking_id":"PARCEL-2"}`,
		"a byte order mark":     "\ufeff" + `{"tracking_id":"PARCEL-1"}`,
		"no UTF-8":              "{\"tracking_id\":\"\xff\"}",
		"UTF-16":                "{\x00\"\x00}\x00",
		"more than 64 KiB":      `{"tracking_id":"PARCEL-1"}` + strings.Repeat(" ", maxBody),
		"deeper than a well":    strings.Repeat("[", maxBody),
		"compressed, unasked":   "\x1f\x8b\x08\x00",
		"an event stream":       "data: {\"tracking_id\":\"PARCEL-1\"}\n\n",
		"an id of nothing else": `{"tracking_id":"\u0000"}`,
	} {
		for _, code := range []int{200, 201, 202} {
			t.Run(fmt.Sprint(code, " ", name), func(t *testing.T) {
				t.Parallel()
				addr, _ := replying(t, code, body)
				_, err := newShipping(t, addr, patient).Ship(t.Context(), orderID, home, lines)
				wantPassing(t, err, "shipping: ship order "+string(orderID))
				wantError(t, err, order.ErrImplausible)
			})
		}
	}
	t.Run("204", func(t *testing.T) {
		t.Parallel()
		addr, _ := replying(t, 204, "")
		_, err := newShipping(t, addr, patient).Ship(t.Context(), orderID, home, lines)
		wantPassing(t, err)
		wantError(t, err, order.ErrImplausible)
	})
}
