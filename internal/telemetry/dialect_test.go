package telemetry

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"

	"checkout/internal/order"
)

// recordNames records in a dialect.
func recordNames(t testing.TB, names string) *recording {
	t.Helper()
	return recordIn(t, names, silentEnv().conventions())
}

func TestEachDialectHasItsOwnNames(t *testing.T) {
	t.Parallel()
	const app, demo = "float64 app.order.amount=31.99", "float64 demo.order.amount=31.99"
	for names, want := range map[string][]string{"app": {app}, "demo": {demo}, "both": {app, demo}} {
		d := newDialect(names)
		var got []string
		for line := range strings.Lines(attributes("", d.placed(sample(t)))) {
			if strings.Contains(line, ".amount=31") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", names, diff)
		}
	}
}

func TestNoNameStandsForTwoThings(t *testing.T) {
	t.Parallel()
	seen := map[attribute.Key]fact{}
	for f, term := range terms() {
		if term.demo == "" {
			t.Errorf("fact %d has no name: %+v", f, term)
		}
		for _, name := range []attribute.Key{term.app, term.demo} {
			if before, ok := seen[name]; ok && before != fact(f) && name != "" {
				t.Errorf("%s is both fact %d and fact %d", name, before, f)
			}
			seen[name] = fact(f)
		}
	}
}

func TestAFailureIsAnEventOfEachDialect(t *testing.T) {
	t.Parallel()
	for names, want := range map[string][]string{"app": {"error"}, "demo": {"exception"}, "both": {"error", "exception"}} {
		r := recordNames(t, names)
		ctx, call := r.tracer.Start(t.Context(), "PlaceOrder")
		placer := r.Placer(placeFunc(func(context.Context, order.Request) (*order.Order, error) { return nil, order.ErrEmptyCart }))
		if _, err := placer.Place(ctx, request()); err == nil {
			t.Fatal("an order out of nothing")
		}
		call.End()
		var got []string
		for _, event := range r.span(t, "internal PlaceOrder").Events() {
			got = append(got, event.Name)
			if len(event.Attributes) != 1 || event.Attributes[0] != exceptionMessage.String("the cart is empty") {
				t.Errorf("%s: event %s says %v", names, event.Name, event.Attributes)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", names, diff)
		}
	}
}

func TestOnlyNewNamesMarkTheLoadGenerator(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]map[string]bool{
		"synthetic_request=true":  {"app": false, "demo": true, "both": true},
		"synthetic_request=false": {"app": false, "demo": false, "both": false},
		"session.id=true":         {"app": false, "demo": false, "both": false},
	} {
		bag, err := baggage.Parse(header)
		if err != nil {
			t.Fatal(err)
		}
		for names, want := range want {
			r := recordNames(t, names)
			ctx, call := r.tracer.Start(baggage.ContextWithBaggage(t.Context(), bag), "PlaceOrder")
			placer := r.Placer(placeFunc(func(context.Context, order.Request) (*order.Order, error) { return sample(t), nil }))
			if _, err := placer.Place(ctx, request()); err != nil {
				t.Fatal(err)
			}
			call.End()
			if got := strings.Contains(describe(r.span(t, "internal PlaceOrder")), "user_agent.synthetic.type=test"); got != want {
				t.Errorf("%s with %s: told %t, want %t", names, header, got, want)
			}
		}
	}
}
