package telemetry

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
)

func TestBaggageGoesOnAsItCame(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		came string
		want []string // its members, in any order
	}{
		"none":                     {"", nil},
		"members":                  {"session.id=abc-123,synthetic_request=true", []string{"session.id=abc-123", "synthetic_request=true"}},
		"a member with properties": {"a=1;ttl=60;secret", []string{"a=1;ttl=60;secret"}},
		"encoded":                  {"a=%C3%A4%20b", []string{"a=%C3%A4%20b"}},
		"not understood":           {"a=1,=,", []string{"a=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := silentEnv().propagator()
			ctx := p.Extract(t.Context(), propagation.MapCarrier{"baggage": test.came})
			for range 2 {
				carrier := propagation.MapCarrier{}
				p.Inject(ctx, carrier)
				var got []string
				if carrier["baggage"] != "" {
					got = strings.Split(carrier["baggage"], ",")
				}
				slices.Sort(got)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("passed on (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestBaggageOfOurOwnGoesOn(t *testing.T) {
	t.Parallel()
	bag, err := baggage.Parse("a=1")
	if err != nil {
		t.Fatal(err)
	}
	carrier := propagation.MapCarrier{}
	silentEnv().propagator().Inject(baggage.ContextWithBaggage(context.Background(), bag), carrier)
	if got := carrier["baggage"]; got != "a=1" {
		t.Errorf("passed on %q, want a=1", got)
	}
}
