package serve_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
	"checkout/internal/admission"
	"checkout/internal/demo"
	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/telemetry"
	"checkout/internal/test/cardtest"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
)

// Canaries are card numbers that are looked for afterwards, in all that the service has written anywhere.

// sinks are the places that something is written to, and what.
type sinks map[string]string

// hold tells which sinks hold a canary, however it is spelt.
func (s sinks) hold(canaries []string) (found []string) {
	for name, text := range s {
		compact := strings.NewReplacer(" ", "", "-", "", "\n", "", "\u00a0", "").Replace(text)
		for _, number := range canaries {
			if strings.Contains(compact, number) {
				found = append(found, name+" holds "+number)
			}
		}
	}
	return found
}

// telemetrySinks are what the collector has got, as bytes and as text, and stdout.
func telemetrySinks(t *testing.T, c *demo.Collector, stdout string) sinks {
	t.Helper()
	s := sinks{"stdout": stdout}
	add := func(name string, m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		s[name] += string(raw) + prototext.MarshalOptions{}.Format(m) + "\n"
	}
	for _, span := range c.Spans() {
		add("spans", span.Span)
		add("resource", span.Resource)
	}
	for _, log := range c.Logs() {
		add("log records", log.LogRecord)
	}
	for _, metric := range c.Metrics() {
		add("metrics", metric.Metric)
	}
	for _, name := range []string{"stdout", "spans", "log records", "metrics"} {
		if s[name] == "" {
			t.Errorf("there are no %s to look through", name)
		}
	}
	return s
}

// worldSinks are the record's files, the topic, the e-mails, and what was said to services other than payment.
func worldSinks(t *testing.T, shop *demo.Shop, folder string) sinks {
	t.Helper()
	s := sinks{}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the record has the files %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s["the record"] += string(content)
	}
	for _, event := range shop.Accounting.Events() {
		s["events"] += event.Key + string(event.Value) + fmt.Sprint(event.Headers) + "\n"
	}
	for _, mail := range shop.Email.Sent() {
		s["e-mails"] += mail.To + mail.Text + "\n"
	}
	for name, n := range map[string]*demo.Server{
		"cart": shop.Cart.Server, "catalog": shop.Catalog.Server, "currency": shop.Currency.Server,
		"shipping": shop.Shipping.Server, "email": shop.Email.Server, "flags": shop.Flags.Server,
	} {
		for _, call := range n.Calls("") {
			s["calls to "+name] += fmt.Sprint(call.Header, string(call.Body), call.Message) + "\n"
		}
	}
	return s
}

// answers are the texts of what callers are told, details included.
type answers struct{ strings.Builder }

func (a *answers) keep(order *oteldemo.OrderResult, err error) {
	fmt.Fprintln(a, prototext.Format(order), err, prototext.Format(status.Convert(err).Proto()))
}

// TestNoCardIsWrittenAnywhere pays with every card in every spelling, with each way for it to end.
func TestNoCardIsWrittenAnywhere(t *testing.T) {
	folder := t.TempDir()
	s := open(t, map[string]string{"CHECKOUT_DB": filepath.Join(folder, "orders.db"), "CHECKOUT_TELEMETRY_NAMES": "both", "LOG_LEVEL": "debug"})
	payment, shipping, email := s.shop.Payment.Server, s.shop.Shipping.Server, s.shop.Email.Server
	var told answers
	placed, n, canaries := 0, 0, cardtest.Numbers("45")
	for _, number := range canaries {
		for _, spelt := range cardtest.Typed(number) {
			echo := "no luck with " + spelt + " 09/31"
			for end, inject := range map[string]func(demo.Fault){
				"placed": func(demo.Fault) {},
				"declined": func(on demo.Fault) {
					payment.Inject(with(on, codes.Unknown, 0, "Credit card info is invalid. "+echo))
				},
				"in doubt": func(on demo.Fault) { payment.Inject(with(on, codes.Internal, 0, echo)) },
				"unshippable": func(on demo.Fault) {
					shipping.Inject(with(on, 0, http.StatusUnprocessableEntity, echo), "ship-order")
				},
				"without a quote": func(on demo.Fault) { shipping.Inject(with(on, 0, http.StatusBadGateway, echo), "get-quote") },
				"unconfirmed":     func(on demo.Fault) { email.Inject(with(on, 0, http.StatusUnprocessableEntity, echo)) },
			} {
				n++
				inject(demo.Fault{Kind: demo.Refuse})
				req := request(fmt.Sprintf("user-%d", n), "USD")
				req.CreditCard.CreditCardNumber = spelt
				s.shop.Cart.Put(req.GetUserId(), "OLJCESPC7Z", 1)
				resp, err := s.PlaceOrder(traced(t.Context()), req)
				told.keep(resp.GetOrder(), err)
				if good := end == "placed" || end == "unconfirmed"; good != (err == nil) {
					t.Fatalf("%s: %v", end, err)
				}
				if err == nil {
					placed++
					s.await(t, "the event", func() bool { return s.shop.Ledgers().Total().Events >= placed })
				}
				for _, server := range []*demo.Server{payment, shipping, email} {
					server.Inject(demo.Fault{})
					server.Inject(demo.Fault{}, "ship-order", "get-quote")
				}
			}
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, all := range []sinks{telemetrySinks(t, s.shop.Collector, s.log.String()), worldSinks(t, s.shop, folder), {"answers": told.String()}} {
		for _, hit := range all.hold(canaries) {
			t.Error(hit)
		}
	}
}

// with is a fault, with a code or a status, with a text.
func with(t demo.Fault, code codes.Code, status int, text string) demo.Fault {
	t.Code, t.Status, t.Text = code, status, text
	return t
}

// TestACardInTheWrongFieldIsInNoTelemetry has card numbers in every field that is text. A customer who writes one into an
// address gets a parcel and an e-mail with it, and it is on record; but nobody reads it in a trace or in the log.
func TestACardInTheWrongFieldIsInNoTelemetry(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_TELEMETRY_NAMES": "both", "LOG_LEVEL": "debug"})
	var told strings.Builder
	canaries, placed := cardtest.Numbers("51"), 0
	for i, number := range canaries {
		for _, spelt := range cardtest.Typed(number) {
			next := func(n int) string { return canaries[(i+n)%len(canaries)] }
			req := &oteldemo.PlaceOrderRequest{
				UserId: "user " + spelt, UserCurrency: "EUR", Email: next(1) + "@example.com",
				Address:    &oteldemo.Address{StreetAddress: spelt, City: next(2), State: next(3), Country: next(4), ZipCode: next(5)},
				CreditCard: request("", "").GetCreditCard(),
			}
			s.shop.Cart.Put(req.GetUserId(), "OLJCESPC7Z", 1)
			ctx := metadata.AppendToOutgoingContext(traced(t.Context()), rpc.KeyHeader, "key "+spelt)
			if _, err := s.PlaceOrder(ctx, req); err != nil {
				t.Fatal(err)
			}
			placed++
			req.UserCurrency = spelt // and once more, as what cannot be
			_, err := s.PlaceOrder(traced(t.Context()), req)
			if status.Code(err) != codes.InvalidArgument {
				t.Fatalf("currency %q: %v", spelt, err)
			}
			fmt.Fprintln(&told, err, prototext.Format(status.Convert(err).Proto()))
		}
	}
	s.await(t, "e-mails", func() bool { return s.shop.Ledgers().Total().Emails >= placed })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if found := worldSinks(t, s.shop, filepath.Dir(os.Getenv("CHECKOUT_DB"))).hold(canaries); len(found) == 0 {
		t.Error("the canaries are not even in the e-mails: this test would find nothing")
	}
	for _, all := range []sinks{telemetrySinks(t, s.shop.Collector, s.log.String()), {"the texts of errors": told.String()}} {
		for _, hit := range all.hold(append([]string{"@example.com"}, canaries...)) {
			t.Error(hit)
		}
	}
}

// careless panics with the card.
type careless struct{ order.Store }

func (careless) Price(_ context.Context, req order.Request) (*order.Order, error) {
	panic(reveal(req))
}

func (careless) Place(_ context.Context, req order.Request) (*order.Order, error) {
	panic(reveal(req))
}

func reveal(req order.Request) error {
	number, cvv, _, _ := req.Card.Reveal()
	return fmt.Errorf("no idea what to do with %s, %d", number, cvv)
}

// TestAPanicTellsNoCard panics with every card in every spelling, in an order and outside of any.
func TestAPanicTellsNoCard(t *testing.T) {
	shop := demotest.Start(t)
	for name, value := range shop.Environ() {
		t.Setenv(name, value)
	}
	stdout := &output.Buffer{}
	tel := telemetry.Start(t.Context(), telemetry.Options{Getenv: os.Getenv, Stdout: stdout, Names: "both"})
	placer := order.NewPlacer(order.Dependencies{
		Pricer: tel.Pricer(careless{}), Store: tel.Store(careless{}), Report: tel.Report,
		Admission: struct {
			*admission.Limiter
			*admission.Customers
		}{admission.New(admission.Options{}), admission.NewCustomers(0, 0)},
	})
	defer placer.Close(t.Context())
	var told strings.Builder
	canaries := cardtest.Numbers("45")
	for _, place := range []rpc.Placer{placer, careless{}} {
		client := serveTo(t, tel, tel.Placer(place))
		for _, number := range canaries {
			for _, spelt := range cardtest.Typed(number) {
				req := request("ada", "USD")
				req.CreditCard.CreditCardNumber = spelt
				_, err := client.PlaceOrder(traced(t.Context()), req)
				if status.Code(err) != codes.Internal {
					t.Fatalf("got %v, want a panic to be INTERNAL", err)
				}
				fmt.Fprintln(&told, err, prototext.Format(status.Convert(err).Proto()))
			}
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := telemetrySinks(t, shop.Collector, stdout.String())
	if !strings.Contains(all["stdout"], "no idea what to do with ***") || !strings.Contains(all["log records"], "no idea what to do with ***") {
		t.Error("the panics are not told: this test would find nothing")
	}
	all["answers"] = told.String()
	for _, hit := range all.hold(canaries) {
		t.Error(hit)
	}
}

// serveTo serves placer, observed by tel, and is its client.
func serveTo(t *testing.T, tel *telemetry.Telemetry, placer rpc.Placer) oteldemo.CheckoutServiceClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(placer, health.NewServer(), rpc.Options{Deadline: time.Minute, Telemetry: tel.ServerHandler(), Log: tel.Logger()})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.GracefulStop()
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return oteldemo.NewCheckoutServiceClient(nettest.DialGRPC(t, listener.Addr().String()))
}
