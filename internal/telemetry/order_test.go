package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
)

// These make what order would do: as little as a test needs.
type (
	placeFunc   func(context.Context, order.Request) (*order.Order, error)
	priceFunc   func(context.Context, order.Request) (*order.Order, error)
	brokenStore struct {
		order.Store // what is not asked here

		err error
	}
)

func (f placeFunc) Place(ctx context.Context, r order.Request) (*order.Order, error) {
	return f(ctx, r)
}

func (f priceFunc) Price(ctx context.Context, r order.Request) (*order.Order, error) {
	return f(ctx, r)
}

func (s brokenStore) Open(context.Context, order.Opening) (*order.Order, error) {
	return nil, s.err
}

func (s brokenStore) Claim(context.Context, order.Queue, int, time.Duration) ([]*order.Order, error) {
	return nil, s.err
}

func (s brokenStore) Save(context.Context, *order.Order, order.State, time.Duration) error {
	return s.err
}

func amount(t testing.TB, units int64, nanos int32) money.Amount {
	t.Helper()
	a, err := money.New("USD", units, nanos)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sample(t testing.TB) *order.Order {
	t.Helper()
	return &order.Order{
		ID: "o-1", State: order.Charging, UserID: "u-1", Currency: "USD", Email: "someone@example.com",
		Items: []order.Item{
			{Line: order.Line{ProductID: "A", Quantity: 2}, Cost: amount(t, 10, 0)},
			{Line: order.Line{ProductID: "B", Quantity: 3}, Cost: amount(t, 1, 0)},
		},
		Shipping: amount(t, 8, 990_000_000), Total: amount(t, 31, 990_000_000),
	}
}

func request() order.Request {
	return order.Request{
		UserID: "u-1", Currency: "USD", Email: "someone@example.com",
		Card: creditcard.New("4432801561520454", 672, 2039, 1),
	}
}

func TestAnOrderHasItsSpansAndOneLine(t *testing.T) {
	t.Parallel()
	r := record(t)
	store := r.Store(brokenStore{})
	pricer := r.Pricer(priceFunc(func(context.Context, order.Request) (*order.Order, error) { return sample(t), nil }))
	var asked order.Request
	placer := r.Placer(placeFunc(func(ctx context.Context, req order.Request) (*order.Order, error) {
		asked = req
		o, err := pricer.Price(ctx, req)
		if err != nil {
			return nil, err
		}
		o.Created, o.Trace = time.Now(), req.Trace
		later := context.WithoutCancel(ctx)
		steps := []func(){
			func() { o.State, o.TransactionID = order.Charged, "tx-1" },
			func() { o.State, o.TrackingID = order.Placed, "t-1" },
			func() { o.Delivered |= order.EmailSent },
			func() { o.State = order.Completed },
		}
		for _, step := range steps {
			from := o.State
			step()
			if err := store.Save(later, o, from, time.Minute); err != nil {
				return nil, err
			}
		}
		return o, nil
	}))

	ctx, call := r.tracer.Start(withBaggage(t, t.Context(), "session.id=s"), "PlaceOrder")
	if _, err := placer.Place(ctx, request()); err != nil {
		t.Fatal(err)
	}
	call.End()

	want := `internal PlaceOrder
  float64 app.order.amount=31.99
  float64 app.shipping.amount=8.99
  int64 app.order.items.count=2
  string app.order.id=o-1
  string app.shipping.tracking.id=t-1
  string app.user.currency=USD
  string app.user.id=u-1
  event prepared
  event charged
    string app.payment.transaction.id=tx-1
  event shipped
    string app.shipping.tracking.id=t-1
`
	if diff := cmp.Diff(want, describe(r.span(t, "internal PlaceOrder"))); diff != "" {
		t.Errorf("the call's span (-want +got):\n%s", diff)
	}
	prepare := r.span(t, "internal "+spanPrepare)
	wantPrepare := `internal prepareOrderItemsAndShippingQuoteFromCart
  float64 app.shipping.amount=8.99
  int64 app.cart.items.count=5
  int64 app.order.items.count=2
`
	if diff := cmp.Diff(wantPrepare, describe(prepare)); diff != "" {
		t.Errorf("the read phase's span (-want +got):\n%s", diff)
	}
	if prepare.Parent().SpanID() != call.SpanContext().SpanID() || prepare.InstrumentationScope().Name != "checkout" {
		t.Error("the read phase's span is not a child of the call's, of scope checkout")
	}
	wantLog := `INFO order placed
  float64 app.order.amount=31.99
  float64 app.shipping.amount=8.99
  int64 app.order.items.count=2
  string app.order.id=o-1
  string app.shipping.tracking.id=t-1
  string app.user.currency=USD
  string app.user.id=u-1
`
	if diff := cmp.Diff(wantLog, r.logs.text()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	line := r.lines(t)[0]
	if line["msg"] != "order placed" || line["app.order.amount"] != 31.99 || line["trace_id"] != call.SpanContext().TraceID().String() {
		t.Errorf("stdout has %v", line)
	}
	wantTrace := map[string]string{
		"traceparent": fmt.Sprintf("00-%s-%s-01", call.SpanContext().TraceID(), call.SpanContext().SpanID()),
		"baggage":     "session.id=s",
	}
	if diff := cmp.Diff(wantTrace, asked.Trace); diff != "" {
		t.Errorf("the request's trace context (-want +got):\n%s", diff)
	}
}

func TestAFailedOrderSaysWhy(t *testing.T) {
	t.Parallel()
	const card = "4432-8015-6152-0454"
	for name, test := range map[string]struct {
		err            error
		kind, severity string
		inError        bool
	}{
		"caller's mistake": {&order.Error{Kind: order.ErrInvalid, Violations: []order.Violation{{Field: "email", Problem: "is missing"}}}, "invalid_request", "WARN", false},
		"empty cart":       {&order.Error{Kind: order.ErrEmptyCart, Step: order.StepCart}, "cart_empty", "WARN", false},
		"declined":         {&order.Error{Kind: order.ErrDeclined, Step: order.StepCharge, OrderID: "o-1", Err: errors.New(card + " of someone@example.com")}, "card_declined", "WARN", true},
		"in doubt":         {&order.Error{Kind: order.ErrInDoubt, Step: order.StepCharge, OrderID: "o-1", Err: context.DeadlineExceeded}, "payment_unknown", "ERROR", true},
		"kind over cause":  {&order.Error{Kind: order.ErrUnavailable, Err: order.ErrEmptyCart}, "unavailable", "ERROR", true},
		"caller gone":      {context.Canceled, "canceled", "WARN", true},
		"a bug":            {errors.New("nobody knows"), "_OTHER", "ERROR", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t)
			fail := func(context.Context, order.Request) (*order.Order, error) { return nil, test.err }
			ctx, call := r.tracer.Start(t.Context(), "PlaceOrder")
			if _, err := r.Placer(placeFunc(r.Pricer(priceFunc(fail)).Price)).Place(ctx, request()); !errors.Is(err, test.err) {
				t.Fatalf("got %v, want the error as it was", err)
			}
			call.End()

			for _, name := range []string{"internal PlaceOrder", "internal " + spanPrepare} {
				got := describe(r.span(t, name))
				if !strings.Contains(got, "error.type="+test.kind) || strings.Contains(got, "status Error") != test.inError {
					t.Errorf("the span is not of error.type=%s, in error: %t:\n%s", test.kind, test.inError, got)
				}
			}
			span, log := describe(r.span(t, "internal PlaceOrder")), r.logs.text()
			if !strings.Contains(span, "  event error\n    string exception.message=") || strings.Contains(span, eventPrepared) {
				t.Errorf("the span has no event error with a message, or one too many:\n%s", span)
			}
			if !strings.HasPrefix(log, test.severity+" order not placed\n") || !strings.Contains(log, "error.type="+test.kind) {
				t.Errorf("the log is not of severity %s and error.type %s:\n%s", test.severity, test.kind, log)
			}
			for _, private := range []string{card, "someone@example.com"} {
				if strings.Contains(span+log+r.stdout.String(), private) {
					t.Errorf("%s is in telemetry:\n%s%s%s", private, span, log, r.stdout)
				}
			}
		})
	}
}

func TestWhatCallersTypeIntoTheWrongFieldIsHidden(t *testing.T) {
	t.Parallel()
	r := record(t)
	ctx, call := r.tracer.Start(t.Context(), "PlaceOrder")
	req := request()
	req.UserID, req.Currency = "someone@example.com", "4432801561520454"
	placer := r.Placer(placeFunc(func(context.Context, order.Request) (*order.Order, error) { return nil, order.ErrInvalid }))
	if _, err := placer.Place(ctx, req); err == nil {
		t.Fatal("the order was placed")
	}
	call.End()
	all := describe(r.span(t, "internal PlaceOrder")) + r.logs.text() + r.stdout.String()
	if strings.Contains(all, req.UserID) || strings.Contains(all, string(req.Currency)) {
		t.Errorf("an e-mail address or a card number is in telemetry:\n%s", all)
	}
}

func TestFailedWritesAreLoggedOnceAMinuteAndKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		full := r.Store(brokenStore{err: errors.New("disk full")})
		taken := r.Store(brokenStore{err: fmt.Errorf("epoch 3: %w", order.ErrFenced)})
		o := sample(t)
		o.State = order.Charged
		decided := *o
		decided.History = []order.HistoryEntry{{At: o.Changed, State: o.State, By: "grace"}}
		for range 61 { // seconds
			_, err := full.Open(t.Context(), order.Opening{Order: o, Hold: time.Minute, CartRead: time.Now()})
			for _, err := range []error{
				err,
				full.Save(t.Context(), o, order.Charging, time.Minute),
				taken.Save(t.Context(), o, order.Charging, time.Minute),
				taken.Save(t.Context(), &decided, order.Parked, time.Minute), // another decision was first
			} {
				if err == nil {
					t.Fatal("the store's error is lost")
				}
			}
			time.Sleep(time.Second)
		}
		entry := func(severity, kind, message, skipped string) string {
			return severity + " order not recorded\n" + skipped + `  string app.order.id=o-1
  string checkout.order.state=charged
  string error.type=` + kind + `
  string exception.message=` + message + "\n"
		}
		want := entry("ERROR", other, "disk full", "") + entry("WARN", "taken_over", "epoch 3: taken over", "") +
			entry("ERROR", other, "disk full", "  int64 skipped=119\n") + entry("WARN", "taken_over", "epoch 3: taken over", "  int64 skipped=59\n")
		if diff := cmp.Diff(want, r.logs.text()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestBackgroundFailuresAreReportedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		shipping := &order.Error{Kind: order.ErrUnavailable, Step: order.StepShip, OrderID: "o-1", Err: errors.New("someone@example.com moved")}
		mail := fmt.Errorf("email: %w", context.DeadlineExceeded)
		stuck := &order.Error{Kind: order.ErrUnshippable, Step: order.StepShip, OrderID: "o-3", Err: errors.New("no")}
		email := &order.Error{Kind: order.ErrUnavailable, Step: order.StepEmail, OrderID: "o-4", Err: fmt.Errorf("%w: answered 400", order.ErrGivenUp)}
		lookup := &order.Error{Kind: order.ErrInDoubt, Step: order.StepLookup, OrderID: "o-5", Err: order.ErrGivenUp}
		for range 2 {
			for id, err := range map[order.ID]error{"o-3": stuck, "o-4": email, "o-5": lookup} {
				r.Report(t.Context(), id, err)
			}
		}
		for range 121 { // seconds: the first, and two more
			r.Report(t.Context(), "o-1", shipping)
			r.Report(t.Context(), "o-2", mail)
			<-time.After(time.Second)
		}
		got := map[string][]any{}
		for _, line := range r.lines(t) {
			key := fmt.Sprintln(line["level"], line["msg"], line["app.order.id"], line["checkout.order.step"], line["error.type"], line["exception.message"])
			got[key] = append(got[key], line["skipped"])
		}
		want := map[string][]any{
			"ERROR order held up o-2 <nil> timeout email: context deadline exceeded\n":     {nil, 59.0, 59.0},
			"ERROR order held up o-1 ship unavailable unavailable: *** moved\n":            {nil, 59.0, 59.0},
			"ERROR order held up o-3 ship shipping_refused shipping refused: no\n":         {nil, nil},
			"ERROR order held up o-4 email given_up unavailable: given up: answered 400\n": {nil, nil},
			"ERROR order held up o-5 lookup given_up payment outcome unknown: given up\n":  {nil, nil},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines, and how many each stands for (-want +got):\n%s", diff)
		}
	})
}
