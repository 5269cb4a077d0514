package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/health"

	"checkout/internal/cli"
	"checkout/internal/cli/clitest"
	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/store"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
)

// proxy is the address in HTTPS_PROXY, which a process reads once. Only the tests of proxies listen there.
var proxy string

func TestMain(m *testing.M) {
	var err error
	if proxy, _, err = nettest.Hold(context.Background()); err == nil {
		err = os.Setenv("HTTPS_PROXY", "http://"+proxy)
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// What a service tells of orders is in the clear unless it speaks TLS.
func TestServicesAreNotCalledThroughAProxy(t *testing.T) {
	asked := nettest.Proxy(t, proxy)
	_, port, _ := net.SplitHostPort(service(t))
	address, _ := start(t, map[string]string{"CHECKOUT_ADMIN_ADDR": "0.0.0.0:" + port, "CHECKOUT_CONSOLE_ADDR": "127.0.0.1:0"})
	if status, err := ask(t, nil, "http://"+address+"/orders"); err != nil || status != http.StatusOK {
		t.Errorf("/orders: %d, %v; want 200", status, err)
	}
	if targets := asked(); len(targets) > 0 {
		t.Errorf("the proxy was asked to %q", targets)
	}
}

const secret = "0123456789abcdef"

// service runs a service with an empty record until the test ends, and returns the address of its operators' listener.
func service(t *testing.T) string {
	t.Helper()
	record, err := store.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	placer := order.NewPlacer(order.Dependencies{Store: record})
	server := rpc.NewAdminServer(placer, health.NewServer(), rpc.Options{Orders: record, Log: slog.New(slog.DiscardHandler)})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.GracefulStop()
		placer.Close(context.Background())
		if err := errors.Join(<-served, record.Close()); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// start runs the command until the test ends.
func start(t *testing.T, env map[string]string, args ...string) (address string, written *output.Buffer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended, written := make(chan string, 1), make(chan int, 1), new(output.Buffer)
	cmd := newCommand(func(name string) string { return env[name] }, written, func(a net.Addr) { ready <- a.String() })
	go func() { ended <- cli.Run(ctx, cmd, args, io.Discard, written) }()
	t.Cleanup(func() {
		cancel()
		if status := <-ended; status != cli.OK {
			t.Errorf("the console exits with %d: %s", status, written)
		}
	})
	select {
	case address = <-ready:
	case status := <-ended:
		ended <- cli.OK
		t.Fatalf("the console did not start: exit status %d: %s", status, written)
	}
	return address, written
}

// ask asks for a page over a connection of its own, and returns the status of the answer.
func ask(t *testing.T, config *tls.Config, url string, headers ...string) (status int, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	r, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return r.StatusCode, r.Body.Close()
}

func TestTheConsoleServesWhatTheServicesKnow(t *testing.T) {
	t.Parallel()
	address, _ := start(t, map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:1, " + service(t), "CHECKOUT_CONSOLE_ADDR": "127.0.0.1:0"})
	for _, path := range []string{"/", "/orders", "/attention", "/openapi.yaml"} {
		status, err := ask(t, nil, "http://"+address+path)
		if err != nil || status != http.StatusOK {
			t.Errorf("%s: %d, %v; want 200", path, status, err)
		}
	}
}

func TestATokenIsAskedFor(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]map[string]string{
		"in the environment": {"CHECKOUT_CONSOLE_TOKEN": secret},
		"in a file":          {"CHECKOUT_CONSOLE_TOKEN_FILE": file},
	} {
		t.Run(name, func(t *testing.T) {
			env["CHECKOUT_ADMIN_ADDR"] = service(t)
			address, written := start(t, env, "-addr", "127.0.0.1:0")
			for token, want := range map[string]int{secret: http.StatusOK, "another-of-16-bytes": http.StatusUnauthorized} {
				if status, err := ask(t, nil, "http://"+address+"/orders", "Authorization", "Bearer "+token); err != nil || status != want {
					t.Errorf("with %s: %d, %v; want %d", token, status, err, want)
				}
			}
			if strings.Contains(written.String(), secret) {
				t.Errorf("the log tells the token: %s", written)
			}
		})
	}
}

func TestACertificateIsAskedFor(t *testing.T) {
	t.Parallel()
	ca, file := authority(t)
	cert, key := ca.issue(t, "127.0.0.1")
	address, _ := start(t, map[string]string{
		"CHECKOUT_ADMIN_ADDR": service(t), "CHECKOUT_CONSOLE_TLS_CERT": cert, "CHECKOUT_CONSOLE_TLS_KEY": key, "CHECKOUT_CONSOLE_CLIENT_CA": file,
	}, "-addr", "127.0.0.1:0")
	trusted := x509.NewCertPool()
	trusted.AddCert(ca.cert)
	if status, err := ask(t, &tls.Config{RootCAs: trusted}, "https://"+address+"/orders"); err == nil {
		t.Errorf("without a certificate: %d, want no connection", status)
	}
	pair, err := tls.LoadX509KeyPair(ca.issue(t, "grace"))
	if err != nil {
		t.Fatal(err)
	}
	status, err := ask(t, &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}}, "https://"+address+"/orders")
	if err != nil || status != http.StatusOK {
		t.Errorf("with a certificate: %d, %v; want 200", status, err)
	}
}

func TestThePassOfASecureConsoleIsForSecureConnectionsOnly(t *testing.T) {
	t.Parallel()
	ca, _ := authority(t)
	cert, key := ca.issue(t, "127.0.0.1")
	address, _ := start(t, map[string]string{
		"CHECKOUT_ADMIN_ADDR": service(t), "CHECKOUT_CONSOLE_TLS_CERT": cert, "CHECKOUT_CONSOLE_TLS_KEY": key, "CHECKOUT_CONSOLE_TOKEN": secret,
	}, "-addr", "127.0.0.1:0")
	trusted := x509.NewCertPool()
	trusted.AddCert(ca.cert)
	form := strings.NewReader(url.Values{"token": {secret}}.Encode())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, DisableKeepAlives: true}
	r, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil {
		t.Error(err)
	}
	if cookies := r.Cookies(); len(cookies) != 1 || !cookies[0].Secure {
		t.Errorf("status %d with cookies %v, want one pass, for secure connections only", r.StatusCode, cookies)
	}
}

func TestWhatIsSetWronglyIsSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"open to others, without a token": {nil, []string{"-addr", "0.0.0.0:8070"}, "CHECKOUT_CONSOLE_TOKEN"},
		"open to others, by a name":       {map[string]string{"CHECKOUT_CONSOLE_ADDR": "console.example:8070"}, nil, "CHECKOUT_CONSOLE_TOKEN"},
		"open to others, with no host":    {nil, []string{"-addr", ":8070"}, "CHECKOUT_CONSOLE_TOKEN"},
		"a short token":                   {map[string]string{"CHECKOUT_CONSOLE_TOKEN": secret[1:]}, nil, "CHECKOUT_CONSOLE_TOKEN: must have at least 16 bytes"},
		"no such token file":              {map[string]string{"CHECKOUT_CONSOLE_TOKEN_FILE": "/nowhere/token"}, nil, "CHECKOUT_CONSOLE_TOKEN_FILE"},
		"an empty token file":             {map[string]string{"CHECKOUT_CONSOLE_TOKEN_FILE": os.DevNull, "CHECKOUT_CONSOLE_TOKEN": secret}, nil, "is empty"},
		"half a certificate":              {nil, []string{"-tls-cert", "c.pem"}, "CHECKOUT_CONSOLE_TLS_KEY"},
		"an authority without TLS":        {nil, []string{"-client-ca", "ca.pem"}, "requires CHECKOUT_CONSOLE_TLS_CERT"},
		"no port of a service":            {map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:5051,checkout"}, nil, `"checkout"`},
		"no port to listen on":            {nil, []string{"-addr", "localhost"}, `CHECKOUT_CONSOLE_ADDR="localhost": must be host:port`},
		"no port of the catalog":          {nil, []string{"-catalog-addr", "catalog"}, `PRODUCT_CATALOG_ADDR="catalog": must be host:port`},
		"no place for a trace's id":       {nil, []string{"-trace-url", "http://localhost:16686/trace/"}, `CHECKOUT_TRACE_URL="http://localhost:16686/trace/": must contain {trace}`},
		"an argument":                     {nil, []string{"serve"}, `"serve"`},
		"no such flag":                    {nil, []string{"-port", "1"}, "unknown flag --port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, said := exit(t, test.env, test.args...)
			if status != cli.Usage || !strings.Contains(said, test.want) {
				t.Errorf("exit status %d, saying %q; want 2, and %q", status, said, test.want)
			}
		})
	}
}

// exit runs the command to its end.
func exit(t *testing.T, env map[string]string, args ...string) (status int, said string) {
	t.Helper()
	var written output.Buffer
	cmd := newCommand(func(name string) string { return env[name] }, &written, nil)
	return cli.Run(t.Context(), cmd, args, &written, &written), written.String()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "-h", "-help"} {
		status, help := exit(t, nil, flag)
		if status != cli.OK {
			t.Errorf("console %s: exit status %d", flag, status)
		}
		clitest.Golden(t, "console", help)
	}
}

func TestAnAddressThatIsTakenIsSaid(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if status, said := exit(t, nil, "-addr", listener.Addr().String()); status != cli.Failed || !strings.Contains(said, "CHECKOUT_CONSOLE_ADDR") {
		t.Errorf("exit status %d, saying %q; want 1, and which setting", status, said)
	}
}

// issuer vouches for certificates.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// authority makes an issuer, and a file with its certificate.
func authority(t *testing.T) (*issuer, string) {
	t.Helper()
	a := &issuer{}
	var der []byte
	der, a.key = a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "an authority"}})
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	return a, write(t, "CERTIFICATE", der)
}

// issue makes a certificate for a name, and files with it and its key.
func (a *issuer) issue(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, key := a.sign(t, template)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "CERTIFICATE", der), write(t, "PRIVATE KEY", private)
}

// sign signs a certificate; by itself, when there is no authority yet.
func (a *issuer) sign(t *testing.T, template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func write(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "*.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pem.Encode(file, &pem.Block{Type: kind, Bytes: der}), file.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}
