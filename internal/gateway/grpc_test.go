package gateway

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
)

// flaky serves every other service at one address. Each of its calls fails with UNAVAILABLE as long as failures last.
func flaky(t *testing.T, failures int32) (addr string, calls *atomic.Int32) {
	t.Helper()
	calls = new(atomic.Int32)
	fail := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if calls.Add(1) <= failures {
			return nil, status.Error(codes.Unavailable, "not now")
		}
		switch info.FullMethod {
		case oteldemo.CartService_GetCart_FullMethodName:
			return &oteldemo.Cart{}, nil
		case oteldemo.CartService_EmptyCart_FullMethodName:
			return &oteldemo.Empty{}, nil
		case oteldemo.ProductCatalogService_GetProduct_FullMethodName:
			return &oteldemo.Product{Id: "A", PriceUsd: &oteldemo.Money{CurrencyCode: "USD", Units: 1}}, nil
		case oteldemo.CurrencyService_GetSupportedCurrencies_FullMethodName:
			return &oteldemo.GetSupportedCurrenciesResponse{CurrencyCodes: []string{"USD"}}, nil
		case oteldemo.CurrencyService_Convert_FullMethodName:
			return &oteldemo.Money{CurrencyCode: "CAD", Units: 1}, nil
		case oteldemo.PaymentService_Charge_FullMethodName:
			return &oteldemo.ChargeResponse{TransactionId: "T"}, nil
		case checkoutv1.PaymentLedger_Lookup_FullMethodName:
			return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_NONE}, nil
		case checkoutv1.PaymentLedger_Reverse_FullMethodName:
			return &checkoutv1.ReverseResponse{}, nil
		}
		return handle(ctx, req)
	}
	addr = nettest.ServeGRPC(t, func(s *grpc.Server) {
		cartService{}.register(s)
		catalogService{}.register(s)
		currencyService{}.register(s)
		paymentService{}.register(s)
		ledgerService{}.register(s)
	}, grpc.UnaryInterceptor(fail))
	return addr, calls
}

func TestReadsAreTriedThreeTimesAndWritesOnce(t *testing.T) {
	t.Parallel()
	usd := amount(t, "USD", 1, 0)
	for _, test := range []struct {
		name string
		call func(ctx context.Context, conn grpc.ClientConnInterface, p *Payment) error
		want int32
	}{
		{"get cart", func(ctx context.Context, conn grpc.ClientConnInterface, _ *Payment) error {
			_, err := NewCart(conn, patient).Lines(ctx, "ann")
			return err
		}, 3},
		{"get product", func(ctx context.Context, conn grpc.ClientConnInterface, _ *Payment) error {
			_, err := NewCatalog(conn, patient).Product(ctx, "A")
			return err
		}, 3},
		{"list currencies", func(ctx context.Context, conn grpc.ClientConnInterface, _ *Payment) error {
			_, err := NewCurrency(conn, patient).Supported(ctx)
			return err
		}, 3},
		{"convert", func(ctx context.Context, conn grpc.ClientConnInterface, _ *Payment) error {
			_, err := NewCurrency(conn, patient).Convert(ctx, usd, "CAD")
			return err
		}, 3},
		{"empty cart", func(ctx context.Context, conn grpc.ClientConnInterface, _ *Payment) error {
			return NewCart(conn, patient).Empty(ctx, "ann")
		}, 1},
		{"charge", func(ctx context.Context, _ grpc.ClientConnInterface, p *Payment) error {
			_, err := p.Charge(ctx, "1", usd, visa)
			return err
		}, 1},
		{"look a charge up", func(ctx context.Context, _ grpc.ClientConnInterface, p *Payment) error {
			_, _, err := p.Lookup(ctx, "1")
			return err
		}, 3},
		{"reverse a charge", func(ctx context.Context, _ grpc.ClientConnInterface, p *Payment) error {
			return p.Reverse(ctx, "1")
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, failures := range []int32{test.want - 1, test.want} {
				addr, calls := flaky(t, failures)
				err := test.call(t.Context(), dial(t, addr), newPayment(t, addr, switches{}, patient))
				if succeeded := failures < test.want; (err == nil) != succeeded {
					t.Errorf("after %d failures the call returns %v", failures, err)
				}
				if got := calls.Load(); got != test.want {
					t.Errorf("after %d failures the server has seen %d calls, want %d", failures, got, test.want)
				}
			}
		})
	}
}

func TestReadsAreNotRepeatedWhileMostFail(t *testing.T) {
	t.Parallel()
	addr, calls := flaky(t, 1000)
	cart := NewCart(dial(t, addr), patient)
	for range 10 {
		if _, err := cart.Lines(t.Context(), "ann"); status.Code(err) != codes.Unavailable {
			t.Fatalf("error is %v, want Unavailable", err)
		}
	}
	if got := calls.Load(); got != 3+2+8 { // the fifth failure is the first that is not repeated
		t.Errorf("10 reads were %d calls, want 13", got)
	}
}

func TestReadsOfASilentServiceEndAtTheirDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		conn := dial(t, "passthrough:///neighbour", inMemory(t, func(s *grpc.Server) {
			cartService{
				get: func(ctx context.Context, _ *oteldemo.GetCartRequest) (*oteldemo.Cart, error) { return nil, hang(ctx) },
				empty: func(ctx context.Context, _ *oteldemo.EmptyCartRequest) (*oteldemo.Empty, error) {
					return nil, hang(ctx)
				},
			}.register(s)
			catalogService{get: func(ctx context.Context, _ *oteldemo.GetProductRequest) (*oteldemo.Product, error) {
				return nil, hang(ctx)
			}}.register(s)
			currencyService{
				list: func(ctx context.Context) (*oteldemo.GetSupportedCurrenciesResponse, error) { return nil, hang(ctx) },
				convert: func(ctx context.Context, _ *oteldemo.CurrencyConversionRequest) (*oteldemo.Money, error) {
					return nil, hang(ctx)
				},
			}.register(s)
		}))
		_, getCart := NewCart(conn, usual).Lines(t.Context(), "ann")
		_, getProduct := NewCatalog(conn, usual).Product(t.Context(), "A")
		_, list := NewCurrency(conn, usual).Supported(t.Context())
		_, convert := NewCurrency(conn, usual).Convert(t.Context(), amount(t, "USD", 1, 0), "CAD")
		for name, err := range map[string]error{
			"get cart":        getCart,
			"empty cart":      NewCart(conn, usual).Empty(t.Context(), "ann"),
			"get product":     getProduct,
			"list currencies": list,
			"convert":         convert,
		} {
			wantPassing(t, err)
			if got := status.Code(err); got != codes.DeadlineExceeded {
				t.Errorf("%s ends with %v, want DeadlineExceeded", name, err)
			}
		}
	})
}

func TestAnAnswerOver64KiBIsNotRead(t *testing.T) {
	t.Parallel()
	items := slices.Repeat([]*oteldemo.CartItem{{}}, 32<<10+1) // of two bytes each
	_, err := cartOf(t, &oteldemo.Cart{Items: items}, nil).Lines(t.Context(), "ann")
	wantPassing(t, err, "cart: ", "larger than max")
}

// verbatim is a codec that sends bytes as they are.
type verbatim struct{}

func (verbatim) Name() string                    { return "proto" }
func (verbatim) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (verbatim) Unmarshal(_ []byte, _ any) error { return nil }

func TestAnswerThatIsNotTheMessageIsAnErrorAndOfAChargeADoubt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"invalid UTF-8": "\x0a\x02\xff\xfe",
		"HTML":          "<html>welcome</html>",
		"half of it":    "\x0a\x24half",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := nettest.ServeGRPC(t, func(*grpc.Server) {}, grpc.ForceServerCodec(verbatim{}),
				grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
					return errors.Join(stream.RecvMsg(nil), stream.SendMsg([]byte(answer)))
				}))
			_, err := NewCatalog(dial(t, addr), patient).Product(t.Context(), "A")
			wantPassing(t, err, `catalog: get product "A"`, "code = Internal")
			_, err = newPayment(t, addr, switches{}, patient).Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
			wantPassing(t, err, "could not charge the card: rpc error: code = Internal")
		})
	}
}

// unresolved is the scheme of names that are never found.
type unresolved struct{}

func (unresolved) Scheme() string                        { return "unresolved" }
func (unresolved) ResolveNow(resolver.ResolveNowOptions) {}
func (unresolved) Close()                                {}

func (u unresolved) Build(resolver.Target, resolver.ClientConn, resolver.BuildOptions) (resolver.Resolver, error) {
	return u, nil
}

func TestDeadlineCoversTheLookUpOfTheName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, "unresolved:///cart", grpc.WithResolvers(unresolved{}))
		start := time.Now()
		_, err := NewCart(conn, usual).Lines(t.Context(), "ann")
		wantPassing(t, err, "DeadlineExceeded")
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("the answer came after %v, want 2s", got)
		}
	})
}

func TestTargetThatCannotBeIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Dial("127.0.0.1:1", grpc.WithDefaultServiceConfig("{"))
	wantError(t, err, nil, `dial "127.0.0.1:1"`)
}

func TestAServiceThatIsAbsentAtTheStartIsFoundLater(t *testing.T) {
	t.Parallel()
	addr := nettest.Reserve(t)
	conn := dial(t, addr)
	cart := NewCart(conn, patient)
	if _, err := cart.Lines(t.Context(), "ann"); status.Code(err) != codes.Unavailable {
		t.Fatalf("error is %v, want Unavailable", err)
	}
	nettest.ServeGRPCOn(t, listen(t, addr), cartService{
		get: func(context.Context, *oteldemo.GetCartRequest) (*oteldemo.Cart, error) { return &oteldemo.Cart{}, nil },
	}.register)
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		conn.WaitForStateChange(t.Context(), state) // nobody calls, and yet it connects
	}
	if _, err := cart.Lines(t.Context(), "ann"); err != nil {
		t.Error(err)
	}
}
