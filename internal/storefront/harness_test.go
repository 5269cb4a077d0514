package storefront

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/demo"
	"checkout/internal/serve"
	"checkout/internal/storefront/child"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
)

// patience is how long a test waits for what must happen. Nothing is measured by it.
const patience = time.Minute

// asCheckout makes the test's executable be checkout, so that there is a process to kill.
const asCheckout = "TEST_AS_CHECKOUT"

func TestMain(m *testing.M) {
	if os.Getenv(asCheckout) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	config, err := serve.ParseConfig(nil, os.Getenv)
	if err == nil {
		err = serve.Run(ctx, config, os.Stdout, nil)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// testShop is an open shop with its site, and a browser in front of it.
type testShop struct {
	*demo.Shop

	site  *Storefront
	child *child.Child
	url   string
	log   *output.Buffer // what checkout and the site have logged
	http  *http.Client
}

// openShop opens a shop whose payment and shipping are stock. change, unless nil, changes what its site is made of.
func openShop(t *testing.T, change func(*Options)) *testShop {
	t.Helper()
	return open(t, false, change)
}

// openKeyedShop opens a shop whose payment and shipping honour keys.
func openKeyedShop(t *testing.T) *testShop {
	t.Helper()
	return open(t, true, nil)
}

func open(t *testing.T, keyed bool, change func(*Options)) *testShop {
	t.Helper()
	shop := demotest.Start(t)
	s := &testShop{Shop: shop, log: new(output.Buffer)}
	customers, operators := nettest.Reserve(t), nettest.Reserve(t)
	o := Options{
		Shop: shop, Checkout: connect(t, customers), Orders: connect(t, operators),
		Console: "/console", KeyedPayment: keyed, KeyedShipping: keyed, Log: slog.New(slog.NewJSONHandler(s.log, nil)),
	}
	_, port, _ := net.SplitHostPort(customers)
	env := []string{asCheckout + "=1", "CHECKOUT_PORT=" + port, "CHECKOUT_ADMIN_ADDR=" + operators, "CHECKOUT_DB=" + filepath.Join(t.TempDir(), "orders.db"), "OTEL_BSP_SCHEDULE_DELAY=50"}
	for name, value := range shop.Environ() {
		env = append(env, name+"="+value)
	}
	if keyed {
		shop.Payment.HonourKeys(true)
		shop.Shipping.HonourKeys(true)
		env = append(env, "PAYMENT_MODE=keyed", "SHIPPING_MODE=keyed")
	}
	health := grpc_health_v1.NewHealthClient(o.Checkout)
	var err error
	o.Child, err = child.Start(t.Context(), child.Options{
		Path: os.Args[0], Env: env, Log: s.log, Grace: patience,
		Probe: func(ctx context.Context) error {
			_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.child = o.Child
	t.Cleanup(func() { closeWell(t, o.Child.Close) })
	if change != nil {
		change(&o)
	}
	if s.site, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWell(t, s.site.Close) })
	server := httptest.NewServer(s.site.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	s.http = s.browser(t)
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

func closeWell(t *testing.T, end func() error) {
	t.Helper()
	if err := end(); err != nil {
		t.Error(err)
	}
}

// browser keeps cookies, and shows where it is sent to instead of going there.
func (s *testShop) browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{
		Jar: jar, Transport: new(http.Transport), Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func connect(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWell(t, conn.Close) })
	return conn
}

// get reads a page.
func (s *testShop) get(t *testing.T, path string) (status int, page string) {
	t.Helper()
	return s.do(t, http.MethodGet, path, nil)
}

// see reads a page that has to be there.
func (s *testShop) see(t *testing.T, path string) string {
	t.Helper()
	status, page := s.get(t, path)
	if status != http.StatusOK {
		t.Fatalf("GET %s: status %d: %s", path, status, page)
	}
	return page
}

// post sends a form. Of a redirection, page is where it leads.
func (s *testShop) post(t *testing.T, path string, form url.Values) (status int, page string) {
	t.Helper()
	return s.do(t, http.MethodPost, path, form)
}

// press sends a form that has to be taken, and returns where it leads.
func (s *testShop) press(t *testing.T, path string, fields ...string) string {
	t.Helper()
	status, page := s.post(t, path, values(fields...))
	if status != http.StatusSeeOther {
		t.Fatalf("POST %s: status %d: %s", path, status, page)
	}
	return page
}

// values are a form of names and values in turn.
func values(fields ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

func (s *testShop) do(t *testing.T, method, path string, form url.Values) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := s.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to := response.Header.Get("Location"); to != "" {
		return response.StatusCode, to
	}
	return response.StatusCode, string(page)
}

// watch follows a page's stream until an element has contents that match, and returns those.
func (s *testShop) watch(t *testing.T, path, id, pattern string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	wanted, lines := regexp.MustCompile("(?s)"+pattern), bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	var event []string
	var last string
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			event = append(event, data)
			continue
		}
		if len(event) > 0 && event[0] == id {
			if last = strings.Join(event[1:], "\n"); wanted.MatchString(last) {
				return last
			}
		}
		event = nil
	}
	t.Fatalf("%s of %s never matched %q; last: %s", id, path, pattern, last)
	return ""
}

// first is what a pattern's group matches first, unescaped.
func first(t *testing.T, page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("nothing matches %q in %s", pattern, page)
	}
	return html.UnescapeString(found[1])
}
