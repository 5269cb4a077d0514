package telemetry

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/pricing"
)

// world answers every port with err.
type world struct{ err error }

func (w world) Lines(context.Context, string) ([]order.Line, error) { return nil, w.err }
func (w world) Empty(context.Context, string) error                 { return w.err }
func (w world) Product(context.Context, string) (pricing.Product, error) {
	return pricing.Product{}, w.err
}
func (w world) Supported(context.Context) ([]money.Currency, error) { return nil, w.err }
func (w world) Confirm(context.Context, *order.Order) error         { return w.err }
func (w world) Publish(context.Context, *order.Order) error         { return w.err }
func (w world) Lookup(context.Context, order.ID) (string, money.Amount, error) {
	return "", money.Amount{}, w.err
}
func (w world) Refund(context.Context, order.ID, money.Amount) error { return w.err }
func (w world) Reverse(context.Context, order.ID) error              { return w.err }
func (w world) Quote(context.Context, order.Address, []order.Line) (money.Amount, error) {
	return money.Amount{}, w.err
}

func (w world) Ship(context.Context, order.ID, order.Address, []order.Line) (string, error) {
	return "", w.err
}

func (w world) Convert(context.Context, money.Amount, money.Currency) (money.Amount, error) {
	return money.Amount{}, w.err
}

func (w world) Charge(context.Context, order.ID, money.Amount, creditcard.Card) (string, error) {
	return "", w.err
}

// walk takes every step once, and returns the errors that came through.
func walk(ctx context.Context, tel *Telemetry, w world) (errs []error) {
	first := func(_ any, err error) { errs = append(errs, err) }
	s := tel.Timed(Services{w, w, w, w, w, w, w, w, w})
	first(s.Cart.Lines(ctx, ""))
	first(nil, s.Cart.Empty(ctx, ""))
	first(s.Catalog.Product(ctx, ""))
	first(s.Currency.Supported(ctx))
	first(s.Currency.Convert(ctx, money.Amount{}, ""))
	first(s.Quotes.Quote(ctx, order.Address{}, nil))
	first(s.Shipping.Ship(ctx, "", order.Address{}, nil))
	first(s.Payment.Charge(ctx, "", money.Amount{}, creditcard.Card{}))
	_, _, err := s.Ledger.Lookup(ctx, "")
	first(nil, err)
	first(nil, s.Ledger.Reverse(ctx, ""))
	first(nil, s.Email.Confirm(ctx, nil))
	first(nil, s.Events.Publish(ctx, nil))
	return errs
}

func TestEveryStepIsMeasuredByHowItEnded(t *testing.T) {
	t.Parallel()
	steps := map[order.Step]int{
		order.StepCart: 1, order.StepEmptyCart: 1, order.StepCatalog: 1, order.StepConvert: 2, order.StepQuote: 1, order.StepShip: 1,
		order.StepCharge: 1, order.StepLookup: 1, order.StepReverse: 1, order.StepEmail: 1, order.StepPublish: 1,
	}
	for want, err := range map[string]error{
		"":                   nil,
		"refused":            fmt.Errorf("carrier: %w: no", order.ErrRefused),
		"not_sent":           errors.Join(order.ErrUnsent, context.DeadlineExceeded),
		"answer_implausible": order.ErrImplausible,
		"product_unknown":    order.ErrUnknownProduct,
		"canceled":           context.Canceled,
		"timeout":            fmt.Errorf("mail: %w", context.DeadlineExceeded),
		other:                errors.New("nobody knows"),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := record(t)
			for i, got := range walk(t.Context(), r.Telemetry, world{err}) {
				if !errors.Is(got, err) {
					t.Errorf("call %d returns %v, want %v", i, got, err)
				}
			}
			got := map[order.Step]int{}
			for _, p := range histogramOf(t, r, metricSteps) {
				step, _ := p.Attributes.Value(stepKey)
				kind, _ := p.Attributes.Value(errorType)
				if kind.AsString() != want {
					t.Errorf("step %s is of error.type %q, want %q", step.AsString(), kind.AsString(), want)
				}
				got[order.Step(step.AsString())] += int(p.Count)
			}
			if diff := cmp.Diff(steps, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAStepLeadsToItsTrace(t *testing.T) {
	t.Parallel()
	r := record(t)
	ctx, span := r.tracer.Start(t.Context(), "PlaceOrder")
	walk(ctx, r.Telemetry, world{})
	span.End()
	for _, p := range histogramOf(t, r, metricSteps) {
		id := span.SpanContext().TraceID()
		if len(p.Exemplars) == 0 || string(p.Exemplars[0].TraceID) != string(id[:]) {
			t.Errorf("%v has the exemplars %v, want one of trace %s", p.Attributes.ToSlice(), p.Exemplars, id)
		}
	}
}

// histogramOf are the points of a histogram.
func histogramOf(t testing.TB, r *recording, name string) []metricdata.HistogramDataPoint[float64] {
	t.Helper()
	h, ok := r.collect(t)[name].Data.(metricdata.Histogram[float64])
	if !ok {
		t.Fatalf("no histogram %s", name)
	}
	return h.DataPoints
}

// sharing is a read phase that shares two calls of another order.
type sharing struct {
	*recording
	asker context.Context
}

func (s sharing) Price(ctx context.Context, _ order.Request) (*order.Order, error) {
	for range 2 {
		s.Shared(ctx, s.asker)
	}
	return &order.Order{}, nil
}

func TestAnOrderThatSharesACallIsLinkedToTheOneThatMadeIt(t *testing.T) {
	t.Parallel()
	r := record(t)
	asker, asking := r.tracer.Start(t.Context(), "asker")
	if _, err := r.Pricer(sharing{r, asker}).Price(t.Context(), order.Request{}); err != nil {
		t.Fatal(err)
	}
	asking.End()
	links := r.span(t, "internal "+spanPrepare).Links()
	if len(links) != 2 || links[0].SpanContext.SpanID() != asking.SpanContext().SpanID() {
		t.Errorf("the links are %v, want two to the span that made the calls", links)
	}
}

// BenchmarkStep is what one measured step costs beside the step itself, in an order whose span is sampled.
func BenchmarkStep(b *testing.B) {
	providers := providers{
		traces: sdktrace.NewTracerProvider(),
		meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
		logs:   silent().logs,
	}
	for name, tel := range map[string]*Telemetry{
		"observed": assemble(providers, propagation.TraceContext{}, nil, newDialect(dialectApp), conventions{}),
		"none":     assemble(silent(), propagation.TraceContext{}, nil, newDialect(dialectApp), conventions{}),
	} {
		cart := tel.Timed(Services{Cart: world{}}).Cart
		ctx, span := tel.tracer.Start(b.Context(), "PlaceOrder")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := cart.Empty(ctx, "u"); err != nil {
					b.Fatal(err)
				}
			}
		})
		span.End()
	}
}
