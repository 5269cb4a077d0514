package telemetry

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/order"
)

const (
	placedTrace = "0af7651916cd43dd8448eb211c80319c"
	placedSpan  = "b7ad6b7169203331"
)

// left is an abandoned order.
func left(t *testing.T) *order.Order {
	t.Helper()
	o := sample(t)
	o.State, o.Attempts = order.Charged, 2
	o.Trace = map[string]string{"traceparent": "00-" + placedTrace + "-" + placedSpan + "-01", "baggage": "synthetic_request=true"}
	return o
}

func TestAResumedOrderIsATraceOfItsOwnLinkedToTheCallThatPlacedIt(t *testing.T) {
	t.Parallel()
	r := record(t)
	o := left(t)
	ctx, ended := r.Resumed(t.Context(), o)
	_, child := r.tracer.Start(ctx, "POST")
	child.End()
	store := r.Store(brokenStore{})
	o.State, o.TrackingID = order.Placed, "t-1"
	if err := store.Save(ctx, o, order.Charged, 0); err != nil {
		t.Fatal(err)
	}
	r.Report(ctx, o.ID, errors.New("the e-mail is late"))
	ended(nil)

	span := r.span(t, "internal resume order")
	want := `internal resume order
  int64 checkout.order.attempt=3
  string app.order.id=o-1
  string checkout.order.reached_state=placed
  string checkout.order.state=charged
  event shipped
    string app.shipping.tracking.id=t-1
`
	if diff := cmp.Diff(want, describe(span)); diff != "" {
		t.Errorf("span (-want +got):\n%s", diff)
	}
	if span.Parent().IsValid() || span.SpanContext().TraceID().String() == placedTrace {
		t.Error("the span is not the root of a trace of its own")
	}
	links := span.Links()
	if len(links) != 1 || links[0].SpanContext.TraceID().String() != placedTrace || links[0].SpanContext.SpanID().String() != placedSpan {
		t.Errorf("the span has the links %v, want one to the call that placed the order", links)
	}
	if r.span(t, "internal POST").Parent().SpanID() != span.SpanContext().SpanID() {
		t.Error("what recovery does is not below the span")
	}
	if got := baggage.FromContext(ctx).Member("synthetic_request").Value(); got != "true" {
		t.Errorf("the baggage says synthetic_request=%q, want true", got)
	}
	if line := r.lines(t)[0]; line["trace_id"] != span.SpanContext().TraceID().String() {
		t.Errorf("the log has %v, want the trace of the span", line)
	}
}

func TestAResumedOrderTellsWhyItIsHeldUp(t *testing.T) {
	t.Parallel()
	r := record(t)
	_, ended := r.Resumed(t.Context(), left(t))
	ended(&order.Error{Kind: order.ErrUnavailable, Step: order.StepShip, OrderID: "o-1", Err: errors.New("nobody at ada@example.com")})
	got := describe(r.span(t, "internal resume order"))
	for _, want := range []string{`status Error "unavailable: nobody at ***"`, "error.type=unavailable", "checkout.order.step=ship", "checkout.order.reached_state=charged"} {
		if !strings.Contains(got, want) {
			t.Errorf("the span has no %s:\n%s", want, got)
		}
	}
}

func TestAnOrderWithoutATraceIsResumedAllTheSame(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]map[string]string{"none": nil, "broken": {"traceparent": "rubbish"}} {
		r := record(t)
		o := left(t)
		o.Trace = with
		ctx, ended := r.Resumed(context.WithoutCancel(t.Context()), o)
		ended(nil)
		if span := r.span(t, "internal resume order"); len(span.Links()) != 0 || !trace.SpanContextFromContext(ctx).IsValid() {
			t.Errorf("%s: links %v, context %v", name, span.Links(), trace.SpanContextFromContext(ctx))
		}
	}
}
