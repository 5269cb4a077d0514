package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"

	"checkout/internal/creditcard"
	"checkout/internal/order"
	"checkout/internal/test/cardtest"
)

const traceOfCaller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// passOn is what goes on of a caller's headers.
func passOn(t *testing.T, e env, baggage, state string) (baggageOut, stateOut string) {
	t.Helper()
	p := e.propagator()
	ctx := p.Extract(t.Context(), propagation.MapCarrier{traceparent: traceOfCaller, "baggage": baggage, "tracestate": state})
	out := propagation.MapCarrier{}
	p.Inject(ctx, out)
	return out["baggage"], out["tracestate"]
}

func TestACardInTheContextOfACallerDoesNotGoOn(t *testing.T) {
	t.Parallel()
	for _, number := range cardtest.Numbers("45") {
		for _, spelt := range append(cardtest.Typed(number), strings.ReplaceAll(cardtest.Typed(number)[1], "-", "."), "\u00a0"+cardtest.Typed(number)[2], cardtest.Spellings(number)[9].Text) {
			once := url.PathEscape(spelt)
			all := ""
			for _, b := range []byte(spelt) {
				all += fmt.Sprintf("%%%02X", b)
			}
			for _, encoded := range []string{once, url.PathEscape(once), all, url.PathEscape(all), all + "%zz"} {
				baggage, _ := passOn(t, silentEnv(), "a=1,pay="+encoded+",c="+encoded+";p=1,d=2;p="+encoded, "")
				if cardtest.Find(decoded(baggage), number) != nil || !strings.Contains(baggage, "a=1") {
					t.Errorf("of the baggage with %q goes on %q, want a=1", encoded, baggage)
				}
			}
			if strings.ContainsFunc(spelt, func(r rune) bool { return r > '~' }) {
				continue // no tracestate is valid with it
			}
			if _, state := passOn(t, silentEnv(), "", "v="+spelt+",w=ok"); state != "w=ok" {
				t.Errorf("of the tracestate with %q goes on %q, want w=ok", spelt, state)
			}
		}
	}
}

func TestTheLimitsOfContext(t *testing.T) {
	t.Parallel()
	members := func(n int, format string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(all, ",")
	}
	count := func(header string) int { return len(strings.FieldsFunc(header, func(r rune) bool { return r == ',' })) }
	for name, test := range map[string]struct {
		baggage string
		want    int
	}{
		"64 members":                       {members(64, "k%d=v"), 64},
		"65 members":                       {members(65, "k%d=v"), 64},
		"8 KiB":                            {"a=" + strings.Repeat("x", 8190), 1},
		"more than 8 KiB":                  {"a=1,b=" + strings.Repeat("x", 8190), 0},
		"what is no member does not count": {strings.Repeat(",", 100) + "a=1", 1},
	} {
		if got, _ := passOn(t, silentEnv(), test.baggage, ""); count(got) != test.want || len(got) > 8192 {
			t.Errorf("%s: %d members of %d bytes go on, want %d", name, count(got), len(got), test.want)
		}
	}
	for name, test := range map[string]struct {
		state string
		want  int
	}{
		"32 members":               {members(32, "k%d=v"), 32},
		"512 characters":           {members(4, "k%d="+strings.Repeat("x", 124)), 4},
		"the last ones go":         {members(30, "k%02d="+strings.Repeat("x", 20)), 20},
		"a long one alone is kept": {"a=" + strings.Repeat("x", 250), 1},
	} {
		if _, got := passOn(t, silentEnv(), "", test.state); count(got) != test.want || len(got) > maxState {
			t.Errorf("%s: %d members of %d bytes go on, want %d", name, count(got), len(got), test.want)
		}
	}
}

func TestOnlyBaggageThatIsAllowedGoesOn(t *testing.T) {
	t.Parallel()
	e := silentEnv()
	e.Baggage = []string{"session.id", "synthetic_request"}
	if got, _ := passOn(t, e, "session.id=a,other=b, synthetic_request = true;p=1,session=c", ""); got != "session.id=a,synthetic_request=true;p=1" && got != "synthetic_request=true;p=1,session.id=a" {
		t.Errorf("%q goes on, want session.id and synthetic_request", got)
	}
}

// bystander is a Placer that keeps what it is asked for.
type bystander struct {
	*Telemetry
	trace    map[string]string
	outgoing propagation.MapCarrier
}

func (b *bystander) Place(ctx context.Context, req order.Request) (*order.Order, error) {
	b.trace, b.outgoing = req.Trace, propagation.MapCarrier{}
	ctx, span := b.tracer.Start(ctx, "a call to another service")
	defer span.End()
	b.propagator.Inject(ctx, b.outgoing)
	return nil, &order.Error{Kind: order.ErrEmptyCart}
}

func TestTheCardOfTheRequestIsInNoContextHoweverItIsSpelt(t *testing.T) {
	t.Parallel()
	const number, cvv = "4432801561520454", 7221
	r := record(t)
	next := &bystander{Telemetry: r.Telemetry}
	for _, secret := range []string{number, fmt.Sprint(cvv)} {
		for _, s := range cardtest.Spellings(secret) {
			if s.Name == "words" || strings.HasPrefix(s.Name, "hexadecimal") && secret != number {
				continue // nobody's machine writes a CVV like this
			}
			state := "w=ok"
			if !strings.ContainsFunc(s.Text, func(r rune) bool { return r < ' ' || r > '~' || r == ',' || r == '=' }) {
				state += ",v=" + s.Text
			}
			ctx := r.propagator.Extract(t.Context(), propagation.MapCarrier{
				traceparent: traceOfCaller, "baggage": "a=1,pay=" + url.PathEscape(s.Text), "tracestate": state,
			})
			ctx, span := r.tracer.Start(ctx, "PlaceOrder")
			_, _ = r.Placer(next).Place(ctx, order.Request{Card: creditcard.New(number, cvv, 2039, 1)})
			span.End()
			for where, carrier := range map[string]map[string]string{"on record": next.trace, "to services": next.outgoing} {
				if carrier["baggage"] != "a=1" || carrier["tracestate"] != "w=ok" {
					t.Errorf("%s, %s: %q and %q go on, want a=1 and w=ok", s.Name, where, carrier["baggage"], carrier["tracestate"])
				}
				if !strings.HasPrefix(carrier[traceparent], traceOfCaller[:35]) {
					t.Errorf("%s: the trace is %q, want the caller's", where, carrier[traceparent])
				}
			}
			for _, span := range r.spans.Ended() {
				if state := span.SpanContext().TraceState().String(); state != "" && state != "w=ok" {
					t.Errorf("%s: span %q is exported with tracestate %q, want at most w=ok", s.Name, span.Name(), state)
				}
			}
			r.spans.Reset()
		}
	}
}
