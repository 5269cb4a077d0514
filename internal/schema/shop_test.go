package schema_test

import (
	"bytes"
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/schema"
	"checkout/internal/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Nothing is measured by it.
const patience = 30 * time.Second

// registry is the registry of the repository.
func registry(t *testing.T) *schema.Registry {
	t.Helper()
	r, err := schema.Read(os.DirFS("../../telemetry-schema"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What leaves the process is what is declared, of the types, units and values declared, in every dialect and whatever
// happens to orders; and what is declared is met, but for what is listed below with the reason.
func TestTheShopEmitsWhatIsDeclaredAndNothingElse(t *testing.T) {
	c := registry(t).Checker()
	for _, v := range []struct {
		name    string
		set     map[string]string
		inForce []string
	}{
		{"app", nil, []string{"app", "rpc/old", "messaging/old"}},
		{"demo", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "demo"}, []string{"demo", "rpc", "messaging/old"}},
		{"both", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "both"}, []string{"app", "demo", "rpc/old", "rpc", "messaging/old"}},
		{"all that can be chosen", map[string]string{
			"CHECKOUT_TELEMETRY_NAMES":               "demo",
			"OTEL_SEMCONV_STABILITY_OPT_IN":          "rpc/dup,messaging",
			"OTEL_GO_X_DEPRECATED_RUNTIME_METRICS":   "true",
			"OTEL_RESOURCE_ATTRIBUTES":               "service.namespace=opentelemetry-demo,service.version=2.1.3",
			"CHECKOUT_EMAIL_TIMEOUT":                 "100ms",
			"OTEL_METRIC_EXPORT_INTERVAL":            "200",
			"OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
		}, []string{"demo", "rpc/old", "rpc", "messaging", "runtime/old"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			c.InForce(v.inForce...)
			s := open(t, v.set)
			s.story(t)
			s.stop()
			s.check(c)
		})
	}
	for _, finding := range c.Findings() {
		t.Error(finding)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(unmet())), c.Unseen()); diff != "" {
		t.Errorf("what is declared and was not met (-listed +found):\n%s", diff)
	}
}

// unmet is what the story below does not bring about, and why.
func unmet() map[string]string {
	return map[string]string{}
}

// service is the whole service, running in a shop of its own.
type service struct {
	oteldemo.CheckoutServiceClient

	shop *demo.Shop
	log  *bytes.Buffer // not to be read before stop
	stop func()        // ends it and waits
}

// open runs the service in a new shop, with stock's environment and what is set over it. The SDK reads the environment
// of the process, so that these tests cannot run side by side.
func open(t *testing.T, set map[string]string) *service {
	t.Helper()
	shop, err := demo.Start(t.Context(), demo.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.Close() })
	environ := shop.Environ()
	environ["CHECKOUT_PORT"] = "0"
	environ["CHECKOUT_DB"] = filepath.Join(t.TempDir(), "orders.db")
	environ["CHECKOUT_PUBLISH_TIMEOUT"] = "300ms"
	environ["OTEL_BSP_SCHEDULE_DELAY"] = "50"
	maps.Copy(environ, set)
	for name, value := range environ {
		t.Setenv(name, value)
	}
	s := &service{shop: shop, log: new(bytes.Buffer)}
	config, err := serve.ParseConfig(nil, func(name string) string { return environ[name] }, s.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- serve.Run(ctx, config, s.log, func(a net.Addr) { ready <- a.String() }) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with: %v", err)
		}
	})
	t.Cleanup(s.stop)
	select {
	case addr := <-ready:
		_, port, _ := net.SplitHostPort(addr)
		conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		s.CheckoutServiceClient = oteldemo.NewCheckoutServiceClient(conn)
	case err := <-ended:
		ended <- err
		t.Fatalf("the service did not start: %v", err)
	}
	return s
}

// check shows everything that has left the process to c.
func (s *service) check(c *schema.Checker) {
	for _, span := range s.shop.Collector.Spans() {
		c.Span(span.Span)
		c.Resource(span.Resource)
	}
	for _, record := range s.shop.Collector.Logs() {
		c.Log(record.LogRecord)
		c.Resource(record.Resource)
	}
	for _, metric := range s.shop.Collector.Metrics() {
		c.Metric(metric.Metric, metric.Scope == "checkout")
		c.Resource(metric.Resource)
	}
	for line := range bytes.Lines(s.log.Bytes()) {
		c.Line(line)
	}
}

const visa, amex = "4432-8015-6152-0454", "3782 822463 10005"

// buy asks for one piece of the product, or for what is in the cart already, and tells whether it could be had.
func (s *service) buy(t *testing.T, user, currency, product, card string) bool {
	t.Helper()
	if product != "" {
		s.shop.Cart.Put(user, product, 1)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "baggage", "synthetic_request=true")
	_, err := s.PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{
		UserId: user, UserCurrency: currency, Email: user + "@example.com",
		Address:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: card, CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1},
	})
	return err == nil
}

// story is what happens to orders, good and bad.
func (s *service) story(t *testing.T) {
	t.Helper()
	const product = "OLJCESPC7Z"
	tell := func(what string, want, got bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: placed is %v, want %v", what, got, want)
		}
	}
	tell("an order", true, s.buy(t, "ada", "USD", product, visa))
	tell("the same once more", true, s.buy(t, "ada", "USD", "", visa))
	tell("an order in euro", true, s.buy(t, "bea", "EUR", product, visa))
	tell("a currency that is none", false, s.buy(t, "cia", "AAA", product, visa))
	tell("an empty cart", false, s.buy(t, "dot", "USD", "", visa))
	tell("a product that is none", false, s.buy(t, "eve", "USD", "NONE", visa))
	tell("a card that is refused", false, s.buy(t, "fay", "USD", product, amex))

	s.shop.Catalog.Trouble(demo.Trouble{Fault: demo.Refuse})
	tell("a catalogue that fails", false, s.buy(t, "gil", "USD", product, visa))
	s.shop.Catalog.Trouble(demo.Trouble{})
	s.shop.Payment.Leave()
	tell("nobody to charge", false, s.buy(t, "hal", "USD", product, visa))
	if err := s.shop.Payment.Return(); err != nil {
		t.Fatal(err)
	}
	s.shop.Payment.Trouble(demo.Trouble{Fault: demo.LoseAnswer})
	tell("a charge without an answer", false, s.buy(t, "ida", "USD", product, visa))
	s.shop.Payment.Trouble(demo.Trouble{})
	s.shop.Shipping.Trouble(demo.Trouble{Fault: demo.Refuse, Status: 422}, "ship-order")
	tell("shipping that refuses", false, s.buy(t, "joe", "USD", product, visa))

	s.shop.Shipping.Trouble(demo.Trouble{Fault: demo.Refuse}, "ship-order")
	s.shop.Email.Trouble(demo.Trouble{Fault: demo.Refuse})
	s.shop.Broker.Leave()
	tell("shipping that fails", true, s.buy(t, "kai", "USD", product, visa))
	s.await(t, "a second try to ship", func() bool { return s.failed("resume order") })
	s.shop.Shipping.Trouble(demo.Trouble{}, "ship-order")
	s.await(t, "an event that is given up", func() bool { return s.failed("orders publish") || s.failed("send orders") })
	s.shop.Email.Trouble(demo.Trouble{})
	if err := s.shop.Broker.Return(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "all that is owed", func() bool {
		return s.shop.Books().Total() == demo.Tally{Charges: 5, Parcels: 3, Letters: 3, Events: 3}
	})
}

// failed tells whether a span of that name has come that is in error.
func (s *service) failed(name string) bool {
	return slices.ContainsFunc(s.shop.Collector.Spans(), func(span demo.Span) bool {
		return span.GetName() == name && strings.HasSuffix(span.GetStatus().GetCode().String(), "ERROR")
	})
}

// await waits until done, and fails the test with what was waited for.
func (s *service) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.shop.Await(ctx, done); err != nil {
		t.Fatalf("%s: %v; the books: %+v, %v", what, err, s.shop.Books().Total(), s.shop.Books().Differences())
	}
}
