package console

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/stats"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
	"checkout/internal/telemetry"
	"checkout/internal/test/nettest"
)

var update = flag.Bool("update", false, "write what is shown to testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a console, the service that it looks at, and the record of that.
type world struct {
	*Console

	record *store.SQLite
}

// then is when the tests look; the orders of storetest were created an hour before.
func then() time.Time { return created().Add(time.Hour) }

func created() time.Time { return storetest.Order(id(1)).Created }

// id is the id of the nth order.
func id(n int) order.ID { return idAt(time.UnixMilli(1_750_000_000_123), n) }

// idAt is the id of the nth order, made at a time (RFC 9562, version 7).
func idAt(t time.Time, n int) order.ID {
	ms := t.UnixMilli()
	return order.ID(fmt.Sprintf("%08x-%04x-774b-bcce-%012d", ms>>16, ms&0xffff, n))
}

// open makes a world with an empty record.
func open(t testing.TB, options Options) *world {
	t.Helper()
	record, err := store.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := record.Close(); err != nil {
			t.Error(err)
		}
	})
	return openOn(t, options, record, nil)
}

// openKeyed is open with an idempotent payment service, which nobody asks: nothing recovers orders here.
func openKeyed(t testing.TB) *world {
	t.Helper()
	record, err := store.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() })
	return openOn(t, Options{}, record, struct{ order.Ledger }{})
}

func openOn(t testing.TB, options Options, record *store.SQLite, ledger order.Ledger) *world {
	t.Helper()
	options.Services = append(options.Services, Service{"127.0.0.1:5051", serve(t, record, ledger)})
	options.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	c.now = then
	return &world{c, record}
}

// serve runs a service on the record until the test ends.
func serve(t testing.TB, record *store.SQLite, ledger order.Ledger) *grpc.ClientConn {
	t.Helper()
	placer := order.NewPlacer(order.Dependencies{Store: record, Ledger: ledger})
	metrics := telemetry.Start(t.Context(), telemetry.Options{Getenv: func(string) string { return "none" }, Stdout: t.Output(), Collect: true})
	stop := metrics.Watch(record.Backlog, func() (limit, active int, refused int64) { return 256, 3, 0 })
	server := rpc.NewAdminServer(placer, health.NewServer(), rpc.Options{
		Audit: record, Orders: record, Keyed: ledger != nil,
		Stats: &stats.Server{Collect: metrics.Collect, Started: time.Now(), Record: "a record", Manual: rpc.ManualStates(false)},
		Log:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.GracefulStop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		placer.Close(context.Background())
		stop()
		if err := metrics.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return nettest.DialGRPC(t, listener.Addr().String())
}

// put records an order: first as it was when it was new, then as it is.
func (w *world) put(t testing.TB, o *order.Order) {
	t.Helper()
	fresh := *o
	fresh.State, fresh.History = order.Charging, nil
	if conflict, err := w.record.Open(context.Background(), order.Opening{Order: &fresh, Hold: time.Hour, CartRead: time.Now().Add(time.Hour)}); err != nil || conflict != nil {
		t.Fatalf("%s: %v, in the way: %v", o.ID, err, conflict)
	}
	hold := time.Hour
	if slices.Contains([]order.State{order.InDoubt, order.Refunding, order.Parked, order.Undelivered}, o.State) {
		hold = order.UntilResolved
	}
	if err := w.record.Save(context.Background(), o, order.Charging, hold); err != nil {
		t.Fatal(err)
	}
}

// numbered is the nth order, in that state.
func numbered(n int, s order.State) *order.Order {
	o := storetest.Order(id(n))
	o.State = s
	return o
}

// completed has everything that an order can have in its history.
func completed() *order.Order {
	o := numbered(1, order.Completed)
	at := o.Created
	o.TransactionID, o.TrackingID = "receipt-1", "parcel-1"
	o.Delivered = order.CartSettled | order.EmailSent | order.EventPublished
	o.History = []order.HistoryEntry{
		{At: at.Add(2 * time.Millisecond), State: order.Charging},
		{At: at.Add(120 * time.Millisecond), State: order.InDoubt, Problem: "no answer from payment"},
		{At: at.Add(10 * time.Minute), State: order.Charged, Problem: "in the books", By: "grace"},
		{At: at.Add(10*time.Minute + time.Second), State: order.Charged, Step: order.StepShip, Problem: "503 Service Unavailable", Times: 4, Last: at.Add(11 * time.Minute)},
		{At: at.Add(12 * time.Minute), State: order.Placed},
		{At: at.Add(12*time.Minute + 300*time.Millisecond), State: order.Completed},
	}
	o.Changed = o.History[len(o.History)-1].At
	return o
}

// doubtful waits for a person.
func doubtful() *order.Order {
	o := numbered(2, order.InDoubt)
	o.Reason = "the charge was not answered in time"
	o.Changed = o.Created.Add(8 * time.Second)
	o.History = []order.HistoryEntry{{At: o.Created, State: order.Charging}, {At: o.Changed, State: order.InDoubt, Problem: o.Reason}}
	return o
}

// unshipped is parked: nobody knows whether it was shipped.
func unshipped() *order.Order {
	o := numbered(2, order.Parked)
	o.TransactionID, o.ShipAttempts = "receipt-2", 3
	o.Reason = "shipped or not?"
	o.Changed = o.Created.Add(5 * time.Minute)
	o.History = []order.HistoryEntry{
		{At: o.Created, State: order.Charging},
		{At: o.Created.Add(time.Second), State: order.Charged},
		{At: o.Created.Add(13 * time.Second), State: order.Charged, Step: order.StepShip, Problem: "no answer in time", Times: 3, Last: o.Changed},
		{At: o.Changed, State: order.Parked, Problem: o.Reason},
	}
	return o
}

// undelivered is shipped, but neither the e-mail nor the event could be delivered.
func undelivered() *order.Order {
	o := numbered(2, order.Undelivered)
	o.TransactionID, o.TrackingID, o.ShipAttempts = "receipt-2", "parcel-2", 1
	o.Delivered, o.Undeliverable = order.CartSettled, order.EmailSent|order.EventPublished
	o.Reason = "email: answered 400 Bad Request; publish: MESSAGE_TOO_LARGE"
	o.Changed = o.Created.Add(5 * time.Second)
	o.History = []order.HistoryEntry{
		{At: o.Created, State: order.Charging},
		{At: o.Created.Add(time.Second), State: order.Charged},
		{At: o.Created.Add(2 * time.Second), State: order.Placed},
		{At: o.Created.Add(3 * time.Second), State: order.Placed, Step: order.StepEmail, Problem: "answered 400 Bad Request"},
		{At: o.Created.Add(4 * time.Second), State: order.Placed, Step: order.StepPublish, Problem: "MESSAGE_TOO_LARGE"},
		{At: o.Changed, State: order.Undelivered, Problem: o.Reason},
	}
	return o
}

// asNumber makes o the nth order.
func asNumber(n int, o *order.Order) *order.Order {
	other := numbered(n, o.State)
	o.ID, o.UserID, o.Key = other.ID, other.UserID, other.Key
	return o
}

// reply is what the console answers with.
type reply struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    string
}

// get asks the console for a path, as a browser does.
func (w *world) get(t testing.TB, path string) *reply {
	t.Helper()
	return w.do(t, http.MethodGet, path, nil, "Accept", "text/html")
}

// do asks the console for something, from this machine. Headers are names and values.
func (w *world) do(t testing.TB, method, path string, form url.Values, headers ...string) *reply {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	result := answer.Result()
	defer func() { _ = result.Body.Close() }()
	return &reply{answer.Code, answer.Header(), result.Cookies(), answer.Body.String()}
}

// wantPage wants the answer to be the page in testdata, but for the marks of the assets.
func wantPage(t *testing.T, r *reply, status int, name string) {
	t.Helper()
	if r.status != status {
		t.Errorf("%s: status %d, want %d", name, r.status, status)
	}
	got := regexp.MustCompile(`(/assets/[a-z.]+)\?[0-9a-f]+`).ReplaceAllString(r.body, "$1")
	file := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got), -update accepts it:\n%s", name, diff)
	}
}
