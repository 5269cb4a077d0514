package telemetry

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"checkout/internal/order"
)

func TestOrdersAreCountedByWhatCameOfThem(t *testing.T) {
	t.Parallel()
	for want, test := range map[string]struct {
		order func(o *order.Order) // nil: it fails
		err   error
	}{
		"placed ":                     {order: func(*order.Order) {}},
		"paid ":                       {order: func(o *order.Order) { o.State = order.Charged }},
		"repeated ":                   {order: func(o *order.Order) { o.Repeated = true }},
		"refused card_declined":       {err: &order.Error{Kind: order.ErrDeclined}},
		"refused cart_empty":          {err: order.ErrEmptyCart},
		"failed unavailable":          {err: &order.Error{Kind: order.ErrUnavailable, Err: order.ErrEmptyCart}},
		"in_doubt payment_unknown":    {err: &order.Error{Kind: order.ErrInDoubt}},
		"in_doubt _OTHER":             {err: errors.New("a bug")},
		"refund_due shipping_refused": {err: &order.Error{Kind: order.ErrUnshippable}},
		"failed overloaded":           {err: &order.Error{Kind: order.ErrOverloaded}},
		"refused order_under_way":     {err: &order.Error{Kind: order.ErrBusy}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := record(t)
			ctx, span := r.tracer.Start(t.Context(), "PlaceOrder")
			defer span.End()
			_, err := r.Placer(placeFunc(func(_ context.Context, req order.Request) (*order.Order, error) {
				if test.err != nil {
					return nil, test.err
				}
				o := sample(t)
				o.State, o.Created, o.Trace = order.Placed, time.Now(), req.Trace
				test.order(o)
				return o, nil
			})).Place(ctx, request())
			if !errors.Is(err, test.err) {
				t.Fatal(err)
			}
			measured := map[string]bool{}
			for name := range r.metrics(t) {
				measured[name] = true
			}
			got := r.counted(t)
			if diff := cmp.Diff(map[string]int64{want: 1}, got, cmpopts.IgnoreMapEntries(func(_ string, n int64) bool { return n == 0 })); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if sold := want == "placed " || want == "paid "; measured[metricAmount] != sold || measured[metricLines] != sold {
				t.Errorf("measured %v, want amount and lines: %t", measured, sold)
			}
		})
	}
}

// counted is how many calls have had each outcome, and error.type.
func (r *recording) counted(t *testing.T) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, p := range r.collect(t)[metricOrders].Data.(metricdata.Sum[int64]).DataPoints {
		outcome, _ := p.Attributes.Value(outcomeKey)
		kind, _ := p.Attributes.Value(errorType)
		all[outcome.AsString()+" "+kind.AsString()] = p.Value
	}
	return all
}

// A counter that begins with its first failure hides it: what has grown, rate() and increase() see only from the second on.
func TestEveryOutcomeIsCountedFromZeroOn(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.Placer(nil)
	want := map[string]int64{"placed ": 0, "paid ": 0, "repeated ": 0}
	for _, f := range failures() {
		want[string(f.outcome)+" "+f.name] = 0
	}
	if diff := cmp.Diff(want, r.counted(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnOrderIsCountedOnceHoweverOftenItIsAskedFor(t *testing.T) {
	t.Parallel()
	r := record(t)
	calls := 0
	placer := r.Placer(placeFunc(func(context.Context, order.Request) (*order.Order, error) {
		calls++
		if calls > 3 {
			return nil, &order.Error{Kind: order.ErrInDoubt, Repeated: calls > 4}
		}
		o := sample(t)
		o.Repeated = calls > 1
		return o, nil
	}))
	for range 5 {
		ctx, span := r.tracer.Start(t.Context(), "PlaceOrder")
		_, _ = placer.Place(ctx, request())
		span.End()
	}
	got := r.counted(t)
	if diff := cmp.Diff(map[string]int64{"placed ": 1, "repeated ": 3, "in_doubt payment_unknown": 1}, got, cmpopts.IgnoreMapEntries(func(_ string, n int64) bool { return n == 0 })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var said []any
	for _, line := range r.lines(t) {
		said = append(said, line["msg"])
	}
	if diff := cmp.Diff([]any{"order placed", "duplicate request", "duplicate request", "order not placed", "order not placed"}, said); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// Whatever is measured stands in the table, with all that is told of it.
func TestEveryMetricStandsInTheTable(t *testing.T) {
	t.Parallel()
	r := recordNames(t, dialectBoth)
	r.observeProcess()
	r.observeRuntime()
	walk(t.Context(), r.Telemetry, world{errors.New("no")})
	stop := r.Watch(func(context.Context, teller) error { return nil }, quiet)
	defer stop()
	for _, err := range []error{nil, order.ErrDeclined} {
		place := func(_ context.Context, req order.Request) (*order.Order, error) {
			o := sample(t)
			o.Created, o.Trace = time.Now(), req.Trace
			return o, err
		}
		if _, got := r.Placer(placeFunc(place)).Place(t.Context(), request()); !errors.Is(got, err) {
			t.Fatal(got)
		}
	}
	if err := r.producer(t).ProduceSync(t.Context(), &kgo.Record{Topic: "orders"}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	table := instruments()
	for name, metric := range r.collect(t) {
		i, ok := table[name]
		if !ok || i.unit != metric.Unit || i.text != metric.Description || i.text == "" {
			t.Errorf("%s (%s, %q) is not in the table: %+v", name, metric.Unit, metric.Description, i)
		}
	}
}
