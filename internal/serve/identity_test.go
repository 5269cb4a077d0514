package serve_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/certs"
	"checkout/internal/certs/certstest"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

// keyFolder has the certificates of a shop, as files.
type keyFolder struct {
	authority *certstest.Authority
	folder    string
}

func newKeys(t *testing.T) keyFolder {
	t.Helper()
	k := keyFolder{certstest.New(t), t.TempDir()}
	k.authority.Write(k.file("ca.pem"))
	return k
}

func (k keyFolder) file(name string) string { return filepath.Join(k.folder, name) }

// issue makes a certificate with these names, and returns its files and the authority's.
func (k keyFolder) issue(whose string, names ...string) certs.Files {
	f := certs.Files{Cert: k.file(whose + ".pem"), Key: k.file(whose + ".key"), CA: k.file("ca.pem")}
	k.authority.Issue(f.Cert, f.Key, names...)
	return f
}

func source(t *testing.T, f certs.Files) *certs.Source {
	t.Helper()
	s, err := certs.Load(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// connect makes a connection with the certificate of f, and with a token unless that is empty.
func connect(t *testing.T, addr string, f certs.Files, token string) *grpc.ClientConn {
	t.Helper()
	var options []grpc.DialOption
	if f != (certs.Files{}) {
		options = append(options, grpc.WithTransportCredentials(source(t, f).Credentials()))
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(certs.Token(token)))
	}
	return nettest.DialGRPC(t, addr, options...)
}

func TestOnlyCallersWithAnAcceptedCertificatePlaceOrders(t *testing.T) {
	k := newKeys(t)
	server, frontend, other := k.issue("server"), k.issue("frontend", "spiffe://shop/frontend"), k.issue("other", "spiffe://shop/ad")
	s := open(t, map[string]string{
		"CHECKOUT_TLS_CERT": server.Cert, "CHECKOUT_TLS_KEY": server.Key,
		"CHECKOUT_TLS_CLIENT_CA": server.CA, "CHECKOUT_TLS_CLIENT_NAMES": "spiffe://shop/agent, spiffe://shop/frontend",
	})
	for name, test := range map[string]struct {
		with certs.Files
		want codes.Code
	}{
		"accepted":             {frontend, codes.OK},
		"another name":         {other, codes.PermissionDenied},
		"without certificate":  {certs.Files{CA: server.CA}, codes.Unauthenticated},
		"in plaintext":         {certs.Files{}, codes.Unavailable},
		"of another authority": {certs.Files{Cert: newKeys(t).issue("x").Cert, CA: server.CA}, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if test.with.Cert != "" && test.with.Key == "" {
				test.with.Key = strings.TrimSuffix(test.with.Cert, ".pem") + ".key"
			}
			s.shop.Cart.Put(name, "OLJCESPC7Z", 1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := oteldemo.NewCheckoutServiceClient(connect(t, s.addr, test.with, "")).PlaceOrder(ctx, request(name, "USD"))
			if status.Code(err) != test.want {
				t.Errorf("answered %v, want %v", err, test.want)
			}
		})
	}
}

func TestOnlyListedCallersPlaceSyntheticOrders(t *testing.T) {
	k := newKeys(t)
	server := k.issue("server")
	s := open(t, map[string]string{
		"CHECKOUT_TLS_CERT": server.Cert, "CHECKOUT_TLS_KEY": server.Key, "CHECKOUT_TLS_CLIENT_CA": server.CA,
		"CHECKOUT_TLS_SYNTHETIC_NAMES": "load-generator",
	})
	for name, want := range map[string]bool{"load-generator": true, "frontend": false} {
		s.shop.Cart.Put(name, "OLJCESPC7Z", 1)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "baggage", "session.id=1,synthetic_request=true")
		if _, err := oteldemo.NewCheckoutServiceClient(connect(t, s.addr, k.issue(name, name), "")).PlaceOrder(ctx, request(name, "USD")); err != nil {
			t.Fatal(err)
		}
		calls := s.shop.Payment.Calls("Charge")
		got := strings.Join(calls[len(calls)-1].Header["baggage"], ",")
		if !strings.Contains(got, "session.id=1") || strings.Contains(got, "synthetic_request") != want {
			t.Errorf("payment got the baggage %q for %s, want synthetic_request in it: %t", got, name, want)
		}
	}
}

func TestTheProbeNeedsNoCertificate(t *testing.T) {
	k := newKeys(t)
	server := k.issue("server")
	s := open(t, map[string]string{"CHECKOUT_TLS_CERT": server.Cert, "CHECKOUT_TLS_KEY": server.Key, "CHECKOUT_TLS_CLIENT_CA": server.CA})
	probe := grpc_health_v1.NewHealthClient(connect(t, s.addr, certs.Files{CA: server.CA}, ""))
	if _, err := probe.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

func TestCertificatesAreRotatedUnderLoad(t *testing.T) {
	const rotations = 100
	k := newKeys(t)
	server, client := k.issue("server"), k.issue("client")
	s := open(t, map[string]string{"CHECKOUT_TLS_CERT": server.Cert, "CHECKOUT_TLS_KEY": server.Key, "CHECKOUT_TLS_CLIENT_CA": server.CA})
	// Each caller has connections of its own, one after the other, so that each call is a handshake.
	trusted := source(t, client)
	call := func() error {
		conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(trusted.Credentials()))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	done := make(chan struct{})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := call(); err != nil {
					t.Errorf("a call failed: %v", err)
					return
				}
			}
		})
	}
	for range rotations {
		k.issue("server")
		k.issue("client")
		time.Sleep(10 * time.Millisecond)
	}
	close(done)
	callers.Wait()
}

func TestOperatorsPresentAToken(t *testing.T) {
	const token = "an operator's token xyzzy"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := nettest.Reserve(t)
	s := open(t, map[string]string{"CHECKOUT_ADMIN_ADDR": admin, "CHECKOUT_ADMIN_TOKEN_FILE": file, "CHECKOUT_PUBLIC_ORDERS": "false"})
	list := func(addr, token string) codes.Code {
		_, err := checkoutv1.NewOrderServiceClient(connect(t, addr, certs.Files{}, token)).ListOrders(t.Context(), &checkoutv1.ListOrdersRequest{})
		return status.Code(err)
	}
	for presented, want := range map[string]codes.Code{
		token: codes.OK, "": codes.Unauthenticated, "another token xyzzy 47": codes.Unauthenticated, token + "x": codes.Unauthenticated,
	} {
		if got := list(admin, presented); got != want {
			t.Errorf("with the token %q: %v, want %v", presented, got, want)
		}
	}
	if err := os.WriteFile(file, []byte("the next token of 4712"), 0o600); err != nil {
		t.Fatal(err)
	}
	if before, after := list(admin, token), list(admin, "the next token of 4712"); before != codes.Unauthenticated || after != codes.OK {
		t.Errorf("after a change of the file: the token before is answered %v, the new one %v", before, after)
	}
	watch, err := checkoutv1.NewOrderServiceClient(connect(t, admin, certs.Files{}, "")).WatchOrders(t.Context(), &checkoutv1.WatchOrdersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a watch without a token: %v, want UNAUTHENTICATED", err)
	}
	if _, err := grpc_health_v1.NewHealthClient(connect(t, admin, certs.Files{}, "")).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("the health check needs no token: %v", err)
	}
	if got := list(s.addr, token); got != codes.Unimplemented {
		t.Errorf("orders on the port of PlaceOrder: %v, want UNIMPLEMENTED", got)
	}
	if strings.Contains(s.log.String(), "xyzzy") {
		t.Error("a token is in the log")
	}
}

// terminate accepts TLS connections with certificates, and passes what they say to address in the clear.
func terminate(t *testing.T, k keyFolder, address string) (port string) {
	t.Helper()
	config := source(t, k.issue("service")).Server(tls.RequireAndVerifyClientCert)
	current := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config, err := current(hello)
		if err == nil {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
		return config, err
	}
	_, port, _ = net.SplitHostPort(nettest.Serve(t, func(client net.Conn) { nettest.Relay(tls.Server(client, config), address) }))
	return port
}

func TestEveryServiceCanBeCalledOverTLS(t *testing.T) {
	k := newKeys(t)
	shop := demotest.Start(t)
	own := k.issue("checkout", "spiffe://shop/checkout")
	environ := shop.Environ()
	set := map[string]string{"CHECKOUT_OUTGOING_CA": own.CA, "CHECKOUT_OUTGOING_CERT": own.Cert, "CHECKOUT_OUTGOING_KEY": own.Key, "FLAGD_TLS": "true"}
	for _, name := range []string{"CART_ADDR", "PRODUCT_CATALOG_ADDR", "CURRENCY_ADDR", "PAYMENT_ADDR"} {
		set[name] = "https://127.0.0.1:" + terminate(t, k, environ[name])
	}
	for _, name := range []string{"SHIPPING_ADDR", "EMAIL_ADDR"} {
		address, err := url.Parse(environ[name])
		if err != nil {
			t.Fatal(err)
		}
		set[name] = "https://127.0.0.1:" + terminate(t, k, address.Host)
	}
	set["FLAGD_PORT"] = terminate(t, k, net.JoinHostPort(environ["FLAGD_HOST"], environ["FLAGD_PORT"]))
	set["FLAGD_HOST"] = "127.0.0.1"

	password := filepath.Join(k.folder, "password")
	if err := os.WriteFile(password, []byte("secret of the broker"), 0o600); err != nil {
		t.Fatal(err)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"), kfake.TLS(source(t, k.issue("broker")).Server(tls.NoClientCert)),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "checkout", "secret of the broker"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	set["KAFKA_ADDR"], set["KAFKA_TLS"] = broker.ListenAddrs()[0], "true"
	set["KAFKA_SASL_MECHANISM"], set["KAFKA_SASL_USERNAME"], set["KAFKA_SASL_PASSWORD_FILE"] = "scram-sha-256", "checkout", password

	s := openIn(t, shop, set)
	if err := shop.Flags.SetInt("kafkaQueueProblems", 7); err != nil {
		t.Fatal(err)
	}
	o, err := s.buy(t.Context(), "ada", "EUR", map[string]int32{"OLJCESPC7Z": 1})
	if err != nil {
		t.Fatal(err)
	}
	if o.GetShippingTrackingId() == "" {
		t.Error("no parcel was sent")
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics("orders"),
		kgo.DialTLSConfig(source(t, own).Client("127.0.0.1")), kgo.SASL(scram.Auth{User: "checkout", Pass: "secret of the broker"}.AsSha256Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for events := 0; events < 8; { // the copies show that flagd was asked
		fetched := consumer.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatalf("the broker has %d events of order %s, want 8: %v", events, o.GetOrderId(), err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			if events++; string(r.Key) != o.GetOrderId() {
				t.Errorf("an event of %s, want %s", r.Key, o.GetOrderId())
			}
		})
	}
	s.await(t, "the e-mail", func() bool { return len(shop.Email.Calls("")) > 0 })
	if strings.Contains(s.log.String(), "secret of the broker") {
		t.Error("the password is in the log")
	}
}
