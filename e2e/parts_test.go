//go:build telemetry

package e2e

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

var binary = flag.String("binary", "../bin/checkout", "the service's `executable`, as it is released")

// parts are the service and those who receive its telemetry.
type parts struct {
	*service
	*collector

	prometheus string // its base URL; empty: there is none
	jaeger     string // its base URL; empty: there is none
}

// startAll starts everything in a shop of its own. The service calls things by the names of a dialect.
func startAll(t *testing.T, names string) *parts {
	t.Helper()
	p := &parts{}
	p.collector = startCollector(t, p.startJaeger(t))
	p.startPrometheus(t)
	optIn := map[string]string{"app": "", "demo": "rpc,http", "both": "rpc/dup"}[names]
	p.service = startService(t, p.otlp, map[string]string{"CHECKOUT_TELEMETRY_NAMES": names, "OTEL_SEMCONV_STABILITY_OPT_IN": optIn})
	if p.prometheus != "" { // what it sees first has not grown yet
		p.awaitNumber(t, "sum(checkout_orders_total)", "0")
	}
	return p
}

// collector is an OpenTelemetry Collector.
type collector struct {
	*program

	otlp    string // where it takes OTLP
	metrics string // where it shows metrics to Prometheus
	folder  string // where it writes
	environ map[string]string
}

// startCollector starts a collector that sends spans to an address, too.
func startCollector(t *testing.T, spans string) *collector {
	t.Helper()
	c := &collector{otlp: free(t), metrics: free(t), folder: t.TempDir()}
	c.environ = map[string]string{
		"OTLP_ADDR": c.otlp, "METRICS_ADDR": c.metrics, "HEALTH_ADDR": free(t), "SPANS_ADDR": spans, "FOLDER": c.folder,
	}
	c.start(t)
	return c
}

// start starts it where it was before, and waits until it is there.
func (c *collector) start(t *testing.T) {
	t.Helper()
	c.program = run(t, c.environ, built(t, "../bin/otelcol"), "--config", "collector/config.yaml")
	await(t, "the collector", func(ctx context.Context) error { return get(ctx, "http://"+c.environ["HEALTH_ADDR"], nil) })
}

// startPrometheus starts a Prometheus that reads the collector's metrics, with the rules that are deployed. Like the
// shop's it makes labels of what a resource is called.
func (p *parts) startPrometheus(t *testing.T) {
	t.Helper()
	executable := optional(t, "prometheus", "CHECKOUT_TEST_PROMETHEUS")
	if executable == "" {
		return
	}
	rules, err := filepath.Abs("../deploy/prometheus/checkout.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yaml")
	text := fmt.Sprintf(`
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [%q]
scrape_configs:
  - job_name: collector
    honor_labels: true
    static_configs: [{ targets: [%q] }]
    metric_relabel_configs:
      - { source_labels: [job], regex: (.+)/(.+), target_label: service_namespace, replacement: $1 }
      - { source_labels: [job], regex: (.+)/(.+), target_label: service_name, replacement: $2 }
`, rules, p.metrics)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := free(t)
	p.prometheus = "http://" + addr
	run(t, nil, executable, "--config.file", config, "--storage.tsdb.path", t.TempDir(), "--web.listen-address", addr, "--log.level", "warn")
	await(t, "Prometheus", func(ctx context.Context) error { return get(ctx, p.prometheus+"/-/ready", nil) })
}

// sample is a series with its value, as text.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query asks Prometheus.
func (p *parts) query(ctx context.Context, expr string) ([]sample, error) {
	var answer struct{ Data struct{ Result []sample } }
	err := get(ctx, p.prometheus+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), &answer)
	return answer.Data.Result, err
}

// awaitNumber waits until a query is answered by one number.
func (p *parts) awaitNumber(t *testing.T, expr, want string) {
	t.Helper()
	await(t, expr, func(ctx context.Context) error {
		got, err := p.query(ctx, expr)
		if err == nil && (len(got) != 1 || got[0].Value[1] != want) {
			err = fmt.Errorf("the answer is %v, want %s", got, want)
		}
		return err
	})
}

// startJaeger starts a Jaeger, and returns where it takes OTLP: an address where nobody listens, if there is none.
func (p *parts) startJaeger(t *testing.T) (otlp string) {
	t.Helper()
	otlp = free(t)
	executable := optional(t, "../bin/jaeger", "CHECKOUT_TEST_JAEGER")
	if executable == "" {
		return otlp
	}
	web, admin := free(t), free(t)
	p.jaeger = "http://" + web
	run(t, map[string]string{"SPAN_STORAGE_TYPE": "memory", "OTEL_TRACES_SAMPLER": "always_off"}, executable,
		"--collector.otlp.grpc.host-port", otlp, "--collector.otlp.http.host-port", free(t),
		"--collector.grpc-server.host-port", free(t), "--collector.http-server.host-port", free(t),
		"--query.http-server.host-port", web, "--query.grpc-server.host-port", free(t),
		"--admin.http.host-port", admin, "--log-level", "warn")
	await(t, "Jaeger", func(ctx context.Context) error { return get(ctx, "http://"+admin, nil) })
	return otlp
}

// service is the service, in a shop.
type service struct {
	oteldemo.CheckoutServiceClient
	*program

	shop *demo.Shop
}

// startService starts the service in a shop of its own, as small as it is in the demo, and with what is set beside.
func startService(t *testing.T, otlp string, set map[string]string, before ...string) *service {
	t.Helper()
	shop := demotest.Start(t)
	addr := free(t)
	_, port, _ := net.SplitHostPort(addr)
	environ := shop.Environ()
	maps.Copy(environ, map[string]string{
		"CHECKOUT_PORT":               port,
		"CHECKOUT_DB":                 filepath.Join(t.TempDir(), "orders.db"),
		"GOMEMLIMIT":                  "16MiB",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + otlp,
		"OTEL_METRIC_EXPORT_INTERVAL": "1000",
		"OTEL_BSP_SCHEDULE_DELAY":     "100",
		"OTEL_BLRP_SCHEDULE_DELAY":    "100",
	})
	maps.Copy(environ, set)
	command := append(before, built(t, *binary))
	s := &service{shop: shop, program: run(t, environ, command[0], command[1:]...)}
	conn := nettest.DialGRPC(t, addr)
	await(t, "the service", func(ctx context.Context) error {
		_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err
	})
	s.CheckoutServiceClient = oteldemo.NewCheckoutServiceClient(conn)
	return s
}

// A card that is charged, and one that is refused.
const (
	visa = "4432-8015-6152-0454"
	amex = "3782 822463 10005"
)

// buy asks for one piece of a product.
func (s *service) buy(ctx context.Context, user, currency, card string) (*oteldemo.OrderResult, error) {
	s.shop.Cart.Put(user, "OLJCESPC7Z", 1)
	return s.place(ctx, user, currency, card)
}

// place asks for what is in the user's cart.
func (s *service) place(ctx context.Context, user, currency, card string) (*oteldemo.OrderResult, error) {
	answer, err := s.PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{
		UserId: user, UserCurrency: currency, Email: user + "@example.com",
		Address:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: card, CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1},
	})
	return answer.GetOrder(), err
}
