package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/servetest"
)

// call runs a command and returns its exit status and what it printed.
func call(t *testing.T, environ map[string]string, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return callWith(t, environ, strings.NewReader(stdin), args...)
}

func callWith(t *testing.T, environ map[string]string, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := process{getenv: func(name string) string { return environ[name] }, stdin: stdin, stdout: &out, stderr: &errs}
	return p.run(t.Context(), append([]string{"checkout"}, args...)), out.String(), errs.String()
}

func TestWithoutConfigurationNothingStarts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"serve"}} {
		status, _, stderr := call(t, nil, "", args...)
		if status != 2 {
			t.Errorf("checkout %v exits with %d, want 2", args, status)
		}
		for _, name := range []string{"CHECKOUT_PORT", "CART_ADDR", "PRODUCT_CATALOG_ADDR", "CURRENCY_ADDR", "PAYMENT_ADDR", "SHIPPING_ADDR", "EMAIL_ADDR"} {
			if !strings.Contains(stderr, name) {
				t.Errorf("checkout %v does not name %s:\n%s", args, name, stderr)
			}
		}
	}
}

func TestAMisspeltVariableIsNamed(t *testing.T) {
	t.Parallel()
	cmd := command(t, map[string]string{"CHECKOUT_PROT": "5050"}, "serve")
	if said, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(said), "unknown setting CHECKOUT_PROT; did you mean CHECKOUT_PORT?") {
		t.Errorf("%v, %s; want the setting that was meant", err, said)
	}
}

func TestAWrongCommandLineIsExplained(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"buy"}, 2, "checkout: unknown command \"buy\"\nSee 'checkout --help'.\n"},
		{[]string{"ordr"}, 2, "checkout: unknown command \"ordr\"; did you mean order?\n"},
		{[]string{"order", "lst"}, 2, "checkout order: unknown command \"lst\"; did you mean list?\nSee 'checkout order --help'.\n"},
		{[]string{"order", "list", "--atention"}, 2, "checkout order list: unknown flag --atention; did you mean --attention?\n"},
		{[]string{"order", "list", "-atention"}, 2, "checkout order list: unknown flag --atention; did you mean --attention?\n"},
		{[]string{"order", "list", "--yes"}, 2, "checkout order list: unknown flag --yes\n"},
		{[]string{"-no-such-flag"}, 2, "checkout serve: unknown flag --no-such-flag\n"},
		{[]string{"serve", "more"}, 2, `checkout serve: unexpected argument "more"`},
		{[]string{"order", "place"}, 2, "checkout order place: missing --user ID\ncheckout order place: missing --email ADDRESS\n"},
		{[]string{"order", "place", "--item", "X=0"}, 2, `--item="X=0": must be product=quantity, such as OLJCESPC7Z=2`},
		{[]string{"order", "list", "--admin-addr", "5051"}, 2, `--admin-addr="5051": must be host:port, such as localhost:5051`},
		{[]string{"order", "list", "--admin-addr", "http://checkout:5051/"}, 2, `--admin-addr="http://checkout:5051/": must be host:port, such as checkout:5051`},
		{[]string{"order", "place", "--user", "a\xff", "--email", "ada@example.com"}, 2, `checkout order place: argument "a\xff": must be UTF-8`},
		{[]string{"order", "place", "--item=\xff=1", "--user", "a", "--email", "ada@example.com"}, 2, `must be UTF-8`},
		{[]string{"order", "refund", id(1), "--amount", "EUR 1", "--by", "grace", "--why", "a\xff", "--yes"}, 2, `argument "a\xff": must be UTF-8`},
		{[]string{"order", "erase", "a\xff", "--by", "grace", "--why", "so"}, 2, `argument "a\xff": must be UTF-8`},
		{[]string{"order", "place", "now"}, 2, `checkout order place: unexpected argument "now"`},
		{[]string{"order", "place", "-item", "=2"}, 2, `--item="=2": must be product=quantity`},
		{[]string{"order", "place", "--item", "X=two"}, 2, `--item="X=two": must be product=quantity`},
		{[]string{"order", "place", "--user", "ada", "--email", "ada@example.com", "-card", "/no/such/file"}, 2, "--card: open /no/such/file"},
		{[]string{"order", "list", "-o", "yaml"}, 2, `--output="yaml": must be text, json or csv`},
		{[]string{"health", "-no-such-flag"}, 1, "checkout health: unknown flag --no-such-flag\n"},
		{[]string{"health", "now"}, 1, "checkout health: unexpected argument \"now\"\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := call(t, nil, "", test.args...)
			if status != test.status || stdout != "" || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit status %d, stdout %q, stderr %q; want %d, nothing, and %q", status, stdout, stderr, test.status, test.stderr)
			}
		})
	}
}

func TestTheVersionIsPrinted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}, {"version", "-o", "json"}} {
		status, stdout, stderr := call(t, nil, "", args...)
		if status != 0 || !strings.Contains(stdout, "(devel)") || !strings.Contains(stdout, runtime.Version()) {
			t.Errorf("checkout %v: exit status %d, stdout %q, stderr %q; want the versions of checkout and Go", args, status, stdout, stderr)
		}
	}
}

func TestShellsCompleteCommandsFlagsAndStates(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if status, stdout, stderr := call(t, nil, "", "completion", shell); status != 0 || !strings.Contains(stdout, "checkout") {
			t.Errorf("for %s: exit status %d, %q; want a script", shell, status, stderr)
		}
	}
	for want, args := range map[string][]string{
		"resolve":     {"order", "re"},
		"--attention": {"order", "list", "--att"},
		"in_doubt":    {"order", "list", "--state", ""},
		"json":        {"order", "list", "-o", ""},
		"--max-lines": {"serve", "--max"},
	} {
		if _, stdout, _ := call(t, nil, "", append([]string{"__complete"}, args...)...); !strings.Contains(stdout, want) {
			t.Errorf("checkout %v is completed by %q, want %q in it", args, stdout, want)
		}
	}
}

func TestACardThatIsNoneIsNotQuoted(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := call(t, nil, "4432-8015-6152-0454 672", "order", "place", "--user", "ada", "--email", "ada@example.com")
	if status != 2 || strings.Contains(stdout+stderr, "4432") {
		t.Errorf("exit status %d and %q, want 2 and nothing of the card", status, stdout+stderr)
	}
}

func TestHealthHasTheProbesExitStatuses(t *testing.T) {
	t.Parallel()
	l := listen(t, nettest.Reserve(t))
	server, h := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, h)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	probe := func(args ...string) int {
		p := process{getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}
		return p.run(t.Context(), append([]string{"/bin/grpc_health_probe", "-timeout=1m"}, args...))
	}
	if got := probe("-addr=:" + port); got != 0 {
		t.Errorf("a server that serves: exit status %d, want 0", got)
	}
	if got := probe("-addr=:"+port, "-service=nobody"); got != 3 {
		t.Errorf("a service that it does not know: exit status %d, want 3", got)
	}
	h.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if got := probe("-addr=:" + port); got != 4 {
		t.Errorf("a server that does not serve: exit status %d, want 4", got)
	}
	server.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if got := probe("-addr=:" + port); got != 2 {
		t.Errorf("no server: exit status %d, want 2", got)
	}
}

// shopping runs the service in a shop and returns the environment of its clients.
func shopping(t *testing.T, set map[string]string) (*demo.Shop, map[string]string) {
	t.Helper()
	shop := demotest.Start(t)
	environ := shop.Environ()
	environ["CHECKOUT_PORT"], environ["CHECKOUT_DB"], environ["OTEL_SDK_DISABLED"] = "0", "memory", "true"
	environ["CHECKOUT_DEADLINE"], environ["CHECKOUT_READ_TIMEOUT"] = "30s", "15s" // on a busy machine those who answer may take a while
	maps.Copy(environ, set)
	_, environ["CHECKOUT_PORT"], _ = net.SplitHostPort(servetest.Run(t, environ).Addr)
	return shop, environ
}

func TestHealthOfAServerWithTLS(t *testing.T) {
	_, environ := shopping(t, certificate(t))
	if status, stdout, stderr := call(t, environ, "", "health", "-timeout=1m"); status != 0 {
		t.Errorf("over TLS: exit status %d, %s%s; want 0", status, stdout, stderr)
	}
	if status, _, _ := call(t, environ, "", "health", "-tls=false"); status == 0 {
		t.Error("in plaintext: exit status 0 from a server with a certificate")
	}
}

// certificate makes a certificate for localhost and returns the settings that name its files.
func certificate(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for name, block := range map[string]*pem.Block{
		"CHECKOUT_TLS_CERT": {Type: "CERTIFICATE", Bytes: der},
		"CHECKOUT_TLS_KEY":  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		set[name] = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(set[name], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

const card = `{"credit_card_number": "4432-8015-6152-0454", "credit_card_cvv": 672, "credit_card_expiration_year": 2039, "credit_card_expiration_month": 1}`

func TestAnOrderFromTheTerminal(t *testing.T) {
	shop, environ := shopping(t, nil)
	file := filepath.Join(t.TempDir(), "card.json")
	if err := os.WriteFile(file, []byte(card), 0o600); err != nil {
		t.Fatal(err)
	}
	place := []string{"order", "place", "-user", "ada", "-email", "ada@example.com", "-street", "1 Main", "-city", "London", "-country", "UK", "-zip", "N1"}

	status, stdout, stderr := call(t, environ, "", append(place, "-item", "LS4PSXUNUM=2", "-card", file)...)
	if status != 0 || !strings.Contains(stdout, "tracking  ") || !strings.Contains(stdout, "USD 57.08") {
		t.Errorf("exit status %d, stdout %q, stderr %q; want a receipt", status, stdout, stderr)
	}
	status, stdout, stderr = call(t, environ, card, append(place, "-item", "STICKER020", "-currency", "EUR", "-json")...)
	if status != 0 || !strings.Contains(stdout, `"shippingTrackingId"`) {
		t.Errorf("exit status %d, stdout %q, stderr %q; want the answer as JSON", status, stdout, stderr)
	}
	if got := len(shop.Payment.Charges()); got != 2 {
		t.Errorf("%d charges, want 2", got)
	}

	status, _, stderr = call(t, environ, card, append(place, "-email", "ada")...)
	if status != 1 || !strings.Contains(stderr, "INVALID_REQUEST, money moved: no") || !strings.Contains(stderr, "email: is not an e-mail address") || strings.Count(stderr, "e-mail address") != 1 {
		t.Errorf("exit status %d, stderr %q; want why it was refused", status, stderr)
	}
	status, stdout, _ = call(t, environ, card, append(place, "-json")...)
	if status != 1 || !strings.Contains(stdout, "CART_EMPTY") {
		t.Errorf("exit status %d, stdout %q; want the refusal as JSON", status, stdout)
	}
}

func TestTheSameKeyIsTheSameOrder(t *testing.T) {
	shop, environ := shopping(t, nil)
	place := []string{"order", "place", "-user", "ada", "-email", "ada@example.com", "-street", "1 Main", "-city", "London", "-country", "UK", "-zip", "N1", "-item", "LS4PSXUNUM"}
	first, again := "", ""
	for _, receipt := range []*string{&first, &again} {
		var status int
		var stderr string
		if status, *receipt, stderr = call(t, environ, card, append(place, "-key", "a key")...); status != 0 {
			t.Fatalf("exit status %d, stderr %q", status, stderr)
		}
	}
	if first != again || len(shop.Payment.Charges()) != 1 {
		t.Errorf("the receipts are %q and %q, of %d charges; want the same one twice, of one", first, again, len(shop.Payment.Charges()))
	}
	status, _, stderr := call(t, environ, card, append(place, "-key", "a key", "-city", "Paris")...)
	if status != 1 || !strings.Contains(stderr, "IDEMPOTENCY_KEY_REUSED, money moved: no") {
		t.Errorf("another order by the same key: exit status %d, stderr %q; want that it is refused", status, stderr)
	}
}

func TestALinkOfKubernetesIsNotThePortOfTheService(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{"": "5050", "6060": "6060", "tcp://10.96.1.7:8080": "5050"} {
		if got := port(func(string) string { return set }); got != want {
			t.Errorf("with CHECKOUT_PORT=%q clients ask port %s, want %s", set, got, want)
		}
	}
}
