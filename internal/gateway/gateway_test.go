package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

// TestMain ignores lookups of unknown host names, such as that of the unreachable payment service: package net continues them
// until the DNS server answers.
func TestMain(m *testing.M) {
	var err error
	if proxy, _, err = nettest.Hold(context.Background()); err == nil {
		err = errors.Join(os.Setenv("HTTPS_PROXY", "http://"+proxy), os.Setenv("HTTP_PROXY", "http://"+proxy))
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func1"),
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"), goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder.func3.1"))
}

// proxy is the address in HTTPS_PROXY and HTTP_PROXY, which a process reads once. Only the tests of proxies listen
// there.
var proxy string

func TestServicesAreNotCalledThroughAProxy(t *testing.T) {
	asked := nettest.Proxy(t, proxy)
	_, port, _ := net.SplitHostPort(nettest.ServeGRPC(t, paymentService{
		charge: func(context.Context, *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
			return &oteldemo.ChargeResponse{TransactionId: "T-1"}, nil
		},
	}.register))
	payment := newPayment(t, "0.0.0.0:"+port, switches{}, patient)
	if _, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa); err != nil {
		t.Error(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tracking_id":"P-1"}`)
	}))
	defer server.Close()
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	client := NewHTTP(1, nil, nil)
	defer client.Close()
	shipping, err := NewShipping("0.0.0.0:"+port, client, patient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shipping.Ship(t.Context(), orderID, order.Address{}, nil); err != nil {
		t.Error(err)
	}
	if targets := asked(); len(targets) > 0 {
		t.Errorf("the proxy was asked to %q", targets)
	}
}

// patient are timeouts for tests with answers, which take a while on a busy machine.
var patient = Timeouts{Read: time.Minute, Charge: time.Minute, Ship: time.Minute, Email: time.Minute, Publish: time.Minute}

// usual are the service's own timeouts.
var usual = Timeouts{Read: 2 * time.Second, Charge: 8 * time.Second, Ship: 12 * time.Second, Email: 5 * time.Second, Publish: 5 * time.Second}

// soon are timeouts for tests without answers.
var soon = Timeouts{
	Read: 50 * time.Millisecond, Charge: 50 * time.Millisecond, Ship: 50 * time.Millisecond, Email: 50 * time.Millisecond,
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// inMemory runs a gRPC server until the test ends, and is the way to it: over connections in memory, so that time may be
// virtual, whatever the target is.
func inMemory(t *testing.T, register func(*grpc.Server)) grpc.DialOption {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	nettest.ServeGRPCOn(t, listener, register)
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) })
}

// dial connects to a gRPC server until the test ends.
func dial(t *testing.T, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := Dial(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
}

// silent is the address of a server that accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	return nettest.Serve(t, func(client net.Conn) { _, _ = io.Copy(io.Discard, client) })
}

func amount(t *testing.T, currency money.Currency, units int64, nanos int32) money.Amount {
	t.Helper()
	a, err := money.New(currency, units, nanos)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// switches are Flags that stand as they are set.
type switches struct {
	unreachable bool
	extra       int
}

func (s switches) PaymentUnreachable(context.Context) bool { return s.unreachable }
func (s switches) ExtraEvents(context.Context) int         { return s.extra }

// wantError fails the test unless err is want and its text has all the parts.
func wantError(t *testing.T, err, want error, parts ...string) {
	t.Helper()
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error is %q, want %q in it", err, part)
		}
	}
}

// wantPassing fails the test unless err is a failure that may pass: one that none of the ports' errors names.
func wantPassing(t *testing.T, err error, parts ...string) {
	t.Helper()
	wantError(t, err, nil, parts...)
	for _, final := range []error{order.ErrRefused, order.ErrUnsent, order.ErrUnknownProduct} {
		if errors.Is(err, final) {
			t.Errorf("error %q is %q, want one that may pass", err, final)
		}
	}
}

// The other services of these tests: gRPC services that answer as each test says.

type cartService struct {
	oteldemo.UnimplementedCartServiceServer
	get   func(context.Context, *oteldemo.GetCartRequest) (*oteldemo.Cart, error)
	empty func(context.Context, *oteldemo.EmptyCartRequest) (*oteldemo.Empty, error)
}

func (s cartService) GetCart(ctx context.Context, r *oteldemo.GetCartRequest) (*oteldemo.Cart, error) {
	return s.get(ctx, r)
}

func (s cartService) EmptyCart(ctx context.Context, r *oteldemo.EmptyCartRequest) (*oteldemo.Empty, error) {
	return s.empty(ctx, r)
}

func (s cartService) register(r *grpc.Server) { oteldemo.RegisterCartServiceServer(r, s) }

type catalogService struct {
	oteldemo.UnimplementedProductCatalogServiceServer
	get func(context.Context, *oteldemo.GetProductRequest) (*oteldemo.Product, error)
}

func (s catalogService) GetProduct(ctx context.Context, r *oteldemo.GetProductRequest) (*oteldemo.Product, error) {
	return s.get(ctx, r)
}

func (s catalogService) register(r *grpc.Server) { oteldemo.RegisterProductCatalogServiceServer(r, s) }

type currencyService struct {
	oteldemo.UnimplementedCurrencyServiceServer
	list    func(context.Context) (*oteldemo.GetSupportedCurrenciesResponse, error)
	convert func(context.Context, *oteldemo.CurrencyConversionRequest) (*oteldemo.Money, error)
}

func (s currencyService) GetSupportedCurrencies(ctx context.Context, _ *oteldemo.Empty) (*oteldemo.GetSupportedCurrenciesResponse, error) {
	return s.list(ctx)
}

func (s currencyService) Convert(ctx context.Context, r *oteldemo.CurrencyConversionRequest) (*oteldemo.Money, error) {
	return s.convert(ctx, r)
}

func (s currencyService) register(r *grpc.Server) { oteldemo.RegisterCurrencyServiceServer(r, s) }

type paymentService struct {
	oteldemo.UnimplementedPaymentServiceServer
	charge func(context.Context, *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error)
}

func (s paymentService) Charge(ctx context.Context, r *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
	return s.charge(ctx, r)
}

func (s paymentService) register(r *grpc.Server) { oteldemo.RegisterPaymentServiceServer(r, s) }

type ledgerService struct {
	checkoutv1.UnimplementedPaymentLedgerServer
	lookup  func(context.Context, *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error)
	reverse func(context.Context, *checkoutv1.ReverseRequest) (*checkoutv1.ReverseResponse, error)
	refund  func(*checkoutv1.RefundRequest) error
}

func (s ledgerService) Refund(_ context.Context, r *checkoutv1.RefundRequest) (*checkoutv1.RefundResponse, error) {
	return &checkoutv1.RefundResponse{}, s.refund(r)
}

func (s ledgerService) Lookup(ctx context.Context, r *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error) {
	return s.lookup(ctx, r)
}

func (s ledgerService) Reverse(ctx context.Context, r *checkoutv1.ReverseRequest) (*checkoutv1.ReverseResponse, error) {
	return s.reverse(ctx, r)
}

func (s ledgerService) register(r *grpc.Server) { checkoutv1.RegisterPaymentLedgerServer(r, s) }
