//go:build telemetry

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/schema"
)

var update = flag.Bool("update", false, "rewrite testdata")

const callersTrace = "0af7651916cd43dd8448eb211c80319c"

// buy asks for one piece of a product.
func (p *parts) buy(ctx context.Context, user, currency, card string) error {
	p.shop.Cart.Put(user, "OLJCESPC7Z", 1)
	_, err := p.PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{
		UserId: user, UserCurrency: currency, Email: user + "@example.com",
		Address:    &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: card, CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1},
	})
	return err
}

// One order in a trace of its caller's, one card that is refused, and one order that cannot be shipped: then whoever
// receives telemetry has it, by the names that the shop's dashboards, ours and our rules ask for.
func TestTelemetryReachesThoseWhoAskForIt(t *testing.T) {
	p := start(t)
	traced := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+callersTrace+"-b7ad6b7169203331-01")
	if err := p.buy(traced, "ada", "EUR", "4432-8015-6152-0454"); err != nil {
		t.Fatal(err)
	}
	if err := p.buy(t.Context(), "bea", "USD", "3782 822463 10005"); err == nil {
		t.Error("an order with a card that is refused was placed")
	}
	p.shop.Shipping.Trouble(demo.Trouble{Fault: demo.Refuse, Status: 422}, "ship-order")
	if err := p.buy(t.Context(), "cia", "USD", "4432-8015-6152-0454"); err == nil {
		t.Error("an order that is not shipped was placed")
	}
	t.Run("spans", p.hasTheSpans)
	t.Run("logs", p.hasTheLogs)
	t.Run("the shop's own queries", p.answersTheShop)
	t.Run("names", p.hasTheNames)
	t.Run("rules", p.hasTheRules)
	t.Run("dashboard", p.answersTheDashboard)
}

// hasTheSpans compares the caller's trace in the collector's file with the golden tree.
func (p *parts) hasTheSpans(t *testing.T) {
	var tree string
	want, err := os.ReadFile("testdata/trace.txt")
	if err != nil && !*update {
		t.Fatal(err)
	}
	await(t, "the trace", func(context.Context) error {
		spans, err := p.trace()
		tree = draw(spans, "", "")
		if err == nil && !*update && tree != string(want) {
			err = fmt.Errorf("(-want +got):\n%s", cmp.Diff(string(want), tree))
		}
		if *update && len(spans) < 13 {
			err = errors.Join(err, errors.New("it is not complete"))
		}
		return err
	})
	if *update {
		if err := os.WriteFile("testdata/trace.txt", []byte(tree), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// trace is the spans of the caller's trace that the collector has written so far.
func (p *parts) trace() (all []*trace.Span, err error) {
	text, err := os.ReadFile(filepath.Join(p.folder, "traces.jsonl"))
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var batch tracecollector.ExportTraceServiceRequest
		if err := unmarshal(line, &batch); err != nil {
			return nil, err
		}
		for _, r := range batch.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				for _, span := range s.GetSpans() {
					if hex.EncodeToString(span.GetTraceId()) == callersTrace {
						all = append(all, span)
					}
				}
			}
		}
	}
	return all, nil
}

// unmarshal reads OTLP's JSON, which differs from that of protobuf in its ids: they are hexadecimal.
func unmarshal(line []byte, into *tracecollector.ExportTraceServiceRequest) error {
	var tree any
	if err := json.Unmarshal(line, &tree); err != nil {
		return err
	}
	rewriteIDs(tree)
	text, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, into)
}

func rewriteIDs(node any) {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			if id, ok := value.(string); ok && slices.Contains([]string{"traceId", "spanId", "parentSpanId"}, key) {
				raw, _ := hex.DecodeString(id)
				node[key] = raw // encoded as base64
				continue
			}
			rewriteIDs(value)
		}
	case []any:
		for _, value := range node {
			rewriteIDs(value)
		}
	}
}

// draw draws spans below their parents, siblings by name, equal ones once with how many they are.
func draw(spans []*trace.Span, parent, indent string) string {
	var drawn []string
	for _, s := range spans {
		above := string(s.GetParentSpanId())
		orphan := !slices.ContainsFunc(spans, func(o *trace.Span) bool { return string(o.GetSpanId()) == above })
		if above != parent && (parent != "" || !orphan) {
			continue
		}
		text := fmt.Sprintf("%s%s (%s)", indent, s.GetName(), strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")))
		for _, e := range s.GetEvents() {
			text += " ◆ " + e.GetName()
		}
		drawn = append(drawn, text+"\n"+draw(spans, string(s.GetSpanId()), indent+"  "))
	}
	slices.Sort(drawn)
	var all strings.Builder
	for len(drawn) > 0 {
		n := 1
		for n < len(drawn) && drawn[n] == drawn[0] {
			n++
		}
		head, tail, _ := strings.Cut(drawn[0], "\n")
		if n > 1 {
			head += fmt.Sprintf(" × %d", n)
		}
		all.WriteString(head + "\n" + tail)
		drawn = drawn[n:]
	}
	return all.String()
}

func (p *parts) hasTheLogs(t *testing.T) {
	await(t, "the lines", func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(p.folder, "logs.jsonl"))
		for _, want := range []string{`"order placed"`, `"order not placed"`, `"card_declined"`, callersTrace, `"feature_flag.evaluation"`} {
			if err == nil && !bytes.Contains(text, []byte(want)) {
				err = fmt.Errorf("there is no %s in %s", want, text)
			}
		}
		return err
	})
}

// The queries of the shop's dashboards, of both generations, for one service; and what must be left of it.
func (p *parts) answersTheShop(t *testing.T) {
	for expr, want := range map[string]string{
		`sum(rpc_server_duration_milliseconds_count{rpc_service="oteldemo.CheckoutService",rpc_grpc_status_code="0"})`:                                 "1",
		`sum(rpc_server_duration_milliseconds_count{rpc_service="oteldemo.CheckoutService",rpc_grpc_status_code!="0"})`:                                "2",
		`sum(rpc_server_call_duration_seconds_count{rpc_method="oteldemo.CheckoutService/PlaceOrder",rpc_response_status_code="OK"})`:                  "1",
		`sum(rpc_server_call_duration_seconds_count{rpc_method="oteldemo.CheckoutService/PlaceOrder",rpc_response_status_code="FAILED_PRECONDITION"})`: "1",
		`count(sum by (rpc_method) (rpc_client_duration_milliseconds_count{rpc_service=~"oteldemo.*"}) > 0) > bool 4`:                                  "1",
		`sum(rpc_client_call_duration_seconds_count{rpc_method="oteldemo.PaymentService/Charge"})`:                                                     "3",
		`histogram_quantile(0.95, sum by (le) (rpc_server_duration_milliseconds_bucket{rpc_service="oteldemo.CheckoutService"})) > bool 0`:             "1",
		`histogram_quantile(0.95, sum by (le) (rpc_server_call_duration_seconds_bucket{rpc_method="oteldemo.CheckoutService/PlaceOrder"})) > bool 0`:   "1",
		`count(target_info{job="opentelemetry-demo/checkout", telemetry_sdk_language="go"})`:                                                           "1",
		`sum(rpc_server_duration_milliseconds_count * on (job, instance) group_left (host_name) target_info)`:                                          "3",
		`sum by (checkout_order_outcome) (checkout_orders_total{error_type="shipping_refused"})`:                                                       "1",
		`max(checkout_order_unfinished{checkout_order_state="parked"})`:                                                                                "1",
		`sum(checkout_order_amount_count{checkout_order_currency="EUR"})`:                                                                              "1",
		`go_memory_limit_bytes`: "16777216",
	} {
		await(t, expr, func(ctx context.Context) error {
			got, err := p.query(ctx, expr)
			if err == nil && (len(got) != 1 || got[0].Value[1] != want) {
				err = fmt.Errorf("the answer is %v, want %s", got, want)
			}
			return err
		})
	}
}

// hasTheNames compares the series that Prometheus has of the service with the registry: their names and their labels.
func (p *parts) hasTheNames(t *testing.T) {
	registry, err := schema.Read(os.DirFS("../telemetry-schema"))
	if err != nil {
		t.Fatal(err)
	}
	known := registry.Series()
	var answer struct{ Data []map[string]string }
	match := url.Values{"match[]": {`{job="opentelemetry-demo/checkout"}`}}
	if err := get(t.Context(), p.prometheus+"/api/v1/series?"+match.Encode(), &answer); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, series := range answer.Data {
		name := series["__name__"]
		found[name] = true
		if name == "target_info" || strings.HasPrefix(name, "job:") || strings.HasPrefix(name, "ALERTS") {
			continue
		}
		if known[name] == nil {
			t.Errorf("Prometheus has %s, which the registry has not", name)
		}
		for label := range series {
			if label != "__name__" && !strings.HasPrefix(label, "otel_scope_") && !slices.Contains(known[name], label) {
				t.Errorf("Prometheus has %s with the label %s, which the registry has not", name, label)
			}
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "checkout_") && !found[name] {
			t.Errorf("the registry has %s, which Prometheus has not", name)
		}
	}
}

// hasTheRules waits for the alert about the order that could not be shipped, and looks whether every rule works.
func (p *parts) hasTheRules(t *testing.T) {
	await(t, "the alert", func(ctx context.Context) error {
		got, err := p.query(ctx, `ALERTS{alertname="CheckoutOrderParked", alertstate="firing"}`)
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("firing are %v", got)
		}
		return err
	})
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

// answersTheDashboard asks whatever the dashboard asks.
func (p *parts) answersTheDashboard(t *testing.T) {
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
	fill := strings.NewReplacer("$job", ".+", "$__rate_interval", "1m")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			await(t, panel.Title, func(ctx context.Context) error {
				got, err := p.query(ctx, fill.Replace(target.Expr))
				if err == nil && len(got) == 0 {
					err = fmt.Errorf("no answer to %s", target.Expr)
				}
				return err
			})
		}
	}
}
