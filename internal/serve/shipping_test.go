package serve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/test/nettest"
)

// carrier is a shipping service that answers the shipment of an order as the street says where it goes.
type carrier struct {
	mu    sync.Mutex
	asked map[string]int // by street
	does  map[string]http.HandlerFunc
}

func (c *carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if strings.HasSuffix(r.URL.Path, "/get-quote") {
		_, _ = io.WriteString(w, `{"cost_usd":{"currency_code":"USD","units":8,"nanos":0}}`)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for street, do := range c.does {
		if strings.Contains(string(body), fmt.Sprintf(`"street_address":%q`, street)) {
			c.asked[street]++
			do(w, r)
		}
	}
}

func (c *carrier) count(street string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[street]
}

func replies(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// breaks answers nothing, or the beginning of an answer.
func breaks(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
}

func TestShippingsAnswerDecidesWhetherItIsRetried(t *testing.T) {
	const id = `{"tracking_id":"T-1"}`
	type answer struct {
		do    http.HandlerFunc
		state checkoutv1.OrderState
	}
	answers := map[string]answer{
		"a connection that breaks": {breaks(""), checkoutv1.OrderState_PARKED},
		"an answer that breaks":    {breaks("HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"tra"), checkoutv1.OrderState_PARKED},
		"500 with an id":           {replies(500, id), checkoutv1.OrderState_PARKED},
	}
	for _, code := range []int{200, 201, 202, 299} {
		answers[fmt.Sprint(code, " with an id")] = answer{replies(code, id), checkoutv1.OrderState_COMPLETED}
	}
	for _, code := range []int{204, 301, 401, 404, 409, 500, 502, 504} {
		answers[fmt.Sprint(code)] = answer{replies(code, ""), checkoutv1.OrderState_PARKED}
	}
	for _, code := range []int{429, 503} {
		answers[fmt.Sprint(code)] = answer{replies(code, ""), checkoutv1.OrderState_CHARGED}
	}
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "an empty object": "{}", "no id": `{"id":"T-1"}`, "an empty id": `{"tracking_id":""}`, "a blank id": `{"tracking_id":" "}`,
		"a null id": `{"tracking_id":null}`, "a number": `{"tracking_id":1}`, "a list": `["T-1"]`, "a text": `"T-1"`, "HTML": "<p>T-1</p>",
		"half of it": `{"tracking_id":"T-`, "two of them": id + id, "an endless id": `{"tracking_id":"` + strings.Repeat("T", 300) + `"}`,
		"an endless answer": id + strings.Repeat(" ", 1<<17), "no UTF-8": "{\"tracking_id\":\"\xff\"}", "a control character": `{"tracking_id":"T\u0000"}`,
		"an error inside": `{"error":"no lorry"}`,
	} {
		answers["200 with "+name] = answer{replies(200, body), checkoutv1.OrderState_PARKED}
	}
	c := &carrier{asked: map[string]int{}, does: map[string]http.HandlerFunc{}}
	for street, a := range answers {
		c.does[street] = a.do
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	s := open(t, map[string]string{"SHIPPING_ADDR": server.URL, "CHECKOUT_SHIP_ATTEMPTS": "1"})
	orders := checkoutv1.NewOrderServiceClient(nettest.DialGRPC(t, s.addr))
	for street, want := range answers {
		t.Run(street, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s.shop.Cart.Put(street, "OLJCESPC7Z", 1)
			req := request(street, "USD")
			req.Email, req.Address.StreetAddress = "ada@example.com", street
			var trailer metadata.MD
			resp, err := s.PlaceOrder(ctx, req, grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Join(trailer.Get("checkout-order-state"), ","); want.state != checkoutv1.OrderState_COMPLETED && told != strings.ToLower(want.state.String()) {
				t.Errorf("the trailer says %q, want %v", told, want.state)
			}
			attempts := int32(1) // on record
			if want.state == checkoutv1.OrderState_CHARGED {
				attempts = 0 // none of those that were made
			}
			var o *checkoutv1.Order
			for ctx.Err() == nil && (o.GetState() != want.state || o.GetShipAttempts() != attempts) {
				if o, err = orders.GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: resp.GetOrder().GetOrderId()}); err != nil {
					t.Fatal(err)
				}
			}
			if n := c.count(street); n != 1 && want.state != checkoutv1.OrderState_CHARGED || n < 3 && want.state == checkoutv1.OrderState_CHARGED {
				t.Errorf("the carrier was asked %d times, and the order is %v", n, o.GetState())
			}
		})
	}
	if charges := len(s.shop.Payment.Charges()); charges != len(answers) {
		t.Errorf("%d charges for %d orders", charges, len(answers))
	}
	if mails := s.shop.Ledgers().Total().Emails; mails > 4 {
		t.Errorf("%d e-mails for 4 orders that were shipped", mails)
	}
}
