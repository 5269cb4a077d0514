package storefront

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"checkout/internal/demo"
)

func TestAnOrderThatIsKilledOnItsWayIsFinished(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	before := s.child.Status().PID
	s.press(t, "/faults/preset", "preset", "kill")
	if status, page := s.post(t, "/faults/preset", values("preset", "kill")); status != http.StatusConflict {
		t.Errorf("a second one meanwhile: status %d: %s", status, page)
	}
	report := s.watch(t, "/faults", "crash", `data-open="0".*Its customer got: order .* is on its way`)
	id := first(t, report, `(?s)preset-order.*?href="/orders/([^"]*)"`)
	for _, part := range []string{"was killed", "It serves", `<td><span class="badge info">charged</span></td><td><span class="badge good">completed</span>`} {
		if !strings.Contains(report, part) {
			t.Errorf("the report lacks %q: %s", part, report)
		}
	}
	if told := first(t, report, `customer got: order (\S+) is`); told != id {
		t.Errorf("the customer was told of order %s, and it is %s", told, id)
	}
	checkout := s.watch(t, "/faults", "checkout", `data-serving="true"`)
	if first(t, checkout, `id="restarts">(\d+)<`) != "1" || s.child.Status().PID == before {
		t.Errorf("process %d before, and now: %s", before, checkout)
	}
	if got := s.Ledgers().Orders[id]; got != (demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 1}) {
		t.Errorf("its tally is %+v", got)
	}
	if now := s.Shipping.Injected(ShipOrder); now != (demo.Fault{}) {
		t.Errorf("shipping is left with %+v", now)
	}
}

// A slow charge keeps some orders in progress at every moment, however fast the machine is; and few customers come, so that
// a slow machine turns none of them away.
func TestNoOrderIsLostInACrashUnderLoad(t *testing.T) {
	t.Parallel()
	s := openKeyedShop(t)
	s.press(t, "/faults/call", "call", "charge", "latency", "1000", "fault", "none", "chance", "0")
	s.press(t, "/faults/load", "rate", "5")
	s.await(t, "10 orders", func() bool { return s.Ledgers().Total().Events >= 10 })
	s.press(t, "/faults/kill")
	s.watch(t, "/faults", "crash", `It serves`)
	before := s.Ledgers().Total().Events
	s.await(t, "10 more", func() bool { return s.Ledgers().Total().Events >= before+10 })
	s.press(t, "/faults/load", "rate", "0")
	load := s.watch(t, "/faults", "load", `id="load-rate">0<.*<dt>Waiting</dt><dd>0<`)
	if first(t, load, `id="load-refused">(\d+)<`) != "0" {
		t.Errorf("some orders were refused: %s", load)
	}
	placed := first(t, load, `id="load-placed">(\d+)<`)
	s.watch(t, "/reconciliation", "reconciliation", `data-result="matched".*once: `+placed+`\.`)
}

// await waits until the shop is as it should be.
func (s *testShop) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Await(ctx, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestAFaultIsInjectedAndEnded(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.press(t, "/faults/call", "call", "ship", "latency", "250", "fault", "refuse", "chance", "30")
	s.press(t, "/faults/call", "call", "email", "latency", "0", "fault", "hang", "chance", "100")
	s.press(t, "/faults/call", "call", "quote", "latency", "0", "fault", "refuse-for-good", "chance", "100")
	s.press(t, "/faults/availability", "name", "kafka", "offline", "yes")
	s.press(t, "/faults/flag", "flag", "paymentFailure", "value", "50")
	s.press(t, "/faults/flag", "flag", "paymentUnreachable", "value", "on")
	s.press(t, "/faults/flag", "flag", "kafkaQueueProblems", "value", "3")
	if got, want := s.Shipping.Injected(ShipOrder), (demo.Fault{Latency: 250 * time.Millisecond, Kind: demo.Refuse, Chance: 0.3}); got != want {
		t.Errorf("shipping has %+v, want %+v", got, want)
	}
	page := s.see(t, "/faults")
	for id, want := range map[string]string{"ship": "+250ms, 30 % refuse", "email": "100 % hang", "quote": "100 % refuse, permanently", "charge": "no fault"} {
		if got := first(t, page, `id="now-`+id+`"><span[^>]*>([^<]*)<`); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	for flag, want := range map[string]string{"paymentFailure": "0.5", "paymentUnreachable": "true", "kafkaQueueProblems": "3"} {
		if got := first(t, page, `data-testid="flag-`+flag+`">([^<]*)<`); got != want {
			t.Errorf("%s: %q, want %q", flag, got, want)
		}
	}
	if !s.Broker.Offline() || !strings.Contains(page, `aria-label="Bring online: kafka"`) {
		t.Error("the broker is still here")
	}

	s.press(t, "/faults/reset")
	for _, seam := range s.site.seams() {
		if words := seam.Words(); words != "no fault" {
			t.Errorf("%s: %s", seam.Name, words)
		}
	}
	if s.Broker.Offline() {
		t.Error("the broker is still away")
	}
	if got := s.Flags.Values(); got["paymentFailure"] != 0.0 || got["paymentUnreachable"] != false || got["kafkaQueueProblems"] != int64(0) {
		t.Errorf("the flags are %v", got)
	}
}

func TestWhatCannotBeSetIsRefused(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	for _, test := range [][]string{
		{"/faults/call", "call", "moon", "latency", "0", "fault", "none", "chance", "0"},
		{"/faults/call", "call", "ship", "latency", "30001", "fault", "none", "chance", "0"},
		{"/faults/call", "call", "ship", "latency", "0", "fault", "explode", "chance", "0"},
		{"/faults/call", "call", "charge", "latency", "0", "fault", "nonsense", "chance", "0"},
		{"/faults/call", "call", "ship", "latency", "0", "fault", "none", "chance", "101"},
		{"/faults/availability", "name", "moon", "offline", "yes"},
		{"/faults/flag", "flag", "moon", "value", "1"},
		{"/faults/flag", "flag", "paymentFailure", "value", "101"},
		{"/faults/flag", "flag", "kafkaQueueProblems", "value", "1001"},
		{"/faults/load", "rate", "201"},
		{"/faults/load", "rate", "-1"},
		{"/faults/load", "rate", "fast"},
	} {
		if status, page := s.post(t, test[0], values(test[1:]...)); status != http.StatusUnprocessableEntity {
			t.Errorf("%q: status %d: %s", test, status, page)
		}
	}
}

func TestNoProcessIsKilledTwice(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	if err := s.child.Close(); err != nil {
		t.Fatal(err)
	}
	if status, page := s.post(t, "/faults/kill", nil); status != http.StatusConflict || !strings.Contains(page, "There is no process to kill") {
		t.Errorf("status %d: %s", status, page)
	}
}

func TestAPresetEndsWhatItBegan(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.press(t, "/faults/preset", "preset", "kafka")
	s.watch(t, "/faults", "incident", `Kafka down for a minute.*ends in \d+ s`)
	s.await(t, "an order without Kafka", func() bool { return s.Broker.Offline() && s.Ledgers().Total().Parcels > 0 })
	if status, page := s.post(t, "/faults/preset", values("preset", "payment")); status != http.StatusConflict {
		t.Errorf("a second one meanwhile: status %d: %s", status, page)
	}
	s.press(t, "/faults/preset/stop")
	s.watch(t, "/faults", "incident", `data-left="0"`)
	if s.Broker.Offline() || s.site.load.look().Rate != 0 {
		t.Errorf("afterwards Kafka is offline: %t, and %d customers come a second", s.Broker.Offline(), s.site.load.look().Rate)
	}
	s.press(t, "/faults/preset", "preset", "unshippable")
	s.await(t, "shipping refuses", func() bool { return s.Shipping.Injected(ShipOrder).Kind == demo.Refuse })
	s.press(t, "/faults/reset")
	s.watch(t, "/faults", "incident", `Shipping refuses orders.*ended`)
	if now := s.Shipping.Injected(ShipOrder); now != (demo.Fault{}) {
		t.Errorf("shipping is left with %+v", now)
	}
	if status, _ := s.post(t, "/faults/preset", values("preset", "moon")); status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown one: status %d", status)
	}
}

func TestPresetsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`checkout_\w+`)
	for _, keyed := range []bool{false, true} {
		for _, p := range (&Storefront{Options: Options{Shop: new(demo.Shop), KeyedPayment: keyed}}).presets() {
			for _, name := range metric.FindAllString(p.Watch, -1) {
				attribute := strings.ReplaceAll(name, "_", ".")
				if !strings.Contains(string(docs), "`"+name+"`") && !strings.Contains(string(docs), "`"+attribute+"`") {
					t.Errorf("%s: docs/telemetry.md has no %s", p.Name, name)
				}
			}
		}
	}
}
