package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
	"checkout/internal/order"
	"checkout/internal/redact"
	"checkout/internal/test/cardtest"
	"checkout/internal/test/nettest"
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
				if cardtest.Find(redact.Decoded(baggage), number) != nil || !strings.Contains(baggage, "a=1") {
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

func TestATraceThatIsNamedAfterTheCardIsLeft(t *testing.T) {
	t.Parallel()
	card := creditcard.New("4008-8560-0000-2252", 123, 2039, 1)
	for parent, kept := range map[string]bool{
		traceOfCaller: true,
		"00-40088560000022520000000000000000-b7ad6b7169203331-01": false,
		"00-a4008b8560c0000d2252000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-4008856000002252-01": false,
		"00-00000000000000000000000040088560-00002252aaaaaaaa-01": false,
	} {
		r := record(t)
		var inside trace.SpanContext
		var trail string
		addr := nettest.ServeGRPC(t, func(s *grpc.Server) {
			oteldemo.RegisterCheckoutServiceServer(s, checkoutServer{place: func(ctx context.Context) error {
				next := &bystander{Telemetry: r.Telemetry}
				_, err := r.Placer(next).Place(ctx, order.Request{Card: card})
				inside, trail = trace.SpanContextFromContext(ctx), fmt.Sprint(next.trace, next.outgoing)
				return err
			}})
		}, grpc.StatsHandler(r.ServerHandler()))
		ctx := metadata.AppendToOutgoingContext(t.Context(), traceparent, parent, "baggage", "a=1")
		if _, err := oteldemo.NewCheckoutServiceClient(nettest.DialGRPC(t, addr)).PlaceOrder(ctx, &oteldemo.PlaceOrderRequest{}); err == nil {
			t.Fatal("a bystander has placed an order")
		}
		r.waitFor(t, 2)
		server := r.span(t, "server oteldemo.CheckoutService/PlaceOrder")
		if server.SpanContext().SpanID() != inside.SpanID() || server.Parent().IsValid() != kept {
			t.Errorf("%s: the call's span is %v of %v, and inside it is %v", parent, server.SpanContext(), server.Parent(), inside)
		}
		for _, span := range r.spans.Ended() {
			if got := span.SpanContext().TraceID().String(); (got == parent[3:35]) != kept || got != inside.TraceID().String() {
				t.Errorf("%s: span %q is in trace %s, inside the call it is %s", parent, span.Name(), got, inside.TraceID())
			}
		}
		if written := trail + r.stdout.String(); strings.Contains(written, parent[3:35]) != kept || !strings.Contains(written, inside.TraceID().String()) {
			t.Errorf("%s: on record, to services and in the log: %s", parent, written)
		}
	}
}

func TestAnEmailAddressInTheContextOfACallerDoesNotGoOn(t *testing.T) {
	t.Parallel()
	for _, spelt := range []string{"ada@example.com", "ada%40example.com", "ada%2540example.com", "ada@", "@me", "ada%EF%BC%A0example.com", "ada%EF%B9%ABb"} {
		if _, state := passOn(t, silentEnv(), "", "v="+spelt+",tenant@vendor=ok"); state != "tenant@vendor=ok" {
			t.Errorf("of the tracestate with %q goes on %q, want tenant@vendor=ok", spelt, state)
		}
		if baggage, _ := passOn(t, silentEnv(), "a=1,b="+url.PathEscape(spelt), ""); len(spelt) > len("ada@") && baggage != "a=1" {
			t.Errorf("of the baggage with %q goes on %q, want a=1", spelt, baggage)
		}
	}
}
