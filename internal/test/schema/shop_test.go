package schema_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/metadata"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
	"checkout/internal/test/schema"
	"checkout/internal/test/servetest"
)

// TestMain ignores lookups of unknown host names, such as that of the unreachable payment service: package net continues them
// until the DNS server answers.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func1"),
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"), goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder.func3.1"))
}

// patience is how long a test waits for what must happen. Nothing is measured by it.
const patience = 30 * time.Second

// registry is the registry of the repository.
func registry(t *testing.T) *schema.Registry {
	t.Helper()
	r, err := schema.Read(os.DirFS("../../../telemetry-schema"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What leaves the process is what is declared, of the types, units and values declared, in every dialect and whatever
// happens to orders; and what is declared is met, but for what is listed below with the reason.
func TestTheShopEmitsWhatIsDeclaredAndNothingElse(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40)) // as GOMEMLIMIT does
	c := registry(t).Checker()
	for _, v := range []struct {
		name    string
		set     map[string]string
		inForce []string
		live    func(*service, *testing.T)
	}{
		{"app", nil, []string{"app", "rpc/old", "messaging/old"}, (*service).scenario},
		{"demo", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "demo", "OTEL_SEMCONV_STABILITY_OPT_IN": "rpc"}, []string{"demo", "rpc", "messaging/old"}, (*service).scenario},
		{"both", map[string]string{"CHECKOUT_TELEMETRY_NAMES": "both", "OTEL_SEMCONV_STABILITY_OPT_IN": "rpc/dup"}, []string{"app", "demo", "rpc/old", "rpc", "messaging/old"}, (*service).hardship},
		{"all that can be chosen", map[string]string{
			"CHECKOUT_DB":                          "memory",
			"CHECKOUT_TELEMETRY_NAMES":             "demo",
			"FLAGD_PORT":                           "tcp://10.96.1.7:8013",
			"FLAGD_RESOLVER":                       "file",
			"FLAGD_OFFLINE_FLAG_SOURCE_PATH":       filepath.Join(t.TempDir(), "none.json"),
			"OTEL_SEMCONV_STABILITY_OPT_IN":        "rpc/dup,messaging",
			"OTEL_GO_X_DEPRECATED_RUNTIME_METRICS": "true",
			"OTEL_EXPORTER_OTLP_TIMEOUT":           "soon",
			"OTEL_LOG_LEVEL":                       "much",
			"OTEL_RESOURCE_ATTRIBUTES":             "service.namespace=opentelemetry-demo,service.version=2.1.3",
		}, []string{"demo", "rpc/old", "rpc", "messaging", "runtime/old"}, (*service).scenario},
		{"nobody to tell", map[string]string{
			"CHECKOUT_DB": "",
			"TMPDIR":      t.TempDir(), // HOME is unknown to the service
		}, []string{"app", "rpc/old", "messaging/old"}, (*service).solitude},
	} {
		t.Run(v.name, func(t *testing.T) {
			c.InForce(v.inForce...)
			s := open(t, v.set)
			v.live(s, t)
			s.stop()
			s.check(c)
		})
	}
	for _, finding := range c.Findings() {
		t.Error(finding)
	}
	listed := unmet()
	for _, id := range c.Unseen() {
		if _, ok := listed[id]; !ok && !onSomeMachines(id) {
			t.Errorf("%s is declared and was not met", id)
		}
		delete(listed, id)
	}
	for id, why := range listed {
		t.Errorf("%s was met, and is listed as one that is not: %s", id, why)
	}
}

// onSomeMachines reports whether it is the machine's matter that something is emitted.
func onSomeMachines(id string) bool {
	return id == "entity.container" || strings.HasPrefix(id, "metric.checkout.container.") || // where there is a limit
		runtime.GOOS != "linux" && strings.HasPrefix(id, "metric.process.")
}

// unmet is what the scenario below does not bring about, and why.
func unmet() map[string]string {
	const (
		masses    = "only what comes in masses is held back; the tests of telemetry show it"
		elsewhere = "the tests of the package that says it show it"
		byHand    = "no test brings it about; the source has it, and it was compared by hand"
	)
	return map[string]string{
		"event.feature_flag.evaluation: error.type": elsewhere,
		"event.log.closing":                         byHand,
		"event.log.connection_evicted":              elsewhere,
		"event.log.exporter_setting: path":          elsewhere,
		"event.log.not_resumed":                     byHand,
		"event.log.resume_unread":                   byHand,
		"event.log.audit_unwritten":                 byHand,
		"event.log.index":                           byHand,
		"event.log.decision_unrecorded":             byHand,
		"event.log.flag_targeting":                  elsewhere,
		"event.log.flag_unusable":                   byHand,
		"event.log.flagd_unavailable":               elsewhere,
		"event.log.flagd_available":                 elsewhere,
		"event.log.no_runtime_metrics":              byHand,
		"event.log.read_ahead":                      byHand,
		"event.log.record_awaited":                  elsewhere,
		"event.log.order_held_up: skipped":          masses,
		"event.log.order_not_placed: skipped":       masses,
		"event.log.order_not_recorded":              elsewhere,
		"event.log.orders_not_counted":              elsewhere,
		"event.log.panic":                           elsewhere,
		"event.log.certificate_not_reloaded":        byHand,
		"event.log.core_dumps":                      byHand,
		"event.log.token_refused":                   byHand,
		"event.log.record_cleanup":                  byHand,
		"event.log.record_open: url":                "it takes a PostgreSQL",
		"event.log.record_unread":                   byHand,
		"event.log.user_erased":                     elsewhere,
		"event.log.user_not_erased":                 elsewhere,
		"event.log.record_backed_up":                elsewhere,
		"event.log.record_not_backed_up":            elsewhere,
		"event.log.record_ready":                    elsewhere,
		"event.log.record_unready":                  elsewhere,
		"event.log.resource_unknown":                byHand,
		"event.log.signal_off":                      byHand,
		"event.log.telemetry_lost: skipped":         masses,
	}
}

// service is the whole service, running in a shop of its own.
type service struct {
	oteldemo.CheckoutServiceClient

	shop *demo.Shop
	log  *output.Buffer
	stop func() // ends it and waits
}

// open runs the service in a new shop, with stock's environment and what is set over it. The SDK reads the environment
// of the process, so that these tests cannot run side by side.
func open(t *testing.T, set map[string]string) *service {
	t.Helper()
	shop := demotest.Start(t)
	environ := shop.Environ()
	environ["CHECKOUT_PORT"] = "0"
	environ["CHECKOUT_DB"] = filepath.Join(t.TempDir(), "orders.db")
	environ["CHECKOUT_PUBLISH_TIMEOUT"] = "1s"
	environ["OTEL_BSP_SCHEDULE_DELAY"] = "50"
	maps.Copy(environ, set)
	for name, value := range environ {
		t.Setenv(name, value)
	}
	s := servetest.Run(t, environ)
	return &service{oteldemo.NewCheckoutServiceClient(nettest.DialGRPC(t, s.Addr)), shop, s.Log, func() { _ = s.Stop() }} // Run reports its error
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
	for line := range strings.Lines(s.log.String()) {
		c.Line([]byte(line))
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

// scenario is what happens to orders, good and bad.
func (s *service) scenario(t *testing.T) {
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

	s.shop.Catalog.Inject(demo.Fault{Kind: demo.Refuse})
	tell("a catalogue that fails", false, s.buy(t, "gil", "USD", product, visa))
	s.shop.Catalog.Inject(demo.Fault{})
	s.shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer})
	tell("a charge without an answer", false, s.buy(t, "hal", "USD", product, visa))
	s.shop.Payment.Inject(demo.Fault{})
	s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse, Status: 422}, "ship-order")
	tell("shipping that refuses", false, s.buy(t, "ida", "USD", product, visa))

	s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse}, "ship-order")
	tell("shipping that fails once", true, s.buy(t, "joe", "USD", product, visa))
	s.shop.Shipping.Inject(demo.Fault{}, "ship-order")
	s.settled(t, 3)
}

// solitude is an order without a collector.
func (s *service) solitude(t *testing.T) {
	t.Helper()
	s.shop.Collector.TakeOffline()
	if !s.buy(t, "ada", "USD", "OLJCESPC7Z", visa) {
		t.Error("an order without a collector was not placed")
	}
	s.settled(t, 1)
}

// hardship is the scenario, and what happens to an order whose other services are away for longer.
func (s *service) hardship(t *testing.T) {
	t.Helper()
	s.scenario(t)
	s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse}, "ship-order")
	if !s.buy(t, "kai", "USD", "OLJCESPC7Z", visa) {
		t.Error("an order that is paid, and not shipped yet, was not placed")
	}
	s.await(t, "a second try to ship", func() bool { return s.failed("resume order") })
	s.shop.Email.Inject(demo.Fault{Kind: demo.Refuse})
	s.shop.Broker.TakeOffline()
	s.shop.Shipping.Inject(demo.Fault{}, "ship-order")
	s.await(t, "an event that is given up", func() bool { return s.failed("orders publish") })
	s.shop.Email.Inject(demo.Fault{})
	if err := s.shop.Broker.BringOnline(); err != nil {
		t.Fatal(err)
	}
	s.settled(t, 4)
	s.shop.Payment.TakeOffline()
	if s.buy(t, "lou", "USD", "OLJCESPC7Z", visa) {
		t.Error("an order that nobody charges was placed")
	}
}

// settled waits until so many orders are complete. An event may come twice.
func (s *service) settled(t *testing.T, orders int) {
	t.Helper()
	s.await(t, "complete orders", func() bool {
		is := s.shop.Ledgers().Total()
		return is.Parcels == orders && is.Emails == orders && is.Events >= orders
	})
}

// failed reports whether a span of that name has come that is in error.
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
		t.Fatalf("%s: %v; the books: %+v, %v", what, err, s.shop.Ledgers().Total(), s.shop.Ledgers().Differences())
	}
}
