package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

const (
	visaNumber = "4432-8015-6152-0454"
	orderID    = order.ID("01890a5d-ac96-774b-bcce-b302099a8057")
)

var visa = creditcard.New(visaNumber, 672, 2030, 1)

func newPayment(t *testing.T, target string, flags Flags, timeouts Timeouts, opts ...grpc.DialOption) *Payment {
	t.Helper()
	payment, err := NewPayment(target, flags, timeouts, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := payment.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return payment
}

// paymentOf is a Payment whose service answers every charge like this.
func paymentOf(t *testing.T, reply *oteldemo.ChargeResponse, err error) *Payment {
	t.Helper()
	return newPayment(t, nettest.ServeGRPC(t, paymentService{
		charge: func(context.Context, *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) { return reply, err },
	}.register), switches{}, patient)
}

func TestChargeTakesTheAmountFromTheCardUnderTheOrdersID(t *testing.T) {
	t.Parallel()
	type call struct {
		request *oteldemo.ChargeRequest
		keys    []string
	}
	calls := make(chan call, 1)
	payment := newPayment(t, nettest.ServeGRPC(t, paymentService{
		charge: func(ctx context.Context, r *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
			calls <- call{r, metadata.ValueFromIncomingContext(ctx, "idempotency-key")}
			return &oteldemo.ChargeResponse{TransactionId: "T-1"}, nil
		},
	}.register), switches{}, patient)
	transaction, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 57, 80_000_000), visa)
	if transaction != "T-1" || err != nil {
		t.Fatalf("charge returns %q, %v; want T-1", transaction, err)
	}
	got := <-calls
	want := &oteldemo.ChargeRequest{
		Amount: &oteldemo.Money{CurrencyCode: "USD", Units: 57, Nanos: 80_000_000},
		CreditCard: &oteldemo.CreditCardInfo{
			CreditCardNumber: visaNumber, CreditCardCvv: 672, CreditCardExpirationYear: 2030, CreditCardExpirationMonth: 1,
		},
	}
	if diff := cmp.Diff(want, got.request, protocmp.Transform()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{string(orderID)}, got.keys); diff != "" {
		t.Errorf("idempotency-key (-want +got):\n%s", diff)
	}
}

func TestFailedChargeReadsLikeTheStockShopsToTheByte(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Credit card info is invalid.",
		"Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted.",
		"The credit card (ending 0454) expired on 1/2030.",
		"Payment request failed. Invalid token. demo.loyalty.level=gold",
	} {
		_, err := paymentOf(t, nil, status.Error(codes.Unknown, text)).Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
		wantError(t, err, order.ErrRefused)
		if want := "could not charge the card: rpc error: code = Unknown desc = " + text; err.Error() != want {
			t.Errorf("error is %q, want %q", err, want)
		}
		if status.Code(err) != codes.Unknown {
			t.Errorf("code is %v, want Unknown", status.Code(err))
		}
	}
}

func TestOnlyARefusalSaysThatNoMoneyMoved(t *testing.T) {
	t.Parallel()
	certain := map[codes.Code]error{
		codes.Canceled:           nil,
		codes.Unknown:            nil, // with a text of its own
		codes.InvalidArgument:    order.ErrRefused,
		codes.DeadlineExceeded:   nil,
		codes.NotFound:           order.ErrUnsent,
		codes.AlreadyExists:      nil, // a charge of this order, perhaps
		codes.PermissionDenied:   order.ErrUnsent,
		codes.ResourceExhausted:  nil,
		codes.FailedPrecondition: order.ErrRefused,
		codes.Aborted:            nil,
		codes.OutOfRange:         order.ErrRefused,
		codes.Unimplemented:      order.ErrUnsent,
		codes.Internal:           nil,
		codes.Unavailable:        nil,
		codes.DataLoss:           nil,
		codes.Unauthenticated:    order.ErrUnsent,
		codes.Code(99):           nil,
	}
	for code, want := range certain {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			_, err := paymentOf(t, nil, status.Error(code, "why")).Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
			if want := fmt.Sprintf("could not charge the card: rpc error: code = %v desc = "+withheld, code); err == nil || err.Error() != want {
				t.Errorf("error is %v, want %q", err, want)
			}
			for _, kind := range []error{order.ErrRefused, order.ErrUnsent} {
				if errors.Is(err, kind) != (kind == want) {
					t.Errorf("%q is %t, want %v", kind, kind != want, want)
				}
			}
		})
	}
}

func TestAnswerWithoutReceiptLeavesTheChargeInDoubt(t *testing.T) {
	t.Parallel()
	for name, transaction := range map[string]string{
		"empty":    "",
		"blank":    " ",
		"too much": strings.Repeat("x", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payment := paymentOf(t, &oteldemo.ChargeResponse{TransactionId: transaction}, nil)
			_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
			wantPassing(t, err, "could not charge the card: rpc error: code = ")
			wantNoCard(t, err.Error())
		})
	}
}

// wantNoCard fails the test when a text holds the number of visa or its CVV.
func wantNoCard(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(digits(text), digits(visaNumber)) || strings.Contains(text, "672") {
		t.Errorf("the card leaks: %q", text)
	}
}

func TestPaymentThatEchoesTheCardDoesNotLeakIt(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unknown, codes.InvalidArgument, codes.Internal} {
		for _, format := range []string{
			"bad card %v",
			"Sorry, we cannot process %v",
			"Payment request failed. Invalid token. %v",
		} {
			for _, echo := range []string{
				visaNumber, "4432801561520454", "4432 8015 6152 0454", "4432.8015.6152.0454", "4432\u20138015\u00a061520454",
				`{"number":"4432801561520454","cvv":672}`, "cvv 672 of 4432801561520454",
			} {
				failure := status.New(code, fmt.Sprintf(format, echo))
				if detailed, err := failure.WithDetails(&oteldemo.CreditCardInfo{CreditCardNumber: visaNumber}); err == nil {
					failure = detailed
				}
				_, err := paymentOf(t, nil, failure.Err()).Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
				wantError(t, err, nil, "could not charge the card: rpc error: code = "+code.String())
				wantNoCard(t, fmt.Sprintf("%v %+v %v", err, err, status.Convert(err).Proto()))
			}
		}
	}
}

func TestChargeThatNeverLeftIsUnsent(t *testing.T) {
	t.Parallel()
	for name, dialer := range map[string]grpc.DialOption{
		"connection refused": grpc.WithContextDialer(nil),
		"name unknown": grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payment := newPayment(t, nettest.Reserve(t), switches{}, patient, dialer)
			_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
			wantError(t, err, order.ErrUnsent, "could not charge the card: rpc error: code = Unavailable desc = ")
			if errors.Is(err, order.ErrRefused) {
				t.Error("nobody has refused")
			}
		})
	}
}

func TestChargeWhoseConnectionIsNeverMadeIsUnsent(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]grpc.DialOption{
		"name server hangs": grpc.WithResolvers(unresolved{}),
		"network hangs": grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				payment := newPayment(t, map[string]string{
					"name server hangs": "unresolved:///payment",
					"network hangs":     "passthrough:///payment",
				}[name], switches{}, usual, opt)
				start := time.Now()
				_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
				wantError(t, err, order.ErrUnsent)
				if got := time.Since(start); got > 8*time.Second {
					t.Errorf("the answer came after %v, want 8s at most", got)
				}
			})
		})
	}
}

func TestChargeThatIsNotAnsweredInTimeIsInDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // or time might be up before the charge has left
		payment := newPayment(t, "passthrough:///payment", switches{}, usual, inMemory(t, paymentService{
			charge: func(ctx context.Context, _ *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}.register))
		_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
		wantPassing(t, err, "could not charge the card: rpc error: code = DeadlineExceeded")
	})
}

// cuttable is a listener whose connections can all be cut.
type cuttable struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cuttable) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

func TestChargeThatIsCutOffIsInDoubtAndNotRepeated(t *testing.T) {
	t.Parallel()
	listener := &cuttable{Listener: listen(t, "127.0.0.1:0")}
	var charges atomic.Int32
	nettest.ServeGRPCOn(t, listener, paymentService{
		charge: func(context.Context, *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
			charges.Add(1)
			listener.cut()
			return &oteldemo.ChargeResponse{TransactionId: "T"}, nil
		},
	}.register)
	payment := newPayment(t, listener.Addr().String(), switches{}, patient)
	_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
	wantPassing(t, err, "could not charge the card: rpc error: code = Unavailable")
	if got := charges.Load(); got != 1 {
		t.Errorf("charged %d times, want once", got)
	}
}

func TestUnreachablePaymentIsUnavailableAtOnceAlsoWhenTheNameServerHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dialled := make(chan string, 1000)
		hang := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			dialled <- addr
			<-ctx.Done()
			return nil, ctx.Err()
		})
		payment := newPayment(t, "127.0.0.1:1", switches{unreachable: true}, usual, hang)
		start := time.Now()
		_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
		wantError(t, err, order.ErrUnsent, "could not charge the card: rpc error: code = Unavailable")
		if got := time.Since(start); got > time.Second {
			t.Errorf("the answer came after %v, want 1s at most", got)
		}
		time.Sleep(time.Minute) // virtual: the connection is given up soon after the last charge
		attempts := len(dialled)
		time.Sleep(time.Hour)
		if got := <-dialled; got != "badAddress:50051" {
			t.Errorf("dialled %q, want badAddress:50051", got)
		}
		if late := len(dialled) + 1 - attempts; late != 0 {
			t.Errorf("dialled %d times after a minute of no charges, want never", late)
		}
	})
}
