package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/money"
	"checkout/internal/redact"
)

// secrets are what must not get out: a card in four spellings, and an address.
func secrets() []string {
	return []string{"4432801561520454", "4432-8015-6152-0454", "4432 8015 6152 0454", "4432\u00a08015.6152\u20110454", "ada@example.com"}
}

// hides checks that none of it is in text, and that something was there.
func hides(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range secrets() {
		if strings.Contains(text, secret) {
			t.Errorf("%s: %q is in\n%s", where, secret, text)
		}
	}
	if !strings.Contains(text, "***") {
		t.Errorf("%s: nothing was hidden in\n%s", where, text)
	}
}

func TestWhatIsPlantedInASpanIsMasked(t *testing.T) {
	t.Parallel()
	for _, secret := range secrets() {
		said := "for " + secret + "!"
		for where, plant := range map[string]func(trace.Span){
			"attribute":     func(s trace.Span) { s.SetAttributes(attribute.Int("a", 1), attribute.String("b", said)) },
			"list":          func(s trace.Span) { s.SetAttributes(attribute.StringSlice("a", []string{"x", said})) },
			"map in a list": func(s trace.Span) { s.SetAttributes(attribute.KeyValue{Key: "a", Value: nested(said)}) },
			"bytes": func(s trace.Span) {
				s.SetAttributes(attribute.KeyValue{Key: "a", Value: attribute.ByteSliceValue([]byte(said))})
			},
			"attribute of an event": func(s trace.Span) { s.AddEvent("e", trace.WithAttributes(attribute.String("a", said))) },
			"event":                 func(s trace.Span) { s.AddEvent(said) },
			"attribute of a link": func(s trace.Span) {
				s.AddLink(trace.Link{SpanContext: s.SpanContext(), Attributes: []attribute.KeyValue{attribute.String("a", said)}})
			},
			"status": func(s trace.Span) { s.SetStatus(codes.Error, said) },
			"error":  func(s trace.Span) { s.RecordError(errors.New(said)) },
			"name":   func(s trace.Span) { s.SetName(said) },
		} {
			t.Run(where, func(t *testing.T) {
				t.Parallel()
				r := record(t)
				_, span := r.tracer.Start(t.Context(), "harmless")
				span.SetAttributes(attribute.String("other", "kept"))
				plant(span)
				span.End()
				ended := r.spans.Ended()[0]
				hides(t, where, describe(ended)+fmt.Sprint(ended.Links(), string(bytesOf(ended.Attributes()))))
				if !strings.Contains(describe(ended), "other=kept") {
					t.Errorf("the rest is lost: %s", describe(ended))
				}
			})
		}
	}
}

// nested has text deep inside.
func nested(text string) attribute.Value {
	return attribute.SliceValue(attribute.IntValue(1), attribute.MapValue(attribute.String("deep", text)))
}

// bytesOf are the values of attributes that are bytes: as text they are encoded.
func bytesOf(attrs []attribute.KeyValue) (all []byte) {
	for _, a := range attrs {
		if a.Value.Type() == attribute.BYTESLICE {
			all = append(all, a.Value.AsByteSlice()...)
		}
	}
	return all
}

func TestWhatIsPlantedInTheLogIsMasked(t *testing.T) {
	t.Parallel()
	type form struct{ Name, Card string }
	for _, secret := range secrets() {
		for where, plant := range map[string]func(context.Context, *slog.Logger){
			"message":   func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "for "+secret) }, //nolint:sloglint // the slip that is meant
			"attribute": func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "x", "a", 1, "b", secret) },
			"group":     func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "x", slog.Group("g", "a", secret)) },
			"error": func(ctx context.Context, l *slog.Logger) {
				l.InfoContext(ctx, "x", "error", fmt.Errorf("charge %s: no", secret))
			},
			"struct":   func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "x", "form", form{"ada", secret}) },
			"with":     func(ctx context.Context, l *slog.Logger) { l.With("a", secret).InfoContext(ctx, "x") },
			"group of": func(ctx context.Context, l *slog.Logger) { l.WithGroup("g").InfoContext(ctx, "x", "trace_id", secret) },
		} {
			t.Run(where, func(t *testing.T) {
				t.Parallel()
				r := record(t)
				plant(t.Context(), r.logger)
				hides(t, where+" on stdout", r.stdout.String())
				hides(t, where+" over OTLP", r.logs.text())
			})
		}
	}
}

func TestWhatIsPlantedInAnEventOfTheLogIsMasked(t *testing.T) {
	t.Parallel()
	for _, secret := range secrets() {
		r := record(t)
		var event log.Record
		event.SetBody(nested(secret))
		event.AddAttributes(attribute.String("a", secret), attribute.Int("n", 1))
		r.events.Emit(t.Context(), event)
		got := r.logs.records[0]
		text := got.Body().String() + r.logs.text()
		hides(t, "event", text)
		if !strings.Contains(text, "int64 n=1") {
			t.Errorf("the rest is lost: %s", text)
		}
	}
}

// What names orders, parcels, charges and traces is made of digits, too.
func TestIdsAreLeftAlone(t *testing.T) {
	t.Parallel()
	const uuid = "44328015-6152-4045-9111-111111111111" // begins like a card with a right check digit
	for _, text := range []string{uuid, "order " + uuid + ": no", strings.ToUpper("019aab52-" + uuid[9:])} {
		if got := redact.Text(text); got != text {
			t.Errorf("redact.Text(%q) = %q", text, got)
		}
	}
	if text := "4432-8015-6152-0454 of " + uuid; redact.Text(text) != "****-****-****-**** of "+uuid {
		t.Errorf("redact.Text(%q) = %q", text, redact.Text(text))
	}
	a := maskField(nil, slog.String(logTraceID, "44328015615204540000000000000000"))
	b := maskField(nil, slog.String(logSpanID, "4432801561520454"))
	if strings.Contains(a.Value.String()+b.Value.String(), "*") {
		t.Errorf("the ids of trace and span are %s and %s", a.Value, b.Value)
	}
}

func TestAFieldWithTheRequestsCardIsNotShown(t *testing.T) {
	t.Parallel()
	d := record(t).names
	for _, typed := range []string{"4432801561520454", "4432801561520454000", "0004432801561520454", "4432-8015-6152-0454-1"} {
		req := request()
		req.UserID, req.Currency = typed, money.Currency(typed)
		for _, shown := range d.customer(req) {
			if shown.Value.AsString() != "***" {
				t.Errorf("%s of a request with %q is %q", shown.Key, typed, shown.Value.AsString())
			}
		}
	}
}

// nowhere is where spans end.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }

// BenchmarkMask is what masking costs a span with nothing to hide, of the size that most have.
func BenchmarkMask(b *testing.B) {
	r := record(b)
	_, span := r.tracer.Start(b.Context(), "oteldemo.CheckoutService/PlaceOrder")
	placed := sample(b)
	span.SetAttributes(r.names.placed(placed)...)
	span.SetAttributes(r.names.customer(request())...)
	span.SetAttributes(attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", "oteldemo.CheckoutService"), serverAddress.String("127.0.0.1"))
	span.AddEvent(eventCharged, trace.WithAttributes(r.names.attributes(paymentTransaction.is("01890a5d-ac96-774b-bcce-b302099a8057"))...))
	span.End()
	ended, masked := r.spans.Ended()[0], maskedSpans{nowhere{}}
	b.ReportAllocs()
	for b.Loop() {
		masked.OnEnd(ended)
	}
}
