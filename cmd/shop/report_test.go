package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/demo"
)

func TestDifferencesAreAlsoSoughtBetweenAnswersAndLedgers(t *testing.T) {
	t.Parallel()
	ledgers := demo.Ledgers{Orders: map[string]demo.Tally{
		"a": {Charges: 1, Parcels: 1, Emails: 1, Events: 1},
		"b": {Charges: 1, Parcels: 1, Emails: 1, Events: 1},
		"c": {Charges: 1},
		"d": {Charges: 1, Parcels: 1, Emails: 1, Events: 1},
		"e": {Charges: 1, Refunds: 1},
	}}
	r := newResults()
	r.placed = map[string]bool{"a": true, "e": true, "z": true}
	r.reasons = map[string]string{"c": "INTERNAL", "d": "PAYMENT_UNKNOWN"}
	got := differences(ledgers, r)
	want := []string{
		"order c: paid, not shipped",
		"order z: answered, not charged",
		"order b: charged and shipped, and not answered",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r.unanswered = 1 // a customer who has waited for too long: that may be order b
	if diff := cmp.Diff(want[:2], differences(ledgers, r)); diff != "" {
		t.Error(diff)
	}
}

func TestOrdersThatWaitForAnOperatorAreCountedApart(t *testing.T) {
	t.Parallel()
	ledgers := demo.Ledgers{Orders: map[string]demo.Tally{
		"lost":         {Charges: 1},
		"parked":       {Charges: 1},
		"twice":        {Charges: 2},
		"looked up":    {Charges: 1, Parcels: 1, Emails: 1, Events: 1},
		"never placed": {Charges: 1},
	}}
	r := newResults()
	r.reasons = map[string]string{"lost": "PAYMENT_UNKNOWN", "never sent": "PAYMENT_UNKNOWN", "parked": "SHIPPING_REFUSED", "twice": "PAYMENT_UNKNOWN", "looked up": "PAYMENT_UNKNOWN", "declined": "CARD_DECLINED"}
	if diff := cmp.Diff(map[string]int{"payment unknown": 2, "paid and parked": 1}, setAside(ledgers, r)); diff != "" {
		t.Error(diff)
	}
	want := []string{"order never placed: paid, not shipped", "order twice: charged 2 times"}
	if diff := cmp.Diff(want, differences(ledgers, r)); diff != "" {
		t.Error(diff)
	}
}

func TestProgressIsForTerminalsAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	plain, terminal := newPage(&out), &page{out: &out, terminal: true}

	plain.progress(5, 10, "50 a second")
	plain.wipe()
	if out.Len() > 0 {
		t.Errorf("not on a terminal: %q", out.String())
	}
	terminal.progress(5, 10, "50 a second")
	if got := out.String(); !strings.Contains(got, strings.Repeat("█", 20)+strings.Repeat("░", 20)+" 5/10  50 a second") || strings.Contains(got, "\n") {
		t.Errorf("on a terminal: %q", got)
	}
}

func TestTheResultNamesRefunds(t *testing.T) {
	t.Parallel()
	for want, total := range map[string]demo.Tally{
		"No charges, no shipments.":                                                     {},
		"Every charge was refunded, and nothing was shipped.":                           {Charges: 2, Refunds: 2},
		"charges = shipments = e-mails = events: the same orders, each once.":           {Charges: 2, Parcels: 2, Emails: 2, Events: 2},
		"charges - refunds = shipments = e-mails = events: the same orders, each once.": {Charges: 3, Refunds: 1, Parcels: 2, Emails: 2, Events: 2},
	} {
		if got := summary(total, nil); got != want {
			t.Errorf("%+v: %q, want %q", total, got, want)
		}
	}
}
