//go:build telemetry

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"

	"checkout/internal/demo"
	"checkout/internal/test/nettest"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// Orders that go well, and one of each kind that does not: then whoever receives telemetry has it, by the names that the
// shop's dashboards and trace tests, our own dashboard and our rules ask for, in the dialect of either generation.
func TestTelemetryReachesThoseWhoAskForIt(t *testing.T) {
	for _, names := range []string{"app", "demo"} {
		t.Run(names, func(t *testing.T) {
			t.Parallel()
			p := startAll(t, names)
			p.order(t)
			p.tellTheOthers(t)
			t.Run("the collector's spans", func(t *testing.T) { hasTheOrder(t, names, p.written) })
			t.Run("the collector's logs", p.hasTheLogs)
			t.Run("Jaeger", func(t *testing.T) {
				if p.jaeger == "" {
					t.Skip("NOT CHECKED: Jaeger is not built; make test-telemetry builds it")
				}
				t.Run("spans", func(t *testing.T) { hasTheOrder(t, names, p.shown) })
				t.Run("edges", p.hasTheEdges)
				t.Run("dependencies", p.hasTheDependencies)
			})
			t.Run("Prometheus", func(t *testing.T) {
				if p.prometheus == "" {
					t.Skip("NOT CHECKED: Prometheus is not installed; it is in Debian's package prometheus")
				}
				t.Run("numbers", func(t *testing.T) { p.hasTheNumbers(t, names) })
				t.Run("names", p.hasTheNames)
				t.Run("rules", p.hasTheRules)
				t.Run("dashboard", func(t *testing.T) { p.answersTheDashboard(t, names) })
			})
		})
	}
}

// order asks for six orders: two are placed; one has no cart, one a card that is refused; of one the charge is not
// answered, and one was charged and cannot be shipped.
func (p *parts) order(t *testing.T) {
	t.Helper()
	traced := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	o, err := p.buy(traced, "1997", "USD", visa)
	if err != nil {
		t.Fatal(err)
	}
	if o.GetOrderId() == "" || o.GetShippingTrackingId() == "" || o.GetShippingAddress() == nil || o.GetShippingCost().GetCurrencyCode() != "USD" {
		t.Errorf("the answer is %v, want the ids, the address, and what shipping costs in USD", o)
	}
	if _, err := p.buy(t.Context(), "ada", "EUR", visa); err != nil {
		t.Fatal(err)
	}
	if _, err := p.place(t.Context(), "bea", "USD", visa); err == nil {
		t.Error("an order of nothing was placed")
	}
	if _, err := p.buy(t.Context(), "cia", "USD", amex); err == nil {
		t.Error("an order with a card that is refused was placed")
	}
	p.shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer}, "Charge")
	if _, err := p.buy(t.Context(), "dee", "USD", visa); err == nil {
		t.Error("an order was placed that may not have been charged")
	}
	p.shop.Payment.Inject(demo.Fault{}, "Charge")
	p.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse, Status: 422}, "ship-order")
	if _, err := p.buy(t.Context(), "eve", "USD", visa); err == nil {
		t.Error("an order that is not shipped was placed")
	}
	p.awaitLedgers(t, demo.Tally{Charges: 4, Parcels: 2, Emails: 2, Events: 2})
}

// awaitLedgers waits until the ledgers say so, and the carts of those who were sent e-mails are empty.
func (s *service) awaitLedgers(t *testing.T, want demo.Tally) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.shop.Await(ctx, func() bool {
		return s.shop.Ledgers().Total() == want && s.shop.Cart.Count("EmptyCart") == want.Emails
	}); err != nil {
		t.Fatalf("%v: the books say %+v, and %d carts were emptied; want %+v", err, s.shop.Ledgers().Total(), s.shop.Cart.Count("EmptyCart"), want)
	}
}

// calls are those that have reached the other services, by what these are called in the shop.
func (s *service) calls() map[string][]demo.Call {
	return map[string][]demo.Call{
		"cart": s.shop.Cart.Calls(""), "product-catalog": s.shop.Catalog.Calls(""), "currency": s.shop.Currency.Calls(""),
		"payment": s.shop.Payment.Calls(""), "shipping": s.shop.Shipping.Calls(""), "email": s.shop.Email.Calls(""),
	}
}

// tellTheOthers sends the collector what the others would who take part in an order, and whom the demo makes without
// telemetry: a server's span for every call that has reached another service, a consumer's for every event, and the
// caller's own. Whose children they are is what the call or the event says.
func (p *parts) tellTheOthers(t *testing.T) {
	t.Helper()
	req := new(tracecollector.ExportTraceServiceRequest)
	tell := func(service, name string, kind trace.Span_SpanKind, id, parent []byte) {
		now := uint64(time.Now().UnixNano())
		traceID, _ := hex.DecodeString(callersTrace)
		if len(parent) == 24 {
			traceID, parent = parent[:16], parent[16:]
		}
		req.ResourceSpans = append(req.ResourceSpans, &trace.ResourceSpans{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{{
				Key: "service.name", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: service}},
			}}},
			ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{
				TraceId: traceID, SpanId: id, ParentSpanId: parent, Name: name, Kind: kind, StartTimeUnixNano: now, EndTimeUnixNano: now,
			}}}},
		})
	}
	n := 0
	child := func() []byte { n++; return fmt.Appendf(nil, "other%03d", n) }
	caller, _ := hex.DecodeString(callersSpan)
	tell("frontend", "oteldemo.CheckoutService/PlaceOrder", trace.Span_SPAN_KIND_CLIENT, caller, nil)
	for service, calls := range p.calls() {
		for _, call := range calls {
			tell(service, call.Method, trace.Span_SPAN_KIND_SERVER, child(), parent(t, call.Header))
		}
	}
	for _, event := range p.shop.Accounting.Events() {
		tell("accounting", "orders process", trace.Span_SPAN_KIND_CONSUMER, child(), parent(t, map[string][]string{"traceparent": {event.Headers["traceparent"]}}))
	}
	conn := nettest.DialGRPC(t, p.otlp)
	if _, err := tracecollector.NewTraceServiceClient(conn).Export(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// parent is the trace and the span that a header names (W3C Trace Context).
func parent(t *testing.T, header map[string][]string) []byte {
	t.Helper()
	for key, values := range header {
		if parts := strings.Split(strings.Join(values, ","), "-"); strings.EqualFold(key, "traceparent") && len(parts) == 4 {
			if id, err := hex.DecodeString(parts[1] + parts[2]); err == nil {
				return id
			}
		}
	}
	t.Errorf("no parent in %v", header)
	return nil
}

func (p *parts) hasTheLogs(t *testing.T) {
	for _, want := range []string{`"order placed"`, `"order not placed"`, `"card_declined"`, callersTrace, `"feature_flag.evaluation"`} {
		await(t, "a line of the log", func(context.Context) error { return p.logged(want) })
	}
}

// logged reports whether the collector has written a log record with some text in it.
func (c *collector) logged(want string) error {
	text, err := os.ReadFile(filepath.Join(c.folder, "logs.jsonl"))
	if err == nil && !bytes.Contains(text, []byte(want)) {
		err = fmt.Errorf("there is no %s in %s", want, text)
	}
	return err
}
