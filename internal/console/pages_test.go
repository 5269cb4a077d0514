package console

import (
	"database/sql"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
	"checkout/internal/store"
)

// busy gives the console the memory of ten busy minutes, in which a service has counted ever more orders.
func (w *world) busy() {
	start := then().Add(-remembered * pollEvery)
	for i := range remembered + 1 {
		at := start.Add(time.Duration(i) * pollEvery)
		n := float64(5 * i)
		w.history.add(at, []answered{{stats: &checkoutv1.Stats{
			Time: timestamppb.New(at), StartTime: timestamppb.New(start), Record: "a record",
			ManualStates: []checkoutv1.OrderState{checkoutv1.OrderState_IN_DOUBT, checkoutv1.OrderState_REFUNDING, checkoutv1.OrderState_PARKED, checkoutv1.OrderState_UNDELIVERED},
			Metrics: []*checkoutv1.Stats_Metric{
				counter(mOrders,
					point(n*20+n*n/40, "checkout.order.outcome", "placed"), point(floor(n/7), "checkout.order.outcome", "repeated"),
					point(floor(n/3), "checkout.order.outcome", "refused", "error.type", "card_declined"),
					point(max(n-300, 0)*2, "checkout.order.outcome", "failed", "error.type", "overloaded"),
					point(floor(n/200), "checkout.order.outcome", "in_doubt", "error.type", "payment_unknown"),
					point(floor(n/50), "checkout.order.outcome", "failed", "error.type", "unavailable")),
				histogram(mCallsOld, distributed([]float64{10, 50, 100, 1000}, []float64{n * 5, n*14 + n*n/40, n, n / 10, 0}, "rpc.grpc.status_code", "0")),
				histogram(mSteps,
					distributed([]float64{0.005, 0.01, 0.1}, []float64{n * 12, n * 7, n, 0}, "checkout.order.step", "charge"),
					distributed([]float64{0.005, 0.01, 0.1}, []float64{0, 0, n / 4, n / 2}, "checkout.order.step", "ship", "error.type", "timeout"),
					distributed([]float64{0.005, 0.01, 0.1}, []float64{n, 0, 2 * n, 0}, "checkout.order.step", "ship"),
					distributed([]float64{0.005, 0.01, 0.1}, []float64{n * 20, 0, 0, 0}, "checkout.order.step", "record")),
				gauge(mLimit, "", point(256)), gauge(mInFlight, "", point(3+float64(5*i%40))),
				gauge(mStates, "",
					point(float64(5*i%5), "checkout.order.state", "charging"), point(float64(5*i%11), "checkout.order.state", "charged"),
					point(float64(5*i%60), "checkout.order.state", "placed"), point(floor(n/200), "checkout.order.state", "in_doubt"),
					point(0, "checkout.order.state", "refunding"), point(0, "checkout.order.state", "parked"),
					point(floor(n/150), "checkout.order.state", "undelivered")),
				gauge(mStatesOldest, "s",
					point(1, "checkout.order.state", "charging"), point(90, "checkout.order.state", "charged"),
					point(n, "checkout.order.state", "placed"), point(3600, "checkout.order.state", "in_doubt"),
					point(0, "checkout.order.state", "refunding"), point(0, "checkout.order.state", "parked"),
					point(7200, "checkout.order.state", "undelivered")),
				gauge(mPending, "", point(0, "checkout.delivery", "cart"), point(float64(5*i%60), "checkout.delivery", "email"), point(float64(5*i%3), "checkout.delivery", "event")),
				gauge(mPendingOld, "s", point(0, "checkout.delivery", "cart"), point(n, "checkout.delivery", "email"), point(2, "checkout.delivery", "event")),
			},
		}}})
	}
}

func floor(x float64) float64 { return math.Floor(x) }

func TestThePagesAreAsTheyWere(t *testing.T) {
	t.Parallel()
	w := open(t, Options{TraceURL: "http://localhost:16686/trace/{trace}"})
	w.put(t, completed())
	w.put(t, doubtful())
	unsent := numbered(3, order.Placed)
	unsent.Attempts, unsent.Delivered, unsent.Undeliverable = 3, order.CartSettled, order.EmailSent
	w.put(t, unsent)
	w.put(t, asNumber(4, unshipped()))
	w.put(t, asNumber(5, undelivered()))
	for name, path := range map[string]string{
		"unwatched":         "/",
		"orders":            "/orders",
		"orders_chosen":     "/orders?state=placed&state=in_doubt&from=2025-06-15T00:00&until=2025-06-16T00:00",
		"orders_none":       "/orders?state=refunded",
		"order":             "/orders/" + string(id(1)),
		"order_rests":       "/orders/" + string(id(2)),
		"order_unshipped":   "/orders/" + string(id(4)),
		"order_undelivered": "/orders/" + string(id(5)),
		"attention":         "/attention",
		"orders_found":      "/orders?order=0197&transaction=receipt-2",
		"audit_empty":       "/audit",
		"login":             "/login?next=%2Forders",
	} {
		wantPage(t, w.get(t, path), http.StatusOK, name)
	}
	w.busy()
	wantPage(t, w.get(t, "/"), http.StatusOK, "overview")
	wantPage(t, w.get(t, "/orders/"+string(id(6))), http.StatusNotFound, "trouble")
	wantPage(t, w.get(t, "/orders?state=lost&from=yesterday"), http.StatusBadRequest, "trouble_filter")
	wantPage(t, w.get(t, "/nothing"), http.StatusNotFound, "trouble_page")
}

func TestAPageOfABusyHourIsSmall(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.busy()
	size := 0
	for _, path := range []string{"/", "/assets/style.css", "/assets/live.js", "/assets/icon.svg"} {
		size += len(w.get(t, path).body)
	}
	if size > 100_000 {
		t.Errorf("the first page has %d bytes in all, want 100,000 at most", size)
	}
	t.Logf("the first page has %d bytes in all", size)
}

func TestNobodyIsNamed(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	for _, path := range []string{"/", "/orders", "/orders/" + string(id(2)), "/attention"} {
		for _, accept := range []string{"text/html", "application/json"} {
			shown := w.do(t, http.MethodGet, path, nil, "Accept", accept).body
			for _, private := range []string{"someone", "example.com", "Bahnhof", "8001", "user of "} {
				if strings.Contains(shown, private) {
					t.Errorf("%s as %s has %q in it", path, accept, private)
				}
			}
		}
	}
}

func TestWhatComesFromOutsideIsOnlyText(t *testing.T) {
	t.Parallel()
	w := open(t, Options{TraceURL: "http://localhost:16686/trace/{trace}"})
	o := doubtful()
	const script = `"><script>alert(1)</script>`
	o.Key, o.Reason, o.Items[0].ProductID = script, script, script
	o.History[1].Problem, o.History[1].By = script, script
	w.put(t, o)
	for _, path := range []string{"/orders", "/orders/" + string(id(2)), "/attention", "/login?next=" + script} {
		if shown := w.get(t, path).body; strings.Contains(shown, "<script>alert") {
			t.Errorf("%s has the script in it", path)
		}
	}
}

func TestOrdersAreShownAPageAtATime(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	const all = 120
	for n := range all {
		w.put(t, numbered(n+1, order.Completed))
	}
	seen, path, pages := map[string]bool{}, "/orders?state=completed", 0
	for ; path != ""; pages++ {
		var list struct {
			Orders []struct {
				ID string `json:"order_id"`
			}
			Next string `json:"next_page"`
		}
		decode(t, w.do(t, http.MethodGet, path, nil, "Accept", "application/json"), &list)
		for _, o := range list.Orders {
			seen[o.ID] = true
		}
		path = list.Next
	}
	if len(seen) != all || pages != 3 {
		t.Errorf("%d orders on %d pages, want %d on 3", len(seen), pages, all)
	}
}

func TestAnOrderIsFound(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, completed())
	for _, query := range []string{
		"order=" + string(id(1)),
		"order=%20" + strings.ToUpper(string(id(1))) + "%20",
		"order=&user=user+of+" + string(id(1)) + "&key=key+of+" + string(id(1)),
	} {
		r := w.get(t, "/orders?"+query)
		if got, want := r.header.Get("Location"), "/orders/"+string(id(1)); r.status != http.StatusSeeOther || got != want {
			t.Errorf("%s: status %d to %q, want 303 to %q", query, r.status, got, want)
		}
	}
	for query, want := range map[string]int{
		"order=7": http.StatusOK, "order=x": http.StatusBadRequest, "user=ada": http.StatusOK, "user=ada&key=1": http.StatusNotFound, "key=1": http.StatusBadRequest,
	} {
		if r := w.get(t, "/orders?"+query); r.status != want {
			t.Errorf("%s: status %d, want %d", query, r.status, want)
		}
	}
}

func TestAConsoleMayBeMountedAnywhere(t *testing.T) {
	t.Parallel()
	w := open(t, Options{Base: "/console"})
	w.put(t, doubtful())
	shown := w.get(t, "/console/orders/"+string(id(2))).body
	for _, want := range []string{`href="/console/orders"`, `href="/console/assets/style.css?`, `data-live="/console/live/orders/`, `action="/console/orders/`} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page has no %s in it", want)
		}
	}
	if r := w.get(t, "/console/assets/style.css"); r.status != http.StatusOK {
		t.Errorf("the style has status %d, want 200", r.status)
	}
}

// BenchmarkOverview is what it takes to show ten busy minutes.
func BenchmarkOverview(b *testing.B) {
	w := open(b, Options{})
	w.busy()
	b.ReportAllocs()
	for b.Loop() {
		if r := w.get(b, "/"); r.status != http.StatusOK {
			b.Fatalf("status %d", r.status)
		}
	}
}

// BenchmarkPages is what it takes to show pages of a record of 1,000,000 orders: time, rows and bytes.
func BenchmarkPages(b *testing.B) {
	const all, newest = 1_000_000, 1_750_000_000 // seconds
	path := filepath.Join(b.TempDir(), "orders.db")
	fillRecord(b, path, all, newest)
	record, err := store.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = record.Close() })
	w := openOn(b, Options{}, record, nil)
	w.put(b, completed()) // which is found by what people know of it
	w.put(b, doubtful())
	if err := record.Index(b.Context()); err != nil {
		b.Fatal(err)
	}
	w.busy()
	middle := time.Unix(newest-all/2, 0).UTC().Format(minute)
	for name, path := range map[string]string{
		"overview": "/", "attention": "/attention", "audit": "/audit", "order": "/orders/" + string(id(1)),
		"newest": "/orders", "half the time": "/orders?until=" + middle, "completed": "/orders?state=completed", "declined": "/orders?state=declined",
		"refunded": "/orders?state=refunded", "not finished": "/orders?state=in_doubt&state=parked&state=placed", "id": "/orders?order=" + string(id(1))[:13],
		"user": "/orders?user=user+of+" + string(id(1)), "transaction": "/orders?transaction=receipt-1", "tracking": "/orders?tracking=parcel-1", "nobody": "/orders?user=nobody",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r := w.get(b, path); r.status != http.StatusOK {
					b.Fatalf("%s: status %d", path, r.status)
				}
			}
			page := w.get(b, path).body
			b.ReportMetric(float64(strings.Count(page, "<tr>")-1), "rows")
			b.ReportMetric(float64(len(page)), "bytes")
		})
	}
}

// fillRecord makes a record of so many orders, one a second up to the newest: of 1,000 one is parked and 50 are declined. They
// count as indexed, under hashes that nobody looks for.
func fillRecord(b *testing.B, path string, orders, newest int) {
	b.Helper()
	record, err := store.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := record.Open(b.Context(), order.Opening{Order: numbered(0, order.Charging), Hold: time.Hour, CartRead: time.Now()}); err != nil {
		b.Fatal(err)
	}
	if err := record.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(b.Context(), `
		WITH RECURSIVE numbers (n) AS (SELECT $1 - $2 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1 - 1)
		INSERT INTO orders (id, state, epoch, due, user_id, delivered, attempts, created, changed, body, user_hash, email_hash, transaction_hash, tracking_hash)
		SELECT printf('%08x-%04x-774b-bcce-%012d', n * 1000 >> 16, n * 1000 & 65535, n),
			CASE WHEN n % 1000 = 0 THEN 10 WHEN n % 20 = 1 THEN 5 ELSE 4 END, 1, 9223372036854775807, 'user ' || n % 1000, 7, 0, n * 1000, n * 1000,
			(SELECT body FROM orders LIMIT 1), n, n, n, n
		FROM numbers`, newest, orders); err != nil {
		b.Fatal(err)
	}
	if _, err := db.ExecContext(b.Context(), `UPDATE orders_secret SET indexed = $1`, string(idAt(time.Unix(int64(newest), 0), 0))); err != nil {
		b.Fatal(err)
	}
}
