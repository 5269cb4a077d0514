package serve_test

import (
	"cmp"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc/metadata"

	"checkout/internal/demo"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test ./internal/serve -update rewrites it):\n%s", path, diff)
	}
}

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	traceparent  = "00-" + callersTrace + "-b7ad6b7169203331-01"
	baggage      = "session.id=abc-123,synthetic_request=true"
)

// traced is the context of a caller whose trace the order joins.
func traced(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent, "baggage", baggage)
}

// The telemetry of one order, as the dashboards and trace tests of the shop's release 2.1 expect it, those of later ones, and both.
func TestTheTelemetryOfAnOrder(t *testing.T) {
	for names, optIn := range map[string]string{"app": "", "demo": "rpc,http", "both": "rpc/dup"} {
		for _, currency := range []string{"USD", "EUR"} {
			t.Run(names+" "+currency, func(t *testing.T) {
				s := open(t, map[string]string{"CHECKOUT_TELEMETRY_NAMES": names, "OTEL_SEMCONV_STABILITY_OPT_IN": optIn})
				if _, err := s.buy(traced(t.Context()), "ada", currency, map[string]int32{"OLJCESPC7Z": 2, "STICKER020": 1}); err != nil {
					t.Fatal(err)
				}
				s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
				if err := s.stop(); err != nil {
					t.Fatal(err)
				}
				golden(t, names+"_trace_"+currency+".txt", spanTree(s.shop.Collector.Trace(callersTrace)))
				golden(t, names+"_metrics.txt", metricList(s.shop.Collector.Metrics()))
				golden(t, names+"_logs_"+currency+".txt", logList(s.shop.Collector.Logs()))
				golden(t, "resource.txt", resources(s.shop.Collector))
			})
		}
	}
}

// The trace test of the demo's release 2.1.3 selects two spans by their names and attributes.
func TestTheShopsTraceTestFindsItsSpans(t *testing.T) {
	for _, set := range []map[string]string{
		{},
		{"CHECKOUT_TELEMETRY_NAMES": "both"},
		{"CHECKOUT_TELEMETRY_NAMES": "demo", "OTEL_SEMCONV_STABILITY_OPT_IN": "rpc/dup"},
	} {
		s := open(t, set)
		if _, err := s.buy(traced(t.Context()), "1997", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
			t.Fatal(err)
		}
		s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, span := range s.shop.Collector.Trace(callersTrace) {
			found[span.GetName()] = attributes(span.GetAttributes())
		}
		for name, wants := range map[string][]string{
			"oteldemo.CheckoutService/PlaceOrder": {"rpc.system=grpc", "rpc.method=PlaceOrder", "rpc.service=oteldemo.CheckoutService", "rpc.grpc.status_code=0"},
			"orders publish":                      {"messaging.system=kafka", "messaging.destination.name=orders", "messaging.operation=publish"},
		} {
			for _, want := range wants {
				if !slices.Contains(strings.Split(found[name], ", "), want) {
					t.Errorf("with %v the span %q has %q, want %s", set, name, found[name], want)
				}
			}
		}
	}
}

func TestContextAndBaggageReachEveryService(t *testing.T) {
	s := open(t, nil)
	if _, err := s.buy(traced(t.Context()), "ada", "EUR", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
	for name, n := range map[string]*demo.Server{
		"cart": s.shop.Cart.Server, "catalog": s.shop.Catalog.Server, "currency": s.shop.Currency.Server,
		"payment": s.shop.Payment.Server, "shipping": s.shop.Shipping.Server, "email": s.shop.Email.Server,
	} {
		for _, call := range n.Calls("") {
			carries(t, name+" "+call.Method, call.Header)
		}
		if n.Count("") == 0 {
			t.Errorf("%s was not called", name)
		}
	}
	events := s.shop.Accounting.Events()
	header := map[string][]string{}
	for key, value := range events[0].Headers {
		header[key] = []string{value}
	}
	carries(t, "the event", header)
}

// carries checks that a header has the caller's trace and all of its baggage.
func carries(t *testing.T, what string, header map[string][]string) {
	t.Helper()
	got := map[string]string{}
	for key, values := range header {
		got[strings.ToLower(key)] = strings.Join(values, ",")
	}
	if !strings.HasPrefix(got["traceparent"], "00-"+callersTrace) {
		t.Errorf("%s has traceparent %q, want the caller's trace %s", what, got["traceparent"], callersTrace)
	}
	for member := range strings.SplitSeq(baggage, ",") {
		if !strings.Contains(got["baggage"], member) {
			t.Errorf("%s has baggage %q, want %s in it", what, got["baggage"], member)
		}
	}
}

func TestAFailedOrderTellsWhyInItsTrace(t *testing.T) {
	s := open(t, nil)
	s.shop.Catalog.TakeOffline()
	if _, err := s.buy(traced(t.Context()), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err == nil {
		t.Fatal("an order without a catalogue")
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, span := range s.shop.Collector.Trace(callersTrace) {
		if span.GetName() != "oteldemo.CheckoutService/PlaceOrder" {
			continue
		}
		if got := attributes(span.GetAttributes()); !strings.Contains(got, "rpc.grpc.status_code=14") || !strings.Contains(got, "error.type=") {
			t.Errorf("the server's span has %s, want the status code and an error.type", got)
		}
		if events := span.GetEvents(); len(events) == 0 || events[len(events)-1].GetName() != "error" {
			t.Errorf("the server's span has the events %v, want an error", events)
		}
		return
	}
	t.Error("no span of PlaceOrder")
}

// An order that recovery takes further is a trace of its own, that leads back to the call that placed it.
func TestAResumedOrderIsLinkedToTheCallThatPlacedIt(t *testing.T) {
	s := open(t, nil)
	s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse}, "ship-order")
	if _, err := s.buy(traced(t.Context()), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	s.shop.Shipping.Inject(demo.Fault{}, "ship-order")
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	var call demo.Span
	for _, span := range s.shop.Collector.Trace(callersTrace) {
		if span.GetName() == "oteldemo.CheckoutService/PlaceOrder" {
			call = span
		}
	}
	attempt := 1 // the call; recovery may have been there in vain before shipping was well again
	for _, span := range s.shop.Collector.Spans() {
		if span.GetName() == "resume order" {
			attempt++
		}
	}
	for _, span := range s.shop.Collector.Spans() {
		if span.GetName() != "resume order" || !strings.Contains(attributes(span.GetAttributes()), "reached_state=completed") {
			continue
		}
		links := span.GetLinks()
		if len(links) != 1 || string(links[0].GetTraceId()) != string(call.GetTraceId()) || string(links[0].GetSpanId()) != string(call.GetSpanId()) {
			t.Errorf("the links are %v, want one to PlaceOrder", links)
		}
		tree := spanTree(s.shop.Collector.Trace(hex.EncodeToString(span.GetTraceId())))
		golden(t, "resumed.txt", strings.Replace(tree, fmt.Sprintf("order.attempt=%d\n", attempt), "order.attempt=2\n", 1))
		calls := s.shop.Shipping.Calls("ship-order")
		if baggage := fmt.Sprint(calls[len(calls)-1].Header["Baggage"]); !strings.Contains(baggage, "synthetic_request=true") {
			t.Errorf("the carrier was asked again with baggage %q, want the caller's", baggage)
		}
		return
	}
	t.Error("no span of an order that was resumed and completed")
}

// spanTree draws spans below their parents, siblings by name, equal ones counted; what differs from run to run is "…".
func spanTree(spans []demo.Span) string {
	here := map[string]bool{}
	for _, s := range spans {
		here[string(s.GetSpanId())] = true
	}
	var draw func(parent, indent string) string
	draw = func(parent, indent string) string {
		var drawn []string
		for _, s := range spans {
			if p := string(s.GetParentSpanId()); p != parent && (here[p] || parent != "") {
				continue
			}
			kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
			text := fmt.Sprintf("%s%s (%s, %s)\n", indent, s.GetName(), kind, s.GetStatus().GetCode())
			for _, a := range sorted(s.GetAttributes()) {
				text += indent + "    " + a + "\n"
			}
			for _, e := range s.GetEvents() {
				text += indent + "  ◆ " + e.GetName() + " {" + attributes(e.GetAttributes()) + "}\n"
			}
			drawn = append(drawn, text+draw(string(s.GetSpanId()), indent+"  "))
		}
		slices.Sort(drawn)
		var all strings.Builder
		for i, text := range drawn {
			if i > 0 && drawn[i-1] == text {
				continue
			}
			if n := count(drawn, text); n > 1 {
				fmt.Fprintf(&all, "%s%d times:\n", indent, n)
			}
			all.WriteString(text)
		}
		return all.String()
	}
	return draw("", "")
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// volatile are the attributes whose values differ from run to run.
var volatile = []string{
	"app.order.id", "app.payment.transaction.id", "app.shipping.tracking.id",
	"demo.order.id", "demo.payment.transaction.id", "demo.shipping.tracking.id",
	"server.port", "network.peer.port", "url.full", "messaging.kafka.producer.duration_ms", "messaging.kafka.destination.partition",
	"trace_id", "span_id", "feature_flag.result.reason",
}

func sorted(attrs []*common.KeyValue) []string {
	var all []string
	for _, a := range attrs {
		value := "…"
		if !slices.Contains(volatile, a.GetKey()) {
			value = valueOf(a.GetValue())
		}
		all = append(all, a.GetKey()+"="+value)
	}
	slices.Sort(all)
	return all
}

func attributes(attrs []*common.KeyValue) string { return strings.Join(sorted(attrs), ", ") }

func valueOf(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprintf("%v (double)", v.DoubleValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	}
	return fmt.Sprint(v)
}

// metricList is every metric with its unit, and the keys of its attributes; but for those of process and container, which
// not every system tells.
func metricList(metrics []demo.Metric) string {
	lines := map[string]bool{}
	for _, m := range metrics {
		if strings.HasPrefix(m.GetName(), "process.") || strings.HasPrefix(m.GetName(), "checkout.container.") {
			continue
		}
		keys := map[string]bool{}
		for _, p := range m.GetHistogram().GetDataPoints() {
			addKeys(keys, p.GetAttributes())
		}
		for _, p := range append(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()...) {
			addKeys(keys, p.GetAttributes())
		}
		lines[fmt.Sprintf("%s [%s] %s", m.GetName(), m.GetUnit(), strings.Join(sortedKeys(keys), " "))] = true
	}
	return strings.Join(sortedKeys(lines), "\n") + "\n"
}

func addKeys(keys map[string]bool, attrs []*common.KeyValue) {
	for _, a := range attrs {
		keys[a.GetKey()] = true
	}
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// logList is every log record that belongs to a trace. Whether flagd has told its variants by then is a matter of luck.
func logList(logs []demo.Log) string {
	var lines []string
	for _, l := range logs {
		if id := hex.EncodeToString(l.GetTraceId()); id == callersTrace {
			what := fmt.Sprintf("%s %q", l.GetSeverityText(), valueOf(l.GetBody()))
			if event := l.GetEventName(); event != "" {
				what = "event " + event
			}
			lines = append(lines, fmt.Sprintf("%s in the caller's trace, in a span: %v\n    %s\n", what, len(l.GetSpanId()) == 8,
				strings.Join(sorted(slices.DeleteFunc(l.GetAttributes(), isVariant)), "\n    ")))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func isVariant(a *common.KeyValue) bool { return a.GetKey() == "feature_flag.result.variant" }

// resources are the keys of the resource of each signal, and what is the same on every machine.
func resources(c *demo.Collector) string {
	var signals []string
	add := func(signal string, origin demo.Origin) {
		keys := map[string]bool{}
		for _, a := range origin.Resource.GetAttributes() {
			switch a.GetKey() {
			case "container.id": // only in a container
			case "service.name", "service.namespace":
				keys[a.GetKey()+"="+valueOf(a.GetValue())] = true
			default:
				keys[a.GetKey()] = true
			}
		}
		signals = append(signals, signal+"\n    "+strings.Join(sortedKeys(keys), "\n    ")+"\n")
	}
	add("traces", c.Spans()[0].Origin)
	add("metrics", c.Metrics()[0].Origin)
	add("logs", c.Logs()[0].Origin)
	slices.SortFunc(signals, func(a, b string) int { return cmp.Compare(a, b) })
	return strings.Join(signals, "")
}
