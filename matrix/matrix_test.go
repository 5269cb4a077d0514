package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
)

func TestThereAreTwelveStepsAndTheRecordAndEachGoesWrongInManyWays(t *testing.T) {
	t.Parallel()
	if n := len(steps()); n != 14 {
		t.Errorf("%d steps, want 14", n)
	}
	for _, s := range steps() {
		if n := len(s.modes()); n < 40 && (s.name != "record" && s.name != "database" || n < 16) {
			t.Errorf("%s goes wrong in %d ways, want at least 40, of the record and its database 16", s.name, n)
		}
		named := make(map[string]bool)
		for _, m := range s.modes() {
			if named[m.name] {
				t.Errorf("two modes of %s are called %q", s.name, m.name)
			}
			named[m.name] = true
			if (m.conn == nil) == (m.call == nil) && m.disk == "" {
				t.Errorf("%s: %s is a mode of a connection and of a call, or of neither", s.name, m.name)
			}
		}
	}
}

func usd(units int64) *oteldemo.Money { return &oteldemo.Money{CurrencyCode: "USD", Units: units} }

// correct is a run without a violation: an order of customer 0.
func correct() *observed {
	return &observed{
		step:    step{name: "shipping"},
		answers: []reply{{customer: 0, first: true, code: codes.OK, orderID: "1", total: usd(5), tracking: "T", took: time.Second}},
		charges: []demo.Charge{{Key: "1", Amount: usd(5), LastFour: lastFour(0)}},
		books:   map[string]demo.Tally{"1": {Charges: 1, Parcels: 1, Emails: 1, Events: 1}},
		record:  map[string]checkoutv1.OrderState{"1": checkoutv1.OrderState_COMPLETED},
		rss:     30 << 20,
	}
}

func TestTheAuditFindsEveryBrokenPromise(t *testing.T) {
	t.Parallel()
	l := limits{deadline: 6 * time.Second, rss: 32 << 20, attempts: 3}
	if found := correct().violations(l); len(found) > 0 {
		t.Fatalf("a correct run: %q", found)
	}
	books := func(is demo.Tally) func(*observed) { return func(e *observed) { e.books["1"] = is } }
	for want, spoil := range map[string]func(e *observed){
		"charged 2 times":           books(demo.Tally{Charges: 2, Parcels: 1, Emails: 1, Events: 1}),
		"4 parcels":                 books(demo.Tally{Charges: 1, Parcels: 4, Emails: 1, Events: 1}),
		"2 parcels":                 func(e *observed) { e.keyed, e.books["1"] = true, demo.Tally{Charges: 1, Parcels: 2} },
		"shipped and not charged":   books(demo.Tally{Charges: 1, Refunds: 1, Parcels: 1}),
		"is on no record":           func(e *observed) { e.record = nil },
		"0 e-mails":                 books(demo.Tally{Charges: 1, Parcels: 1, Events: 1}),
		"0 events":                  books(demo.Tally{Charges: 1, Parcels: 1, Emails: 1}),
		"confirmed and not shipped": books(demo.Tally{Charges: 1, Emails: 1, Events: 1}),
		"(CANCELLED): 1 charges":    func(e *observed) { e.record["1"] = checkoutv1.OrderState_CANCELLED },
		"still charging":            func(e *observed) { e.record["1"] = checkoutv1.OrderState_CHARGING },
		"charged currency_code":     func(e *observed) { e.answers[0].total = usd(6) },
		"tracking id of no parcel":  books(demo.Tally{Charges: 1}),
		"answered after 7s":         func(e *observed) { e.answers[0].took = 7 * time.Second },
		"no answer within":          func(e *observed) { e.answers[0].code = codes.DeadlineExceeded },
		"a bug":                     func(e *observed) { e.answers[0].code, e.answers[0].text = codes.Internal, "a bug" },
		"the order does not need":   func(e *observed) { e.step.optional, e.answers[0].code = true, codes.Unavailable },
		"no money moved":            func(e *observed) { e.answers[0].code, e.answers[0].moved = codes.Unavailable, "no" },
		"for one purchase": func(e *observed) {
			e.charges = append(e.charges, demo.Charge{Key: "2", Amount: usd(5), LastFour: lastFour(0)})
		},
		"33.0 MiB":          func(e *observed) { e.rss = 33 << 20 },
		"the process died":  func(e *observed) { e.died = true },
		"ended badly":       func(e *observed) { e.ended = errors.New("exit status 2") },
		"is in the log":     func(e *observed) { e.leaks = []string{"the log"} },
		"could not book":    func(e *observed) { e.rejected = 1 },
		"the record cannot": func(e *observed) { e.recording = errors.New("away") },
	} {
		e := correct()
		spoil(e)
		if found := strings.Join(e.violations(l), "\n"); !strings.Contains(found, want) {
			t.Errorf("want %q among the violations: %q", want, found)
		}
	}
}

func TestACartThatIsStillFullMayBeBoughtAgain(t *testing.T) {
	t.Parallel()
	e := correct()
	e.step.name = "emptying"
	e.charges = append(e.charges, demo.Charge{Key: "2", Amount: usd(5), LastFour: lastFour(0)})
	e.books["2"], e.record["2"] = e.books["1"], checkoutv1.OrderState_COMPLETED
	if found := e.violations(limits{deadline: time.Minute, rss: -1, attempts: 3}); len(found) > 0 {
		t.Errorf("violations %q", found)
	}
}

func TestCustomersHaveCardsOfTheirOwnThatPaymentTakes(t *testing.T) {
	t.Parallel()
	shop := demotest.Start(t)
	seen := make(map[string]bool)
	for customer := range customers {
		card := &oteldemo.CreditCardInfo{CreditCardNumber: cardNumber(customer), CreditCardExpirationYear: 2099, CreditCardExpirationMonth: 1}
		if _, err := shop.Payment.Charge(t.Context(), &oteldemo.ChargeRequest{Amount: usd(1), CreditCard: card}); err != nil {
			t.Errorf("card %s: %v", cardNumber(customer), err)
		}
		seen[lastFour(customer)] = true
	}
	if len(seen) != customers {
		t.Errorf("last digits %v, want %d different ones", seen, customers)
	}
}

func TestTheCVVIsFoundAsAWordAndNotInAnID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"cvv 7219 is wrong": true, `"cvv":7219}`: true, "7219": true,
		"0b1c-7219-8f": false, "17219": false, "7219a": false, "0.7219": false,
	} {
		if got := secret().MatchString(text); got != want {
			t.Errorf("%q: found %t, want %t", text, got, want)
		}
	}
}

func TestATotalIsOfAllLinesAndTheirQuantities(t *testing.T) {
	t.Parallel()
	line := func(quantity int32, units int64, nanos int32) *oteldemo.OrderItem {
		return &oteldemo.OrderItem{Item: &oteldemo.CartItem{Quantity: quantity}, Cost: &oteldemo.Money{CurrencyCode: "USD", Units: units, Nanos: nanos}}
	}
	got := total(&oteldemo.OrderResult{
		ShippingCost: &oteldemo.Money{CurrencyCode: "USD", Units: 8, Nanos: 990_000_000},
		Items:        []*oteldemo.OrderItem{line(3, 1, 500_000_000), line(1, 0, 20_000_000)},
	})
	if !proto.Equal(got, &oteldemo.Money{CurrencyCode: "USD", Units: 13, Nanos: 510_000_000}) {
		t.Errorf("total %v, want 13.51", got)
	}
}

func TestAFrontGoesWrongAtItsMethodUntilItIsHealed(t *testing.T) {
	t.Parallel()
	shop := demotest.Start(t)
	f, err := newFront(t.Context(), shop.Shipping.Address(), "ship-order", false, mode{call: func(x *exchange) { refuse(x, 418) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	ask := func(method string) int {
		const body = `{"address":{"street_address":"","city":"","state":"","country":"","zip_code":""},"items":[]}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+"/"+method, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := new(http.Client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if quote, ship := ask("get-quote"), ask("ship-order"); quote != 200 || ship != 418 || f.hits.Load() != 1 {
		t.Errorf("a quote is answered %d and a parcel %d, with %d hits; want 200, 418, 1", quote, ship, f.hits.Load())
	}
	f.heal()
	if ship := ask("ship-order"); ship != 200 || len(shop.Shipping.Parcels()) != 1 {
		t.Errorf("a parcel is answered %d by a healed front, want 200", ship)
	}
}

func TestWhatKafkaSaysIsReadAndWrittenAlike(t *testing.T) {
	t.Parallel()
	for _, version := range []int16{3, 9, 13} { // the header has tags from 9 on
		req := kmsg.NewPtrProduceRequest()
		req.Version = version
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "orders", TopicID: [16]byte{7}, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 3}}}}
		framed := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 42)
		read, err := readFrame(bytes.NewReader(framed))
		if err != nil {
			t.Fatal(err)
		}
		got, id, err := readRequest(read[4:])
		if err != nil || id != 42 || got.Key() != produceKey || got.GetVersion() != version {
			t.Fatalf("version %d: read %v with id %d (%v)", version, got, id, err)
		}
		resp := refused(got, 10)
		resp.SetVersion(version)
		answer, err := readAnswer(got, appendAnswer(resp, 42)[8:])
		if err != nil {
			t.Fatal(err)
		}
		said, ok := answer.(*kmsg.ProduceResponse)
		if !ok || len(said.Topics) != 1 || said.Topics[0].Partitions[0].ErrorCode != 10 || said.Topics[0].Partitions[0].Partition != 3 {
			t.Errorf("version %d: answered %+v, want code 10 for partition 3", version, answer)
		}
	}
	if _, err := readFrame(bytes.NewReader([]byte{0x7f, 0xff, 0xff, 0xff})); err == nil {
		t.Error("a frame of 2 GiB was read")
	}
}

func TestAReportNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	c := cell{step{name: "charge"}, mode{name: "hangs"}}
	var out bytes.Buffer
	if err := report(&out, []*result{{cell: c, hits: 1}}, time.Second); err != nil {
		t.Errorf("nothing is broken: %v", err)
	}
	for _, r := range []*result{{cell: c, hits: 1, violations: []string{"charged twice"}}, {cell: c, err: context.Canceled}, {cell: c}} {
		if err := report(&out, []*result{r}, time.Second); err == nil || !strings.Contains(err.Error(), "charge: hangs") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestTheMatrixIsAskedForByFlags(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-cells", "^charge: hangs", "-payment", "keyed"}, io.Discard)
	if err != nil || !o.keyed || len(o.all()) != 3 {
		t.Errorf("%+v with %d cells, %v; want 3 of keyed payment", o, len(o.all()), err)
	}
	for _, args := range [][]string{{"-cells", "("}, {"-payment", "cash"}, {"-every", "0"}, {"all"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
