//go:build telemetry

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"checkout/internal/test/schema"
)

// hasTheNumbers compares what Prometheus counts with what was ordered, and with the books of those who were asked.
func (p *parts) hasTheNumbers(t *testing.T, names string) {
	want := p.counted()
	if names == "demo" {
		maps.Copy(want, p.countedByDemo())
	} else {
		maps.Copy(want, p.countedByApp())
	}
	for expr, number := range want {
		p.awaitNumber(t, expr, number)
	}
	for _, expr := range stockQueries(names) {
		await(t, expr, func(ctx context.Context) error { return p.answers(ctx, expr) })
	}
}

// answers reports whether there is an answer.
func (p *parts) answers(ctx context.Context, expr string) error {
	got, err := p.query(ctx, expr)
	if err == nil && len(got) == 0 {
		err = errors.New("no answer")
	}
	return err
}

// counted is what is counted under the same names in all dialects.
func (p *parts) counted() map[string]string {
	s := p.shop
	want := map[string]string{
		`sum(checkout_orders_total)`:                                                                                                     "6",
		`sum(checkout_orders_total{checkout_order_outcome="placed"})`:                                                                    "2",
		`sum(checkout_orders_total{checkout_order_outcome="refused", error_type="cart_empty"})`:                                          "1",
		`sum(checkout_orders_total{checkout_order_outcome="refused", error_type="card_declined"})`:                                       "1",
		`sum(checkout_orders_total{error_type="payment_unknown"})`:                                                                       "1",
		`sum(checkout_orders_total{error_type="shipping_refused"})`:                                                                      "1",
		`round(sum(increase(checkout_orders_total{error_type="payment_unknown"}[5m])))`:                                                  "1", // the first of its kind
		`max(checkout_order_unfinished{checkout_order_state="in_doubt"})`:                                                                "1",
		`max(checkout_order_unfinished{checkout_order_state="parked"})`:                                                                  "1",
		`sum(checkout_order_unfinished)`:                                                                                                 "2",
		`sum(checkout_delivery_pending)`:                                                                                                 "0",
		`sum(checkout_order_amount_count)`:                                                                                               "2",
		`sum(checkout_order_lines_sum)`:                                                                                                  "2",
		`sum(checkout_step_duration_seconds_count{checkout_order_step="charge"})`:                                                        count(s.Payment.Count("Charge")),
		`sum(http_client_request_duration_seconds_count)`:                                                                                count(s.Shipping.Count("") + s.Email.Count("")),
		`sum(http_client_request_duration_seconds_count{http_response_status_code="422"})`:                                               "1",
		`sum(messaging_client_sent_messages_total{messaging_destination_name="orders"})`:                                                 count(len(s.Accounting.Events())),
		`sum(traces_span_metrics_calls_total{service_name="checkout", span_name="orders publish"})`:                                      count(len(s.Accounting.Events())),
		`sum(traces_span_metrics_duration_milliseconds_count{service_name="checkout", span_name="oteldemo.CheckoutService/PlaceOrder"})`: "6",
		`count(target_info{job="opentelemetry-demo/checkout", telemetry_sdk_language="go"})`:                                             "1",
		`(go_memory_limit_bytes > bool 16777216) * (go_memory_limit_bytes < bool 18874368)`:                                              "1", // 16 MiB, and at most 2 that Go counts and does not use
	}
	for i, currency := range []string{"USD", "EUR"} { // the first two of the ledger are those that were placed
		a := s.Payment.Charges()[i].Amount
		want[fmt.Sprintf("sum(checkout_order_amount_sum{checkout_order_currency=%q})", currency)] = trimmed(fmt.Sprintf("%d.%09d", a.GetUnits(), a.GetNanos()))
	}
	return want
}

// countedByApp is what is counted under the names of the demo's releases up to 2.1.
func (p *parts) countedByApp() map[string]string {
	want := map[string]string{
		`sum(rpc_server_duration_milliseconds_count{rpc_service="oteldemo.CheckoutService",rpc_grpc_status_code="0"})`:  "2",
		`sum(rpc_server_duration_milliseconds_count{rpc_service="oteldemo.CheckoutService",rpc_grpc_status_code!="0"})`: "4",
		`sum(rpc_server_duration_milliseconds_count * on (job, instance) group_left (host_name) target_info)`:           "6",
		`absent({__name__=~"rpc_.+_call_duration_seconds_count"})`:                                                      "1",
	}
	for service, n := range p.rpcs() {
		want[fmt.Sprintf("sum(rpc_client_duration_milliseconds_count{rpc_service=%q})", service)] = count(n)
	}
	return want
}

// countedByDemo is what is counted under the names of the releases after those.
func (p *parts) countedByDemo() map[string]string {
	want := map[string]string{
		`sum(rpc_server_call_duration_seconds_count{rpc_method="oteldemo.CheckoutService/PlaceOrder",rpc_response_status_code="OK"})`:  "2",
		`sum(rpc_server_call_duration_seconds_count{rpc_method="oteldemo.CheckoutService/PlaceOrder",rpc_response_status_code!="OK"})`: "4",
		`absent({__name__=~"rpc_.+_duration_milliseconds_count"})`:                                                                     "1",
	}
	for service, n := range p.rpcs() {
		want[fmt.Sprintf(`sum(rpc_client_call_duration_seconds_count{rpc_method=~"%s/.+"})`, service)] = count(n)
	}
	return want
}

// rpcs is how often the other services that speak gRPC were called.
func (p *parts) rpcs() map[string]int {
	return map[string]int{
		"oteldemo.CartService": p.shop.Cart.Count(""), "oteldemo.ProductCatalogService": p.shop.Catalog.Count(""),
		"oteldemo.CurrencyService": p.shop.Currency.Count(""), "oteldemo.PaymentService": p.shop.Payment.Count(""),
	}
}

func count(n int) string { return strconv.Itoa(n) }

// trimmed is a decimal number as Prometheus writes it.
func trimmed(number string) string { return strings.TrimRight(strings.TrimRight(number, "0"), ".") }

// stockQueries are what the shop's own dashboards ask of a service, in their shape: of its spans, of the runtime, and of
// its RPCs in the dialect.
func stockQueries(names string) []string {
	calls, method, failed := "rpc_server_duration_milliseconds", `"/", "rpc_service", "rpc_method"`, `rpc_grpc_status_code!="0"`
	if names == "demo" {
		calls, method, failed = "rpc_server_call_duration_seconds", `"", "rpc_method"`, `rpc_response_status_code!="OK"`
	}
	const ours = `service_namespace=~"opentelemetry-demo", service_name="checkout"`
	by := func(metric, more string) string {
		return fmt.Sprintf(`label_join(rate(%s{deployment_environment_name=~".*", %s%s}[5m]), "operation", %s)`, metric, ours, more, method)
	}
	return []string{
		fmt.Sprintf("sum by (operation) (%s)", by(calls+"_count", "")),
		fmt.Sprintf("sum by (operation) (%s) / sum by (operation) (%s) or 0 * sum by (operation) (%s)", by(calls+"_count", ", "+failed), by(calls+"_count", ""), by(calls+"_count", "")),
		fmt.Sprintf("histogram_quantile(0.99, sum by (le, operation) (%s))", by(calls+"_bucket", "")),
		`sum by (outbound) (label_join(rate(http_client_request_duration_seconds_count{` + ours + `}[5m]), "outbound", " ", "server_address", "http_request_method"))`,
		`sum by (span_name) (rate(traces_span_metrics_duration_milliseconds_count{service_name="checkout"}[5m]))`,
		`sum by (span_name) (rate(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR", service_name="checkout"}[5m]))`,
		`histogram_quantile(0.50, sum by (le, span_name) (rate(traces_span_metrics_duration_milliseconds_bucket{service_name="checkout"}[5m])))`,
		`timestamp(sum by (service_namespace, service_name) (target_info{` + ours + `}))`,
	}
}

// containers is how the metrics begin that are only there in a container with a limit.
const containers = "checkout_container_"

// hasTheNames compares the series that Prometheus has of the service with the registry: their names and their labels.
func (p *parts) hasTheNames(t *testing.T) {
	registry, err := schema.Read(os.DirFS("../telemetry-schema"))
	if err != nil {
		t.Fatal(err)
	}
	known := registry.Series()
	var answer struct{ Data []map[string]string }
	match := url.Values{"match[]": {`{job="opentelemetry-demo/checkout", __name__!~"target_info|job:.+|ALERTS.*|traces_span_metrics_.+"}`}}
	if err := get(t.Context(), p.prometheus+"/api/v1/series?"+match.Encode(), &answer); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, series := range answer.Data {
		name := series["__name__"]
		found[name] = true
		if known[name] == nil {
			t.Errorf("Prometheus has %s, which the registry has not", name)
		}
		labels := append([]string{"__name__", "service_name", "service_namespace"}, known[name]...)
		for label := range series {
			if !strings.HasPrefix(label, "otel_scope_") && !slices.Contains(labels, label) {
				t.Errorf("Prometheus has %s with the label %s, which the registry has not", name, label)
			}
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "checkout_") && !strings.HasPrefix(name, containers) && !found[name] {
			t.Errorf("the registry has %s, which Prometheus has not", name)
		}
	}
}

// hasTheRules waits for the alerts about the orders that need somebody, and looks whether every rule works.
func (p *parts) hasTheRules(t *testing.T) {
	for _, alert := range []string{`alertname="CheckoutOrderParked", alertstate="firing"`, `alertname="CheckoutOrderInDoubt", alertstate="pending"`} {
		await(t, alert, func(ctx context.Context) error { return p.answers(ctx, "ALERTS{"+alert+"}") })
	}
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := get(t.Context(), p.prometheus+"/api/v1/rules", &answer); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			if n++; r.Health == "err" {
				t.Errorf("rule %s: %s", r.Name, r.LastError)
			}
		}
	}
	if n == 0 {
		t.Error("there are no rules")
	}
}

// answersTheDashboard asks whatever the dashboard asks. What is asked by the other dialect's names, or of a container,
// need not have an answer, but each panel has one.
func (p *parts) answersTheDashboard(t *testing.T, names string) {
	text, err := os.ReadFile("../deploy/grafana/checkout.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$job", ".+", "$__rate_interval", "5m")
	for _, panel := range dashboard.Panels {
		heard := 0
		for _, target := range panel.Targets {
			expr := fill.Replace(target.Expr)
			foreign, contained := foreign(names, expr), strings.Contains(expr, containers)
			if !foreign {
				heard++
			}
			if _, err := p.query(t.Context(), expr); foreign || contained {
				if err != nil {
					t.Errorf("%s: %v", panel.Title, err)
				}
				continue
			}
			await(t, panel.Title+": "+expr, func(ctx context.Context) error { return p.answers(ctx, expr) })
		}
		if heard == 0 && len(panel.Targets) > 0 {
			t.Errorf("%s asks for nothing that the dialect %s has", panel.Title, names)
		}
	}
}

// foreign reports whether an expression asks for RPCs by the names of the other dialect alone.
func foreign(names, expr string) bool {
	app, demo := strings.Contains(expr, "_duration_milliseconds_"), strings.Contains(expr, "_call_duration_seconds_")
	return names == "app" && demo && !app || names == "demo" && app && !demo
}
