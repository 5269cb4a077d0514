package serve_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"checkout/internal/demo"
	"checkout/internal/serve"
)

// required are the settings without which nothing starts.
func required() map[string]string {
	return map[string]string{
		"CHECKOUT_PORT": "5050", "CART_ADDR": "cart:1", "PRODUCT_CATALOG_ADDR": "catalog:2", "CURRENCY_ADDR": "currency:3",
		"PAYMENT_ADDR": "payment:4", "SHIPPING_ADDR": "shipping:5", "EMAIL_ADDR": "https://email:6/",
	}
}

// parse reads the required settings and those over them; an empty one is not set.
func parse(set map[string]string, args ...string) (serve.Config, error) {
	environ := required()
	maps.Copy(environ, set)
	return serve.ParseConfig(args, func(name string) string { return environ[name] })
}

// Docker's --env-file, Compose and Kubernetes leave quotes, blanks and line ends around values.
func TestWhatEnvironmentFilesLeaveAroundAValueIsNoPartOfIt(t *testing.T) {
	t.Parallel()
	for _, around := range []string{`"%"`, `'%'`, " % ", "%\n", "\t\"%\"\r\n", `" % "`} {
		set := map[string]string{"KAFKA_ADDR": "kafka:9092", "KAFKA_TOPIC": "sales", "CHECKOUT_MAX_LINES": "7", "CHECKOUT_DEADLINE": "9s", "PAYMENT_MODE": "keyed", "CHECKOUT_ADMIN_ADDR": "localhost:9"}
		maps.Copy(set, required())
		for name, value := range set {
			set[name] = strings.ReplaceAll(around, "%", value)
		}
		c, err := parse(set)
		if err != nil {
			t.Errorf("around every value: %q: %v", around, err)
			continue
		}
		if c.Port != 5050 || c.Cart != "cart:1" || c.Payment != "payment:4" || c.Shipping != "http://shipping:5" || c.Email != "https://email:6" ||
			len(c.Kafka) != 1 || c.Kafka[0] != "kafka:9092" || c.KafkaTopic != "sales" || c.Limits.Lines != 7 || c.Deadline != 9*time.Second ||
			c.PaymentMode != "keyed" || c.Admin != "localhost:9" {
			t.Errorf("around every value: %q: the configuration is %+v", around, c)
		}
	}
	for _, blank := range []string{" ", `""`, "\n"} {
		if _, err := parse(map[string]string{"CART_ADDR": blank}); err == nil || !strings.Contains(err.Error(), "CART_ADDR is not set") {
			t.Errorf("CART_ADDR=%q: %v, want that it is not set", blank, err)
		}
	}
}

func TestACommaTooManyIsNoBroker(t *testing.T) {
	t.Parallel()
	c, err := parse(map[string]string{"KAFKA_ADDR": "one:9092, two:9092,\n"})
	if err != nil || strings.Join(c.Kafka, " ") != "one:9092 two:9092" {
		t.Errorf("the brokers are %q, %v", c.Kafka, err)
	}
	if _, err := parse(map[string]string{"KAFKA_ADDR": ","}); err == nil {
		t.Error("a comma alone was accepted")
	}
}

func TestAnAddressThatCannotBeIsRefusedWithItsValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"cart:8080,", "cart :8080", `"cart":8080`, "cart", "ftp://cart:8080", "cart:8080/", "dns:///cart", "dns:///", "dns://cart:8080", "ada@cart:8080", "cart:0", ":8080"} {
		_, err := parse(map[string]string{"CART_ADDR": value})
		if err == nil {
			t.Errorf("CART_ADDR=%q was accepted", value)
		} else if quoted := fmt.Sprintf("CART_ADDR=%q", value); !strings.Contains(err.Error(), quoted) {
			t.Errorf("the error is %v, want %s in it", err, quoted)
		}
	}
}

func TestAURLThatCannotBeIsRefusedWithItsValue(t *testing.T) {
	t.Parallel()
	for value, shown := range map[string]string{
		"https:/ada:secret@host": "", "http://host:99999": "http://host:99999", "http://:80": "http://:80", "https://host:s3cret": "https://host:…",
	} {
		_, err := parse(map[string]string{"EMAIL_ADDR": value})
		if err == nil {
			t.Errorf("EMAIL_ADDR=%q was accepted", value)
		} else if !strings.Contains(err.Error(), shown) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error is %v, want %q in it and no password", err, shown)
		}
	}
}

func TestANameThatCannotBeIsRefusedWithItsValueAndTheRule(t *testing.T) {
	t.Parallel()
	const topic, host, list, time = "must be 1 to 249 letters, digits", "must be a host", "separate names by commas", "must be a duration between 1s"
	for _, test := range []struct{ variable, value, want string }{
		{"KAFKA_TOPIC", "a b", topic},
		{"KAFKA_TOPIC", "..", topic},
		{"KAFKA_TOPIC", "ördérs", topic},
		{"KAFKA_TOPIC", strings.Repeat("a", 250), topic},
		{"KAFKA_TOPIC", "shop/orders", topic},
		{"FLAGD_HOST", "http://flagd", host},
		{"FLAGD_HOST", "flagd one", host},
		{"CHECKOUT_HOST", "127.0.0.1/8", host},
		{"CART_ADDR", "${CART}:8080", "must be host:port"},
		{"KAFKA_ADDR", "one;two:9092", "must be host:port"},
		{"CHECKOUT_ADMIN_ADDR", "local host:5051", "must be host:port"},
		{"SHIPPING_ADDR", "http://one,two:80", "must be scheme://host:port"},
		{"CHECKOUT_BAGGAGE_ALLOW", "session.id synthetic_request", list},
		{"CHECKOUT_TLS_CLIENT_NAMES", "one two", list},
		{"CHECKOUT_PUBLISH_TIMEOUT", "300ms", time}, // the broker's client waits as long at least
		{"KAFKA_SASL_USERNAME", "ada", "KAFKA_SASL_USERNAME needs KAFKA_SASL_MECHANISM, which is not set"},
	} {
		_, err := parse(map[string]string{test.variable: test.value})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.variable) {
			t.Errorf("%s=%q: the error is %v, want %q", test.variable, test.value, err, test.want)
		}
	}
	for variable, values := range map[string][]string{
		"KAFKA_TOPIC": {"a", "shop.orders_1-x", "...", strings.Repeat("a", 249)}, "FLAGD_HOST": {"flagd", "::1", "[::1]", "flag_d.shop.svc"}, "CHECKOUT_HOST": {"[fe80::1%eth0]"},
	} {
		for _, value := range values {
			if _, err := parse(map[string]string{variable: value}); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestADatabaseWithAPasswordAndNoSchemeIsNoPath(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"postgres//ada:secret@host:1/db", "//ada:secret@host/db", "postgres/ada:secret@host/db"} {
		_, err := parse(map[string]string{"CHECKOUT_DB": value})
		if err == nil {
			t.Errorf("CHECKOUT_DB=%q was accepted", value)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestAGRPCTargetIsAnAddress(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"dns:///cart:8080", "dns://10.96.0.10/cart:8080", "dns://10.96.0.10:53/cart:8080", "passthrough:///[::1]:8080", "[::1]:8080"} {
		if c, err := parse(map[string]string{"CART_ADDR": value}); err != nil || c.Cart != value {
			t.Errorf("CART_ADDR=%q: it is %q, %v", value, c.Cart, err)
		}
	}
}

// Kubernetes sets CHECKOUT_PORT and FLAGD_PORT for services of the names checkout and flagd, unless the pod sets them.
func TestALinkOfKubernetesIsNoPort(t *testing.T) {
	t.Parallel()
	const link = "tcp://10.96.1.7:8013"
	c, err := parse(map[string]string{"FLAGD_PORT": link})
	if err != nil || c.FlagdPort != 8013 {
		t.Errorf("FLAGD_PORT=%q: the port is %d, %v; want the default", link, c.FlagdPort, err)
	}
	_, err = parse(map[string]string{"CHECKOUT_PORT": link})
	if err == nil || !strings.Contains(err.Error(), `CHECKOUT_PORT="tcp://10.96.1.7:8013"`) || !strings.Contains(err.Error(), "enableServiceLinks: false") {
		t.Errorf("CHECKOUT_PORT=%q: %v, want the remedy: the port of the service need not be that of the pod", link, err)
	}
	if c, err := parse(map[string]string{"CHECKOUT_PORT": link}, "-port=5051"); err != nil || c.Port != 5051 {
		t.Errorf("CHECKOUT_PORT=%q and -port=5051: the port is %d, %v", link, c.Port, err)
	}
}

func TestChoicesAreTheSameInCapitals(t *testing.T) {
	t.Parallel()
	c, err := parse(map[string]string{"FLAGD_RESOLVER": "File", "FLAGD_OFFLINE_FLAG_SOURCE_PATH": "flags.json", "PAYMENT_MODE": "KEYED"})
	if err != nil || c.FlagResolver != "file" || c.PaymentMode != "keyed" {
		t.Errorf("the resolver is %q, payment %q, %v", c.FlagResolver, c.PaymentMode, err)
	}
	if _, err := parse(map[string]string{"PAYMENT_MODE": "idempotent"}); err == nil || !strings.Contains(err.Error(), `PAYMENT_MODE="idempotent": must be one of stock, keyed`) {
		t.Errorf("an unknown choice: %v", err)
	}
}

func TestWhatIsQuestionableIsLoggedAtTheStart(t *testing.T) {
	s := open(t, map[string]string{"FLAGD_PORT": "tcp://10.96.1.7:8013", "FLAGD_RESOLVER": "in-process", "CHECKOUT_SHIP_TIMEOUT": "9s"})
	for _, want := range []string{
		`FLAGD_PORT=\"tcp://10.96.1.7:8013\": is a link`, "the default 8013 is used",
		`FLAGD_RESOLVER=\"in-process\": must be one of rpc, file; the default rpc is used`,
		"CHECKOUT_SHIP_TIMEOUT=9s: slow shipping takes 10s",
	} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("not in the log: %s", want)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = open(t, nil)
	if strings.Contains(s.log.String(), "check the configuration") {
		t.Errorf("the defaults are questionable:\n%s", s.log)
	}
}

// A URL with a password in the place of an address, or what was meant to be one.
func TestNoErrorOfASettingTellsAPassword(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	document, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("`([A-Z0-9]+_[A-Z0-9_]+)`").FindAllStringSubmatch(string(document), -1) {
		variable := match[1]
		for _, value := range []string{
			"https://user:hunter2@host", "https://user:hunter2@host:port", "https://user:hun@hunter2@ho st", "https://user:hunter2/x@host:1",
			"user:hunter2@host:1", "tcp://hunter2@host:1", "one:1,user:hunter2@two:2", "https://host/?key=hunter2", "postgresql+x://user:hunter2@host/db",
		} {
			_, err := parse(map[string]string{variable: value})
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s=%q: the error is %v", variable, value, err)
			}
			var printed strings.Builder
			name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, "CHECKOUT_")), "_", "-")
			environ := required()
			_, err = serve.ParseConfig([]string{"-" + name, value}, func(name string) string { return environ[name] })
			if err != nil && strings.Contains(err.Error()+printed.String(), secret) {
				t.Errorf("-%s %q: the error is %v, and printed is\n%s", name, value, err, &printed)
			}
			if _, err := parse(nil, value); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("the argument %q: the error is %v", value, err)
			}
		}
	}
}

func TestTheConfigurationIsLoggedWithoutPasswords(t *testing.T) {
	s := open(t, map[string]string{
		"CHECKOUT_BAGGAGE_ALLOW": "https://user:hunter2@key",
		"FLAGD_PORT":             "tcp://user:hunter2@host:1", "OTEL_TRACES_EXPORTER": "https://user:hunter2@host", "LOG_LEVEL": "https://user:hunter2@host",
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://user:hunter2/1@host:port",
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if log := s.log.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, `"configuration"`) {
		t.Errorf("the log is\n%s", log)
	}
}

func TestOnlyTheBaggageThatIsAllowedReachesOtherServices(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_BAGGAGE_ALLOW": "session.id, synthetic_request"})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "baggage", "session.id=a,other=b,synthetic_request=true")
	if _, err := s.buy(ctx, "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
		t.Fatal(err)
	}
	for name, calls := range map[string][]demo.Call{"cart": s.shop.Cart.Calls("GetCart"), "payment": s.shop.Payment.Calls("Charge"), "shipping": s.shop.Shipping.Calls("ship-order")} {
		for _, call := range calls {
			baggage := fmt.Sprint(call.Header["baggage"], call.Header["Baggage"])
			if strings.Contains(baggage, "other") || !strings.Contains(baggage, "session.id=a") || !strings.Contains(baggage, "synthetic_request=true") {
				t.Errorf("%s gets the baggage %s", name, baggage)
			}
		}
		if len(calls) == 0 {
			t.Errorf("%s is not called", name)
		}
	}
}
