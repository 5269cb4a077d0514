package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"checkout/gen/flagd/evaluationv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
)

// step is a call that an order makes of a service, or a service that it does without.
type step struct {
	name     string
	at       func(s *demo.Shop) string                    // the service's address
	move     func(environ map[string]string, addr string) // makes the service call another address instead
	method   string                                       // empty: all of the service's
	protocol protocol
	data     func() []mode // wrong answers that are well-formed
	currency string        // in which all customers pay; empty: USD
	optional bool          // the order does not need it: customers notice nothing
	database bool          // it is that of the record, and well until the service serves
	again    bool          // an earlier step needs the same service
}

type protocol int

const (
	tcp protocol = iota // nothing but connections can go wrong
	grpc
	http1
)

// steps are those of an order, in their order.
func steps() []step {
	env := func(name, prefix string) func(map[string]string, string) {
		return func(environ map[string]string, addr string) { environ[name] = prefix + addr }
	}
	cart, currency := func(s *demo.Shop) string { return s.Cart.Address() }, func(s *demo.Shop) string { return s.Currency.Address() }
	shipping := func(s *demo.Shop) string { return s.Shipping.Address() }
	return []step{
		{name: "cart", at: cart, move: env("CART_ADDR", ""), method: "GetCart", protocol: grpc, data: cartData},
		{name: "product", at: func(s *demo.Shop) string { return s.Catalog.Address() }, move: env("PRODUCT_CATALOG_ADDR", ""), method: "GetProduct", protocol: grpc, data: productData},
		{name: "currencies", at: currency, move: env("CURRENCY_ADDR", ""), method: "GetSupportedCurrencies", protocol: grpc, data: currenciesData, optional: true},
		{name: "conversion", at: currency, move: env("CURRENCY_ADDR", ""), method: "Convert", protocol: grpc, data: conversionData, currency: "EUR"},
		{name: "quote", at: shipping, move: env("SHIPPING_ADDR", "http://"), method: "get-quote", protocol: http1, data: quoteData},
		{name: "charge", at: func(s *demo.Shop) string { return s.Payment.Address() }, move: env("PAYMENT_ADDR", ""), method: "Charge", protocol: grpc, data: chargeData},
		{name: "shipping", at: shipping, move: env("SHIPPING_ADDR", "http://"), method: "ship-order", protocol: http1, data: shippingData, again: true},
		{name: "emptying", at: cart, move: env("CART_ADDR", ""), method: "EmptyCart", protocol: grpc, optional: true, again: true},
		{name: "email", at: func(s *demo.Shop) string { return s.Email.Address() }, move: env("EMAIL_ADDR", "http://"), method: "send_order_confirmation", protocol: http1, optional: true},
		{name: "event", at: func(s *demo.Shop) string { return s.Broker.Address() }, move: env("KAFKA_ADDR", ""), protocol: tcp, data: kafkaModes, optional: true},
		{name: "flags", at: func(s *demo.Shop) string { return s.Flags.Address() }, move: func(environ map[string]string, addr string) {
			environ["FLAGD_HOST"], environ["FLAGD_PORT"], _ = net.SplitHostPort(addr) // it is a listener's
		}, protocol: grpc, data: flagsData, optional: true},
		{name: "database", database: true, data: databaseModes},
		{name: "record", at: cart, move: func(map[string]string, string) {}, data: diskModes, again: true},
		{name: "telemetry", at: func(s *demo.Shop) string { return s.Collector.Address() }, move: env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"), protocol: grpc, optional: true},
	}
}

// modes are the ways in which a step can go wrong. A connection that goes wrong is one of the whole service, and so it
// does at the first step that needs it.
func (s step) modes() []mode {
	var modes []mode
	if !s.again {
		modes = connModes()
	}
	switch s.protocol {
	case grpc:
		modes = append(append(modes, timeModes()...), grpcModes()...)
	case http1:
		modes = append(append(modes, timeModes()...), httpModes()...)
	case tcp:
	}
	if s.data != nil {
		modes = append(modes, s.data()...)
	}
	return modes
}

// wrong is a well-formed gRPC answer after the call was done.
func wrong(name string, message proto.Message) mode {
	body, _ := proto.MarshalOptions{AllowPartial: true}.Marshal(message) // it can always be written
	return wrongBytes(name, body)
}

// wrongBytes is likewise, for what protobuf would not write.
func wrongBytes(name string, message []byte) mode {
	return done("answers "+name, func(x *exchange, a *answer) {
		a.body = frame(message)
		x.write(a)
	})
}

func cartData() []mode {
	line := func(id string, quantity int32) *oteldemo.CartItem {
		return &oteldemo.CartItem{ProductId: id, Quantity: quantity}
	}
	cart := func(name string, items ...*oteldemo.CartItem) mode { return wrong(name, &oteldemo.Cart{Items: items}) }
	many := func(n int) []*oteldemo.CartItem {
		var items []*oteldemo.CartItem
		for i := range n {
			items = append(items, line(fmt.Sprintf("P%d", i), 1))
		}
		return items
	}
	return []mode{
		cart("an empty cart"), cart("quantity 0", line("OLJCESPC7Z", 0)), cart("quantity -1", line("OLJCESPC7Z", -1)),
		cart("quantity 2³¹-1", line("OLJCESPC7Z", 1<<31-1)), cart("an unknown product", line("NOSUCHTHING", 1)), cart("no product id", line("", 1)),
		cart("a product id of 16 KiB", line(strings.Repeat("x", 16<<10), 1)), cart("a product twice", line("OLJCESPC7Z", 1), line("OLJCESPC7Z", 1)),
		cart("201 products", many(201)...), cart("5,000 products", many(5000)...), cart("1,000 lines of one product", slices.Repeat([]*oteldemo.CartItem{line("OLJCESPC7Z", 1)}, 1000)...),
		cart("quantities that cancel out", line("OLJCESPC7Z", 2), line("OLJCESPC7Z", -2)),
		wrong("another user's cart", &oteldemo.Cart{UserId: "somebody else", Items: []*oteldemo.CartItem{line("OLJCESPC7Z", 1)}}),
		wrongBytes("a product id that is no UTF-8", []byte{0x12, 0x06, 0x0a, 0x02, 0xff, 0xfe, 0x10, 0x01}),
		wrongBytes("a line that is empty", []byte{0x12, 0x00}),
		wrongBytes("1 MiB of empty lines", bytes.Repeat([]byte{0x12, 0x00}, 500_000)),
	}
}

// amounts are money that cannot be.
func amounts() map[string]*oteldemo.Money {
	m := func(currency string, units int64, nanos int32) *oteldemo.Money {
		return &oteldemo.Money{CurrencyCode: currency, Units: units, Nanos: nanos}
	}
	return map[string]*oteldemo.Money{
		"no money": nil, "no currency": m("", 1, 0), "another currency": m("JPY", 5, 0), "a currency in small emails": m("usd", 5, 0), "no such currency": m("XXQ", 5, 0),
		"a price below 0": m("USD", -5, 0), "a price of 0": m("USD", 0, 0), "2·10⁹ nanos": m("USD", 1, 2_000_000_000), "mixed signs": m("USD", 5, -1),
		"10¹⁸": m("USD", 1_000_000_000_000_000_000, 0), "2⁶³-1": m("USD", 1<<63-1, 999_999_999), "-2⁶³": m("USD", -1<<63, 0), "a billionth": m("USD", 0, 1),
	}
}

func productData() []mode {
	modes := []mode{
		wrong("another product", &oteldemo.Product{Id: "66VCHSJNUP", PriceUsd: &oteldemo.Money{CurrencyCode: "USD", Units: 1}}),
		wrong("nothing", &oteldemo.Product{}),
		wrongBytes("1 MiB of empty categories", bytes.Repeat([]byte{0x32, 0x00}, 500_000)),
		wrong("a picture of 1 MiB", &oteldemo.Product{Id: "OLJCESPC7Z", Picture: strings.Repeat("x", 1<<20), PriceUsd: &oteldemo.Money{CurrencyCode: "USD", Units: 1}}),
	}
	for name, money := range amounts() {
		modes = append(modes, wrong(name, &oteldemo.Product{Id: "OLJCESPC7Z", PriceUsd: money}))
	}
	return modes
}

func currenciesData() []mode {
	return []mode{
		wrong("no currency", &oteldemo.GetSupportedCurrenciesResponse{}),
		wrong("other currencies", &oteldemo.GetSupportedCurrenciesResponse{CurrencyCodes: []string{"XXX", "", "eur"}}),
		wrongBytes("1 MiB of empty currencies", bytes.Repeat([]byte{0x0a, 0x00}, 500_000)),
		wrong("5,000 currencies", &oteldemo.GetSupportedCurrenciesResponse{CurrencyCodes: slices.Repeat([]string{"EUR"}, 5000)}),
	}
}

// flagsData are endless events, whatever is called.
func flagsData() []mode {
	events := func(name string, event proto.Message) mode {
		return mode{name: name, call: func(x *exchange) {
			x.Header().Set("Content-Type", "application/grpc")
			body, _ := proto.Marshal(event) // it can always be written
			x.endless(frame(body))
		}}
	}
	return []mode{
		events("endless changes", &evaluationv1.EventStreamResponse{Type: "configuration_change"}),
		events("endless events of 900 KiB", &evaluationv1.EventStreamResponse{Type: strings.Repeat("x", 900<<10)}),
	}
}

func conversionData() []mode {
	modes := []mode{
		wrong("the same in dollars", &oteldemo.Money{CurrencyCode: "USD", Units: 5}),
		wrong("a thousand times too much", &oteldemo.Money{CurrencyCode: "EUR", Units: 500_000}),
		wrong("less than 0", &oteldemo.Money{CurrencyCode: "EUR", Units: -5}),
		wrong("0 for something", &oteldemo.Money{CurrencyCode: "EUR"}),
		wrong("2·10⁹ nanos of EUR", &oteldemo.Money{CurrencyCode: "EUR", Units: 5, Nanos: 2_000_000_000}),
		wrong("mixed signs in EUR", &oteldemo.Money{CurrencyCode: "EUR", Units: 5, Nanos: -1}),
		wrong("10¹⁸ EUR", &oteldemo.Money{CurrencyCode: "EUR", Units: 1_000_000_000_000_000_000}),
	}
	for name, money := range amounts() {
		if money == nil {
			money = &oteldemo.Money{}
		}
		modes = append(modes, wrong(name, money))
	}
	return modes
}

func chargeData() []mode {
	id := func(name, id string) mode {
		return wrong("transaction id: "+name, &oteldemo.ChargeResponse{TransactionId: id})
	}
	modes := []mode{
		id("none", ""), id("1 MiB", strings.Repeat("x", 1<<20)), id("line breaks", "a\r\nb"), id("markup", "<script>alert(1)</script>"), id("blanks", "   "),
		done("transaction id: the card's number", func(x *exchange, a *answer) {
			body, _ := proto.Marshal(&oteldemo.ChargeResponse{TransactionId: cardOf(x)}) // text can always be written
			a.body = frame(body)
			x.write(a)
		}),
	}
	for name, format := range map[string]string{
		"the number": "Card %s is not accepted.", "the number in groups": "Card %.4s-%[1]s is not accepted.", "the CVV": "Credit card info is invalid. cvv " + cvv,
	} {
		modes = append(modes, mode{name: "refuses with " + name, call: func(x *exchange) {
			text := format
			if strings.Contains(format, "%") {
				text = fmt.Sprintf(format, cardOf(x))
			}
			trailersOnly(x, "2", text)
		}})
	}
	return modes
}

// cardOf is the number of the card that is to be charged.
func cardOf(x *exchange) string {
	var req oteldemo.ChargeRequest
	_ = proto.Unmarshal(x.body[min(5, len(x.body)):], &req) // what cannot be read has no card
	return strings.ReplaceAll(req.GetCreditCard().GetCreditCardNumber(), "-", "")
}

// json is an HTTP answer after the call was done. # stands for a number of its own.
func json(name, body string) mode {
	return mode{name: "answers " + name, effect: true, call: func(x *exchange) {
		x.forward()
		x.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(x, strings.ReplaceAll(body, "#", uuid.NewString())) // the caller may have left
	}}
}

func quoteData() []mode {
	var modes []mode
	for name, cost := range map[string]string{
		"null": `null`, "a text": `"8.99"`, "a number": `8.99`, "no currency": `{"units":8,"nanos":0}`, "another currency": `{"currency_code":"JPY","units":8,"nanos":0}`,
		"units in quotes": `{"currency_code":"USD","units":"8","nanos":0}`, "a fraction of units": `{"currency_code":"USD","units":8.5,"nanos":0}`,
		"less than 0": `{"currency_code":"USD","units":-8,"nanos":0}`, "2·10⁹ nanos": `{"currency_code":"USD","units":8,"nanos":2000000000}`,
		"mixed signs": `{"currency_code":"USD","units":8,"nanos":-1}`, "10¹⁸": `{"currency_code":"USD","units":1000000000000000000,"nanos":0}`,
		"10²⁵": `{"currency_code":"USD","units":10000000000000000000000000,"nanos":0}`, "10⁴⁰⁰": `{"currency_code":"USD","units":1e400,"nanos":0}`,
		"twice": `{"currency_code":"USD","units":8,"nanos":0},"cost_usd":{"currency_code":"USD","units":1,"nanos":0}`,
	} {
		modes = append(modes, json("cost "+name, `{"cost_usd":`+cost+`}`))
	}
	return modes
}

func shippingData() []mode {
	var modes []mode
	for name, id := range map[string]string{
		"none": `""`, "null": `null`, "a number": `7`, "an array": `["T-1"]`, "blanks": `"   "`, "line breaks": `"a\r\nb"`, "markup": `"<script>#"`,
		"a NUL": `"a\u0000b"`, "half a surrogate": `"\ud800#"`, "60 KiB": `"` + strings.Repeat("x", 60<<10) + `"`, "twice": `"T-1","tracking_id":"T-#"`,
	} {
		modes = append(modes, json("tracking id "+name, `{"tracking_id":`+id+`}`))
	}
	return modes
}
