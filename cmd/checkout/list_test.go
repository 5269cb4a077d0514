package main

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// column is a column of a table, by its number, without its head.
func column(table string, n int) (cells []string) {
	_, body, _ := strings.Cut(table, "\n")
	for line := range strings.Lines(body) {
		if cell := regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(line), -1); n < len(cell) {
			cells = append(cells, cell[n])
		}
	}
	return cells
}

func TestOrdersAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	id1 := string(off.put(t, 1, order.InDoubt, ago(3*time.Hour), func(o *order.Order) { o.Reason = "no answer\x1b[2J\nyet" }).ID)
	id2 := string(off.put(t, 2, order.Completed, ago(2*time.Hour)).ID)
	id3 := string(off.put(t, 3, order.Parked, ago(0)).ID)
	id4 := string(off.put(t, 4, order.Undelivered, ago(4*time.Hour)).ID)
	for _, test := range []struct {
		args   []string
		want   []string
		stderr string
	}{
		{nil, []string{id3, id2, id1, id4}, ""},
		{[]string{"-state", "in_doubt,completed"}, []string{id2, id1}, ""},
		{[]string{"-attention"}, []string{id3, id1, id4}, ""},
		{[]string{"-attention", "-state", "in_doubt", "-state", "completed"}, []string{id1}, ""},
		{[]string{"-older", "1h"}, []string{id2, id1, id4}, ""},
		{[]string{"-newer", "150m"}, []string{id3, id2}, ""},
		{[]string{"-newer", "150m", "-older", "1h"}, []string{id2}, ""},
		{[]string{"-limit", "2"}, []string{id3, id2}, "There are more than 2"},
		{[]string{"-limit", "4"}, []string{id3, id2, id1, id4}, ""},
		{[]string{"-limit", "1", "-attention"}, []string{id3}, "There are more than 1"},
	} {
		status, stdout, stderr := call(t, off.environ, "", append([]string{"order", "list"}, test.args...)...)
		if diff := cmp.Diff(test.want, column(stdout, 4)); status != 0 || diff != "" || !strings.Contains(stderr, test.stderr) || (stderr == "") != (test.stderr == "") {
			t.Errorf("list %v exits with %d, says %q, and lists (-want +got):\n%s", test.args, status, stderr, diff)
		}
	}
	_, table, _ := call(t, off.environ, "", "order", "list", "-state", "in_doubt")
	want := []string{
		"STATE     AGE  TOTAL      USER    ORDER                                 REASON",
		"in_doubt  3h   USD 47.98  user 1  " + id1 + "  no answer [2J yet",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(table), "\n")); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	if status, stdout, stderr := call(t, off.environ, "", "order", "list", "-state", "refunded"); status != 0 || stdout != "" || stderr != "No orders found.\n" {
		t.Errorf("where there are none: exit status %d, stdout %q, stderr %q; want 0, nothing, and that there are none", status, stdout, stderr)
	}
}

func TestAListForProgramsIsALineOfJSONAnOrder(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.Parked)
	off.put(t, 2, order.Charged)
	_, stdout, _ := call(t, off.environ, "", "order", "list", "-json")
	var got []string
	for line := range strings.Lines(stdout) {
		var o checkoutv1.Order
		if err := protojson.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got = append(got, fmt.Sprintf("%s %v %t", o.GetOrderId(), o.GetState(), o.GetRequiresOperator()))
	}
	if diff := cmp.Diff([]string{id(2) + " CHARGED false", id(1) + " PARKED true"}, got); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
}

func TestAListForSpreadsheetsIsCSV(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.Parked, func(o *order.Order) { o.Reason, o.UserID = "=1+1", `a "user", or two` })
	off.put(t, 2, order.Charged)
	_, stdout, stderr := call(t, off.environ, "", "order", "list", "-o", "csv")
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][0] != "order_id" || rows[1][0] != id(2) || rows[2][6] != `a "user", or two` || rows[2][4]+rows[2][5] != "USD47.98" || rows[2][9] != "'=1+1" {
		t.Errorf("%v, %q, stderr %q; want a head and two orders, the newest first", err, rows, stderr)
	}
	if status, _, stderr := call(t, off.environ, "", "order", "resolve", id(1), "-refunded", "-by", "grace", "-why", "by hand", "-yes"); status != 0 {
		t.Fatal(stderr)
	}
	_, stdout, stderr = call(t, off.environ, "", "audit", "list", "-o", "csv")
	rows, err = csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(rows) != 2 || strings.Join(rows[1][2:], " ") != id(1)+" refunded done grace  by hand parked refunded " {
		t.Errorf("%v, %q, stderr %q; want a head and an entry", err, rows, stderr)
	}
	if status, _, stderr := call(t, off.environ, "", "order", "show", id(1), "-o", "csv"); status != 2 || !strings.Contains(stderr, "must be text or json") {
		t.Errorf("an order as CSV: exit status %d, %q", status, stderr)
	}
}

func TestAListIsOfMoreThanAPage(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	for n := range 620 {
		if _, err := off.Open(t.Context(), order.Opening{Order: sample(t, n), Hold: time.Hour, CartRead: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	_, stdout, stderr := call(t, off.environ, "", "order", "list", "-limit", "610")
	if got := column(stdout, 4); len(got) != 610 || got[0] != id(619) || got[609] != id(10) || !strings.Contains(stderr, "There are more than 610") {
		t.Errorf("%d orders, and %q; want the newest 610 in their order, and that there are more", len(got), stderr)
	}
}

func TestAnOrderIsShown(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.Parked)
	for _, args := range [][]string{
		{id(1)},
		{strings.ToUpper(id(1))},
		{"-timeout", "1m", id(1)},
		{id(1), "-timeout", "1m"},
		{"-user", "user 1", "-key", "a key"},
	} {
		status, stdout, stderr := call(t, off.environ, "", append([]string{"order", "show"}, args...)...)
		if status != 0 || !strings.Contains(stdout, "state      parked for ") {
			t.Errorf("show %v: exit status %d, stdout %q, stderr %q; want the order", args, status, stdout, stderr)
		}
	}
	_, stdout, _ := call(t, off.environ, "", "order", "show", id(1), "-json")
	var o checkoutv1.Order
	if err := protojson.Unmarshal([]byte(stdout), &o); err != nil || o.GetOrderId() != id(1) {
		t.Errorf("as JSON it is %q: %v", stdout, err)
	}
	status, stdout, stderr := call(t, off.environ, "", "order", "show", id(2))
	if want := "checkout order show: NotFound: there is no such order on record\n  reason ORDER_NOT_FOUND, order " + id(2) + "\n"; status != 1 || stdout != "" || stderr != want {
		t.Errorf("of no order: exit status %d, stdout %q, stderr %q; want 1, nothing, %q", status, stdout, stderr, want)
	}
}

func TestAHistoryIsATimeline(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339Nano) }
	var o checkoutv1.Order
	if err := protojson.Unmarshal([]byte(`{
		"orderId": "`+id(1)+`", "state": "PLACED", "userId": "ada", "idempotencyKey": "a\u001bkey", "transactionId": "tx 1", "trackingId": "parcel 1",
		"items": [{"item": {"productId": "LENS", "quantity": 2}, "cost": {"currencyCode": "USD", "units": "19", "nanos": 990000000}}],
		"shipping": {"currencyCode": "USD", "units": "8"}, "total": {"currencyCode": "USD", "units": "47", "nanos": 980000000},
		"pending": ["event"], "undeliverable": ["email"], "skipped": ["event"], "shipAttempts": 2, "attempts": 4, "created": "`+at(0)+`", "changed": "`+at(2*time.Hour)+`",
		"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "requiresOperator": true, "decisions": ["paid", "not_paid", "retry"],
		"history": [
			{"at": "`+at(2*time.Millisecond)+`", "state": "CHARGING"},
			{"at": "`+at(8100*time.Millisecond)+`", "state": "IN_DOUBT", "problem": "no answer\nin time"},
			{"at": "`+at(time.Hour)+`", "state": "CHARGED", "by": "grace", "problem": "asked the bank"},
			{"at": "`+at(time.Hour+time.Second)+`", "state": "CHARGED", "step": "ship", "problem": "away", "times": 3, "last": "`+at(90*time.Minute)+`"},
			{"at": "`+at(2*time.Hour)+`", "state": "PLACED", "by": "recovery"}
		]}`), &o); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	process{stdout: &page}.history(&o, start.Add(50*time.Hour))
	const want = `order        01890a5d-ac96-774b-bcce-000000000001
state        placed for 2d; it requires an operator
hint         The customer was charged. Find out from the shipping service whether it has sent a parcel.
decisions    resolve --not-paid, retry
pending      event
undelivered  email
skipped      event
tries        4 failed
user         ada
key          a key
created      2026-11-22 13:00:00 UTC, 2d ago
transaction  tx 1
shipping     2 attempts
tracking     parcel 1
trace        4bf92f3577b34da6a3ce929d0e0e4736

  2 ×      LENS  USD 19.99  USD 39.98
       shipping              USD 8.00
          total             USD 47.98

     +2ms  charging
    +8.1s  in_doubt     no answer in time
  +1h0m0s  charged      by grace: asked the bank
  +1h0m1s  charged      ship failed: away (3 times, until +1h30m0s)
  +2h0m0s  placed       by recovery
`
	if diff := cmp.Diff(want, page.String()); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
}

func TestOrdersAreListedOverTLS(t *testing.T) {
	t.Parallel()
	files := certificate(t)
	creds, err := credentials.NewServerTLSFromFile(files["CHECKOUT_TLS_CERT"], files["CHECKOUT_TLS_KEY"])
	if err != nil {
		t.Fatal(err)
	}
	off := openOffice(t, creds)
	off.put(t, 1, order.Parked)
	for _, test := range []struct {
		args   []string
		status int
	}{
		{[]string{"-tls", "-ca", files["CHECKOUT_TLS_CERT"]}, 0},
		{[]string{"-tls"}, 1},
		{nil, 1},
	} {
		status, stdout, stderr := call(t, off.environ, "", append([]string{"order", "list"}, test.args...)...)
		if status != test.status || (status == 0) != strings.Contains(stdout, id(1)) {
			t.Errorf("list %v: exit status %d, stdout %q, stderr %q; want %d", test.args, status, stdout, stderr, test.status)
		}
	}
	maps.Copy(off.environ, files)
	if status, _, stderr := call(t, off.environ, "", "order", "list", "-ca", files["CHECKOUT_TLS_CERT"]); status != 0 {
		t.Errorf("where the service has a certificate: exit status %d, %s; want that TLS is spoken unasked", status, stderr)
	}
	none := filepath.Join(t.TempDir(), "none.pem")
	if err := os.WriteFile(none, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := call(t, off.environ, "", "order", "list", "-ca", none); status != 2 || !strings.Contains(stderr, "contains no certificate") {
		t.Errorf("a file without a certificate: exit status %d, %q; want 2, and that it has none", status, stderr)
	}
}

func TestALineIsCutToItsWidth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line  string
		width int
		want  string
	}{
		{"2 × lens", 0, "2 × lens"},
		{"2 × lens", 8, "2 × lens"},
		{"2 × lens", 7, "2 × le…"},
		{"2 × lens", 1, "…"},
	} {
		if got := cut(test.line, test.width); got != test.want {
			t.Errorf("%q in %d columns is %q, want %q", test.line, test.width, got, test.want)
		}
	}
}

func TestAgesAreShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", time.Hour - 1: "59m", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
