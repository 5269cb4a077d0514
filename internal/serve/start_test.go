package serve_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/serve"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

func TestTheServiceStartsInAnEmptyShop(t *testing.T) {
	shop := demotest.Start(t)
	for _, n := range []interface{ TakeOffline() }{
		shop.Cart, shop.Catalog, shop.Currency, shop.Payment, shop.Shipping, shop.Email, shop.Broker, shop.Flags, shop.Collector,
	} {
		n.TakeOffline()
	}
	s := openIn(t, shop, nil)
	resp, err := grpc_health_v1.NewHealthClient(nettest.DialGRPC(t, s.addr)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("its health is %v, %v; want SERVING", resp, err)
	}
	_, err = s.PlaceOrder(t.Context(), request("ada", "USD"))
	if code, _, moved := refusal(t, err); code != codes.Unavailable || moved != "no" {
		t.Errorf("an order is answered %v, money moved: %s; want UNAVAILABLE, no", code, moved)
	}
	// The other services come one by one, and the service needs no restart.
	for _, n := range []interface{ BringOnline() error }{shop.Cart, shop.Catalog, shop.Currency, shop.Payment, shop.Shipping} {
		if err := n.BringOnline(); err != nil {
			t.Fatal(err)
		}
	}
	shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for err != nil { // a connection is tried again by and by
		select {
		case <-time.After(50 * time.Millisecond):
			_, err = s.PlaceOrder(ctx, request("ada", "USD"))
		case <-ctx.Done():
			t.Fatalf("no order once the other services are there: %v", err)
		}
	}
	if got := shop.Ledgers().Total(); got.Charges != 1 || got.Parcels != 1 {
		t.Errorf("the books: %+v, want one charge and one parcel", got)
	}
}

func TestHealthChecksLeaveNoTelemetry(t *testing.T) {
	s := open(t, nil)
	if _, err := grpc_health_v1.NewHealthClient(nettest.DialGRPC(t, s.addr)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	// An order that fails at once, so that there is telemetry to look through.
	if _, err := s.PlaceOrder(t.Context(), &oteldemo.PlaceOrderRequest{}); err == nil {
		t.Fatal("an empty request was accepted")
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, span := range s.shop.Collector.Spans() {
		names = append(names, span.GetName())
	}
	if len(names) != 1 || names[0] != "oteldemo.CheckoutService/PlaceOrder" {
		t.Errorf("spans %q, want that of the order alone", names)
	}
}

func TestAWatcherOfTheHealthDoesNotHoldUpTheEnd(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_DRAIN": "5m"})
	watch, err := grpc_health_v1.NewHealthClient(nettest.DialGRPC(t, s.addr)).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the service waits for a watcher that waits for the service")
	}
}

func TestFlagsHaveStocksVisibleEffect(t *testing.T) {
	s := open(t, nil)
	if err := s.shop.Flags.SetBool("paymentUnreachable", true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	for i := 0; err == nil; i++ { // until flagd has told
		_, err = s.buy(ctx, fmt.Sprint("user-", i), "USD", map[string]int32{"OLJCESPC7Z": 1})
	}
	const want = "failed to charge card: could not charge the card: rpc error: code = Unavailable desc = "
	if !strings.Contains(err.Error(), want) {
		t.Errorf("the answer is %v, want %q in it", err, want)
	}
	if code, reason, moved := refusal(t, err); code != codes.Unavailable || reason != "PAYMENT_UNREACHABLE" || moved != "no" {
		t.Errorf("answered %v, %s, money moved: %s; want UNAVAILABLE, PAYMENT_UNREACHABLE, no", code, reason, moved)
	}
}

func TestAQueueOfExtraEvents(t *testing.T) {
	shop := demotest.Start(t)
	if err := shop.Flags.SetInt("kafkaQueueProblems", 7); err != nil {
		t.Fatal(err)
	}
	s := openIn(t, shop, map[string]string{"FLAGD_RESOLVER": "file", "FLAGD_OFFLINE_FLAG_SOURCE_PATH": shop.Flags.Path()})
	if _, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	s.awaitLedgers(t, demo.Tally{Charges: 1, Parcels: 1, Emails: 1, Events: 8})
	if all, differing := shop.Accounting.Duplicates(); all != 7 || differing != 0 {
		t.Errorf("%d duplicates, %d of them different; want 7 identical ones", all, differing)
	}
}

func TestTwoServicesCannotShareARecord(t *testing.T) {
	shop := demotest.Start(t)
	db := filepath.Join(t.TempDir(), "orders.db")
	openIn(t, shop, map[string]string{"CHECKOUT_DB": db})
	environ := shop.Environ()
	environ["CHECKOUT_PORT"], environ["CHECKOUT_DB"] = "0", db
	config, err := serve.ParseConfig(nil, func(name string) string { return environ[name] })
	if err != nil {
		t.Fatal(err)
	}
	err = serve.Run(t.Context(), config, io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), db) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the second service says %v, want that another process has %s", err, db)
	}
}

func TestAPortThatIsTakenEndsTheStart(t *testing.T) {
	shop := demotest.Start(t)
	environ := shop.Environ()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	environ["CHECKOUT_PORT"], environ["CHECKOUT_DB"] = port, "memory"
	config, err := serve.ParseConfig(nil, func(name string) string { return environ[name] })
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Run(t.Context(), config, io.Discard, nil); err == nil || !strings.Contains(err.Error(), "CHECKOUT_PORT="+port) {
		t.Errorf("Run says %v, want the port that is taken", err)
	}
}

func TestAHostThatIsNotThisMachineEndsTheStart(t *testing.T) {
	environ := demotest.Start(t).Environ()
	for _, host := range []string{"rubbish.invalid", "192.0.2.1"} {
		environ["CHECKOUT_HOST"], environ["CHECKOUT_PORT"], environ["CHECKOUT_DB"] = host, "0", "memory"
		config, err := serve.ParseConfig(nil, func(name string) string { return environ[name] })
		if err != nil {
			t.Fatal(err)
		}
		if err := serve.Run(t.Context(), config, io.Discard, nil); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("CHECKOUT_HOST=%q: must be an address of this machine", host)) {
			t.Errorf("Run says %v, want the host that is wrong", err)
		}
	}
}

func TestEveryProblemOfTheConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	environ := map[string]string{
		"CHECKOUT_PORT": "http", "CART_ADDR": "cart", "SHIPPING_ADDR": "ftp://shipping", "KAFKA_ADDR": "kafka:9092,kafka",
		"CHECKOUT_DEADLINE": "15", "CHECKOUT_READ_TIMEOUT": "9999999h", "EMAIL_ADDR": "ftp:/email", "CHECKOUT_MAX_LINES": "0", "FLAGD_RESOLVER": "file", "CHECKOUT_TLS_CERT": "cert.pem",
	}
	_, err := serve.ParseConfig(nil, func(name string) string { return environ[name] })
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`CHECKOUT_PORT="http": must be a number between 0 and 65535`,
		`CART_ADDR="cart": must be host:port, such as cart:8080`,
		`SHIPPING_ADDR="ftp://shipping": must be http:// or https://`,
		`KAFKA_ADDR="kafka:9092,kafka": "kafka" must be host:port, such as`,
		`CHECKOUT_DEADLINE="15": must be a duration between 1s and 30s`, `CHECKOUT_READ_TIMEOUT="9999999h": must be a duration between 1ms and 15s`,
		`EMAIL_ADDR="ftp:/email": must be host:port or a URL, such as http://email:6060`,
		`CHECKOUT_MAX_LINES="0": must be a number between 1 and 10000`,
		`PRODUCT_CATALOG_ADDR is not set: host:port of the product catalog`,
		`CURRENCY_ADDR is not set`, `PAYMENT_ADDR is not set`,
		`FLAGD_OFFLINE_FLAG_SOURCE_PATH is not set`,
		`CHECKOUT_TLS_CERT="cert.pem", CHECKOUT_TLS_KEY="": set both or neither`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not named: %s\nin:\n%v", want, err)
		}
	}
}

func TestFlagsGoBeforeTheEnvironment(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"CHECKOUT_PORT": "5050", "CART_ADDR": "cart:1", "PRODUCT_CATALOG_ADDR": "c:2", "CURRENCY_ADDR": "c:3", "PAYMENT_ADDR": "p:4", "SHIPPING_ADDR": "shipping:5", "EMAIL_ADDR": "https://email:6/"}
	c, err := serve.ParseConfig([]string{"-port=6060", "-max-lines", "3"}, func(name string) string { return environ[name] })
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 6060 || c.Limits.Lines != 3 || c.Shipping != "http://shipping:5" || c.Email != "https://email:6" {
		t.Errorf("the configuration is %+v", c)
	}
	if _, err := serve.ParseConfig([]string{"more"}, func(name string) string { return environ[name] }); err == nil {
		t.Error("an argument that is no flag was accepted")
	}
}

// docs/configuration.md has every setting, with its default: in the table, or in the list of those that are off unless set.
func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (.*?) \\|").FindAllStringSubmatch(string(page), -1) {
		documented[row[1]] = strings.Trim(row[2], "`")
	}
	for _, item := range regexp.MustCompile("(?m)^- `([A-Z_]+)`(?:, `([A-Z_]+)`)?: ").FindAllStringSubmatch(string(page), -1) {
		documented[item[1]], documented[cmp.Or(item[2], item[1])] = "none", "none"
	}
	var help bytes.Buffer
	flags := serve.NewSettings().Flags
	flags.SetOutput(&help)
	flags.PrintDefaults()
	for _, setting := range regexp.MustCompile(`(?s)\(([A-Z_]+)\)(?: \(default "?(.*?)"?\))?\n`).FindAllStringSubmatch(help.String(), -1) {
		name, byDefault := setting[1], setting[2]
		got, ok := documented[name]
		if !ok {
			t.Errorf("docs/configuration.md does not list %s", name)
		} else if byDefault != "" && got != byDefault {
			t.Errorf("docs/configuration.md gives %s the default %q, it is %q", name, got, byDefault)
		}
		delete(documented, name)
	}
	for name := range documented {
		if !strings.HasPrefix(name, "OTEL_") && name != "GOMEMLIMIT" {
			t.Errorf("docs/configuration.md lists %s, which does not exist", name)
		}
	}
}
