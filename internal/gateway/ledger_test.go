package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

// ledgerOf is a Payment whose ledger answers every look-up like this.
func ledgerOf(t *testing.T, reply *checkoutv1.LookupResponse, err error) *Payment {
	t.Helper()
	return newPayment(t, nettest.ServeGRPC(t, ledgerService{
		lookup: func(context.Context, *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error) {
			return reply, err
		},
		reverse: func(context.Context, *checkoutv1.ReverseRequest) (*checkoutv1.ReverseResponse, error) {
			return &checkoutv1.ReverseResponse{}, err
		},
	}.register), switches{}, patient)
}

func TestLookupFindsTheChargeThatStands(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply *checkoutv1.LookupResponse
		want  string
	}{
		"nothing so far":  {&checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_NONE}, ""},
		"a charge":        {&checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_CHARGED, TransactionId: "T-1"}, "T-1"},
		"one given back":  {&checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_REVERSED, TransactionId: "T-1"}, ""},
		"never, for ever": {&checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_REVERSED}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transaction, _, err := ledgerOf(t, test.reply, nil).Lookup(t.Context(), orderID)
			if transaction != test.want || err != nil {
				t.Errorf("look-up finds %q, %v; want %q", transaction, err, test.want)
			}
		})
	}
}

func TestLookupTellsWhatWasCharged(t *testing.T) {
	t.Parallel()
	reply := &checkoutv1.LookupResponse{
		State: checkoutv1.LookupResponse_CHARGED, TransactionId: "T-1", Amount: &oteldemo.Money{CurrencyCode: "EUR", Units: 1},
	}
	if _, charged, err := ledgerOf(t, reply, nil).Lookup(t.Context(), orderID); charged != amount(t, "EUR", 1, 0) || err != nil {
		t.Errorf("charged are %v, %v; want EUR 1.00", charged, err)
	}
}

func TestLookupThatCannotBeIsImplausibleAndMayPass(t *testing.T) {
	t.Parallel()
	charged := func(transaction string) *checkoutv1.LookupResponse {
		return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_CHARGED, TransactionId: transaction}
	}
	for name, reply := range map[string]*checkoutv1.LookupResponse{
		"no state":                     {},
		"no state, but a transaction":  {TransactionId: "T-1"},
		"a state to come":              {State: 9, TransactionId: "T-1"},
		"a charge without transaction": charged(""),
		"a blank transaction":          charged(" "),
		"an amount that is none":       {State: checkoutv1.LookupResponse_CHARGED, TransactionId: "T-1", Amount: &oteldemo.Money{CurrencyCode: "EUR", Units: 1, Nanos: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transaction, _, err := ledgerOf(t, reply, nil).Lookup(t.Context(), orderID)
			wantError(t, err, order.ErrImplausible, "payment: look up the charge of order "+string(orderID))
			wantPassing(t, err)
			if transaction != "" {
				t.Errorf("it finds %q all the same", transaction)
			}
		})
	}
}

func TestLedgerIsAskedUnderTheOrdersID(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 2)
	payment := newPayment(t, nettest.ServeGRPC(t, ledgerService{
		lookup: func(_ context.Context, r *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error) {
			keys <- r.GetIdempotencyKey()
			return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_NONE}, nil
		},
		reverse: func(_ context.Context, r *checkoutv1.ReverseRequest) (*checkoutv1.ReverseResponse, error) {
			keys <- r.GetIdempotencyKey()
			return &checkoutv1.ReverseResponse{}, nil
		},
	}.register), switches{}, patient)
	_, _, err := payment.Lookup(t.Context(), orderID)
	if err := errors.Join(err, payment.Reverse(t.Context(), orderID)); err != nil {
		t.Fatal(err)
	}
	if looked, reversed := <-keys, <-keys; looked != string(orderID) || reversed != string(orderID) {
		t.Errorf("keys are %q and %q, want the order's id", looked, reversed)
	}
}

func TestOnlyARefusalSaysThatNothingWasRefunded(t *testing.T) {
	t.Parallel()
	total, err := money.New("CHF", 2, 500_000_000)
	if err != nil {
		t.Fatal(err)
	}
	refused := []codes.Code{codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented}
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		payment := newPayment(t, nettest.ServeGRPC(t, ledgerService{refund: func(r *checkoutv1.RefundRequest) error {
			if r.GetIdempotencyKey() != string(orderID) || r.GetAmount().GetUnits() != 2 {
				t.Errorf("asked for %v", r)
			}
			return status.Error(code, "why")
		}}.register), switches{}, patient)
		err := payment.Refund(t.Context(), orderID, total)
		if (err == nil) != (code == codes.OK) || errors.Is(err, order.ErrRefused) != slices.Contains(refused, code) {
			t.Errorf("%v is told as %v", code, err)
		}
	}
}

// ask asks the ledger both things and hands each error to want.
func ask(t *testing.T, payment *Payment, want func(t *testing.T, err error)) {
	t.Helper()
	for name, call := range map[string]func() error{
		"look up": func() error { _, _, err := payment.Lookup(t.Context(), orderID); return err },
		"reverse": func() error { return payment.Reverse(t.Context(), orderID) },
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			wantPassing(t, err, "payment: "+name+" the charge of order "+string(orderID))
			want(t, err)
		})
	}
}

func TestAPaymentServiceWithoutALedgerIsRecognized(t *testing.T) {
	t.Parallel()
	stock := newPayment(t, nettest.ServeGRPC(t, paymentService{}.register), switches{}, patient)
	ask(t, stock, func(t *testing.T, err error) {
		wantError(t, err, nil, "does not serve checkout.v1.PaymentLedger, which PAYMENT_MODE=keyed needs")
	})
}

func TestNoStatusOfTheLedgerSaysMoreThanThatNothingIsKnown(t *testing.T) {
	t.Parallel()
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		ask(t, ledgerOf(t, nil, status.Error(code, "why")), func(t *testing.T, err error) {
			if status.Code(err) != code || !strings.HasSuffix(err.Error(), "desc = "+withheld) {
				t.Errorf("error is %v, want %v without its text", err, code)
			}
		})
	}
}

func TestSilentLedgerIsGivenUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	silent := silent(t)
	for name, test := range map[string]struct {
		timeouts Timeouts
		call     func(*Payment) error
	}{
		"look up, as long as a read": {
			Timeouts{Read: soon.Read, Charge: time.Hour},
			func(p *Payment) error { _, _, err := p.Lookup(t.Context(), orderID); return err },
		},
		"reverse, as long as a charge": {
			Timeouts{Read: time.Hour, Charge: soon.Charge},
			func(p *Payment) error { return p.Reverse(t.Context(), orderID) },
		},
	} {
		err := test.call(newPayment(t, silent, switches{}, test.timeouts))
		wantPassing(t, err)
		if got := status.Code(err); got != codes.DeadlineExceeded {
			t.Errorf("%s: ends with %v, want DeadlineExceeded", name, err)
		}
	}
}

func TestUnreachablePaymentHasNoLedgerEither(t *testing.T) {
	t.Parallel()
	there := nettest.ServeGRPC(t, ledgerService{}.register) // would panic if it were asked
	ask(t, newPayment(t, there, switches{unreachable: true}, patient), func(t *testing.T, err error) {
		if status.Code(err) != codes.Unavailable {
			t.Errorf("error is %v, want Unavailable", err)
		}
	})
}

func TestLedgerThatNamesTheCardDoesNotLeakIt(t *testing.T) {
	t.Parallel()
	failure := status.New(codes.Internal, "no refund to "+visaNumber+", 672")
	if detailed, err := failure.WithDetails(&oteldemo.CreditCardInfo{CreditCardNumber: visaNumber}); err == nil {
		failure = detailed
	}
	ask(t, ledgerOf(t, nil, failure.Err()), func(t *testing.T, err error) {
		wantNoCard(t, strings.ReplaceAll(fmt.Sprintf("%v %v", err, status.Convert(err).Proto()), string(orderID), ""))
	})
}

// The order's way through keyed payment, with the service of the demo shop.
func TestReversedOrderCanNeverBeCharged(t *testing.T) {
	t.Parallel()
	shop := demotest.Start(t)
	shop.Payment.HonourKeys(true)
	payment := newPayment(t, shop.Payment.Address(), switches{}, patient)
	lookup := func(want string) {
		t.Helper()
		if got, _, err := payment.Lookup(t.Context(), orderID); got != want || err != nil {
			t.Errorf("look-up finds %q, %v; want %q", got, err, want)
		}
	}

	lookup("")
	transaction, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 57, 80_000_000), visa)
	if err != nil {
		t.Fatal(err)
	}
	lookup(transaction)
	for range 2 {
		if err := payment.Reverse(t.Context(), orderID); err != nil {
			t.Error(err)
		}
	}
	lookup("")
	_, err = payment.Charge(t.Context(), orderID, amount(t, "USD", 57, 80_000_000), visa)
	wantError(t, err, order.ErrRefused, "code = FailedPrecondition")
	if net := shop.Ledgers().Orders[string(orderID)].Net(); net != 0 {
		t.Errorf("%d net charges, want none", net)
	}
}
