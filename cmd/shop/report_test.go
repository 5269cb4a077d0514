package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/demo"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{hundred, 0.5, 50},
		{hundred, 0.9, 90},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{hundred[:1], 0.5, 1},
		{hundred[:3], 0.5, 2},
		{hundred[:10], 0.99, 10},
	} {
		if got := quantile(test.sorted, test.q); got != test.want {
			t.Errorf("quantile %v of %d: %d, want %d", test.q, len(test.sorted), got, test.want)
		}
	}
}

func TestDifferencesAreAlsoSoughtBetweenAnswersAndLedgers(t *testing.T) {
	t.Parallel()
	books := demo.Books{Orders: map[string]demo.Tally{
		"a": {Charges: 1, Parcels: 1, Letters: 1, Events: 1},
		"b": {Charges: 1, Parcels: 1, Letters: 1, Events: 1},
		"c": {Charges: 1},
	}}
	got := differences(books, map[string]bool{"a": true, "z": true})
	want := []string{
		"order c: charged, not shipped",
		"order z: answered, not charged",
		"order b: charged and shipped, and its customer was not told",
	}
	if diff := cmp.Diff(want, got); diff != "" {
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
