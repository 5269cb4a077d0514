package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
	"checkout/internal/order"
	"checkout/internal/test/cardtest"
	"checkout/internal/test/nettest"
)

// overhear is an option of a client that keeps the errors which telemetry sees.
func overhear(into *[]string) grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := next(ctx, method, req, reply, conn, opts...)
		*into = append(*into, status.Convert(err).Message())
		return err
	})
}

func TestWhatMayHoldTheCardIsWithheldFromEverybody(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Credit card info is invalid. cvv 672": "Credit card info is invalid." + withheld,
		"cvv 0672 is wrong":                    withheld,
		"4432x8015x6152x0454":                  withheld,
		"Sorry, we cannot process Njcy credit cards. Only VISA or MasterCard is accepted.":        "Sorry, we cannot process " + withheld,
		"The credit card (ending 0672) expired on 1/2030.":                                        "The credit card (ending " + withheld,
		"The credit card (ending 0454) expired on 6/72.":                                          "The credit card (ending " + withheld,
		"Payment request failed. Invalid token. ６７２":                                              "Payment request failed. Invalid token." + withheld,
		"another card, 5555 5555 5555 4444":                                                       withheld,
		"The credit card (ending 0454) expired on 1/2030.":                                        "The credit card (ending 0454) expired on 1/2030.",
		"Sorry, we cannot process diners club credit cards. Only VISA or MasterCard is accepted.": "Sorry, we cannot process diners club credit cards. Only VISA or MasterCard is accepted.",
		"insufficient funds": withheld,
		"Payment request failed. Invalid token. app.loyalty.level=gold":                                 "Payment request failed. Invalid token. app.loyalty.level=gold",
		"Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted. Not \xff 672": "Sorry, we cannot process " + withheld,
	} {
		var overheard []string
		payment := newPayment(t, nettest.ServeGRPC(t, paymentService{
			charge: func(context.Context, *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
				return nil, status.Error(codes.Unknown, text)
			},
		}.register), switches{}, patient, overhear(&overheard))
		_, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa)
		if got := strings.TrimPrefix(err.Error(), "could not charge the card: rpc error: code = Unknown desc = "); got != want {
			t.Errorf("of %q is left %q, want %q", text, got, want)
		}
		if len(overheard) != 1 || overheard[0] != want {
			t.Errorf("telemetry sees %q of %q, want %q", overheard, text, want)
		}
		if refusal := stockRefusal(text) != ""; errors.Is(err, order.ErrRefused) != refusal {
			t.Errorf("%q is a refusal: %v, want %v", text, !refusal, refusal)
		}
	}
}

func TestStocksRefusalsStayWhateverTheCVV(t *testing.T) {
	t.Parallel()
	for _, cvv := range []int32{0, 1, 454, 2030, 30} {
		for _, text := range []string{
			"Credit card info is invalid.",
			"Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted.",
			"The credit card (ending 0454) expired on 1/2030.",
			"Payment request failed. Invalid token.",
		} {
			_, err := paymentOf(t, nil, status.Error(codes.Unknown, text)).Charge(t.Context(), orderID, amount(t, "USD", 1, 0), creditcard.New(visaNumber, cvv, 2030, 1))
			wantError(t, err, order.ErrRefused)
			if want := "could not charge the card: rpc error: code = Unknown desc = " + text; err.Error() != want {
				t.Errorf("CVV %d: error is %q, want %q", cvv, err, want)
			}
		}
	}
}

func TestATransactionIDThatMayHoldTheCardIsReplacedByTheOrdersID(t *testing.T) {
	t.Parallel()
	ids := []string{"443280", "80156152-0454", "tx of ada@leak.example", "a b", "T\x00", strings.Repeat("x", 65), "5555555555554444"}
	for _, s := range slices.Concat(cardtest.Spellings("4432801561520454"), cardtest.Spellings("672")) {
		if len(s.Text) > 5 || !strings.HasPrefix(s.Name, "hexadecimal") { // such are in every second id
			ids = append(ids, s.Text, "tx-"+s.Text)
		}
	}
	for _, s := range cardtest.Obscure("4432801561520454")[:2] {
		ids = append(ids, "tx-"+s.Text)
	}
	for _, id := range ids {
		if got, err := transactionID(orderID, id, visa); got != string(orderID) || err != nil {
			t.Errorf("the transaction id %q is kept as %q, %v", id, got, err)
		}
	}
}

func TestATransactionIDIsKept(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"01890a5d-ac96-774b-bcce-b302099a8057", "T-1", "tx_7UhSN1zuXS", "ch_3MmlLrLkdIwHu7ix0snN0B15", "8515131751004933", "1732628000123456",
		"hYy9pRFVxpDsO1FB05SunFWUe9JZY", "6461731521426399003473", "2f6a1c0d9be84f6ab0a3f1f7be7a0f5b2f6a1c0d9be84f6ab0a3f1f7be7a0f5b", "order.17",
	} {
		payment := chargedAs(t, id)
		if got, err := payment.Charge(t.Context(), orderID, amount(t, "USD", 1, 0), visa); got != id || err != nil {
			t.Errorf("the charge %q is kept as %q, %v", id, got, err)
		}
		if got, _, err := payment.Lookup(t.Context(), orderID); got != id || err != nil {
			t.Errorf("the charge %q is looked up as %q, %v", id, got, err)
		}
	}
}

func TestWhatTheLedgerSaysIsWithheld(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"the bank is closed":             withheld,
		"cvv 672 is wrong":               withheld,
		"error reading from server: EOF": "error reading from server: EOF",
	} {
		var overheard []string
		payment := newPayment(t, nettest.ServeGRPC(t, ledgerService{
			reverse: func(context.Context, *checkoutv1.ReverseRequest) (*checkoutv1.ReverseResponse, error) {
				return nil, status.Error(codes.Internal, text)
			},
		}.register), switches{}, patient, overhear(&overheard))
		err := payment.Reverse(t.Context(), orderID)
		wantError(t, err, nil, "code = Internal desc = "+want)
		if len(overheard) != 1 || overheard[0] != want {
			t.Errorf("telemetry sees %q of %q, want %q", overheard, text, want)
		}
	}
}

func TestATrackingIDIsKeptWithoutTheCustomersAddress(t *testing.T) {
	t.Parallel()
	const kept = "tx of ***, 7"
	addr, _ := replying(t, 200, `{"tracking_id":"tx of ada@leak.example, 7"}`)
	if got, err := newShipping(t, addr, patient).Ship(t.Context(), orderID, home, lines); got != kept || err != nil {
		t.Errorf("the parcel is %q, %v; want %q", got, err, kept)
	}
}

func TestATransactionThatMayBeACardIsLookedUpUnderTheOrdersID(t *testing.T) {
	t.Parallel()
	for _, transaction := range []string{"4432 8015 6152 0454", "5555555555554444", "tx-5555-5555-5555-4444", "４４３２", "T\x00", strings.Repeat("x", 65)} {
		if got, _, err := chargedAs(t, transaction).Lookup(t.Context(), orderID); got != string(orderID) || err != nil {
			t.Errorf("the transaction %q is looked up as %q, %v; want the order's id", transaction, got, err)
		}
	}
}

// chargedAs is a Payment whose service calls every charge by this transaction.
func chargedAs(t *testing.T, transaction string) *Payment {
	t.Helper()
	return newPayment(t, nettest.ServeGRPC(t, func(s *grpc.Server) {
		paymentService{charge: func(context.Context, *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
			return &oteldemo.ChargeResponse{TransactionId: transaction}, nil
		}}.register(s)
		ledgerService{lookup: func(context.Context, *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error) {
			return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_CHARGED, TransactionId: transaction}, nil
		}}.register(s)
	}), switches{}, patient)
}

func TestACardInTheTextOfAnyServiceIsMasked(t *testing.T) {
	t.Parallel()
	_, err := catalogOf(t, nil, status.Error(codes.Internal, "no "+visaNumber)).Product(t.Context(), "A")
	wantError(t, err, nil, "no ****-****-****-****")
	addr, _ := replying(t, http.StatusOK, `{"cost_usd":{"currency_code":"USD","units":1,"nanos":4432801561520454}}`)
	_, err = newShipping(t, addr, patient).Quote(t.Context(), order.Address{}, nil)
	wantError(t, err, order.ErrImplausible, "****************")
}

// The whole of what payment can say of twelve cards, at the one place where it comes in.
func TestNothingOfACardIsLeftWhateverPaymentSays(t *testing.T) {
	t.Parallel()
	const said = "zqzqzq "
	for i, number := range cardtest.Numbers("45") {
		cvv := int32(7001 + 37*i)
		request := &oteldemo.ChargeRequest{CreditCard: &oteldemo.CreditCardInfo{
			CreditCardNumber: number, CreditCardCvv: cvv, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1,
		}}
		for _, s := range slices.Concat(cardtest.Spellings(number), cardtest.Spellings(fmt.Sprint(cvv)), cardtest.Obscure(number), cardtest.Obscure(fmt.Sprint(cvv))) {
			for code := codes.Canceled; code <= codes.Unauthenticated+1; code++ {
				for _, before := range []string{"", "Credit card info is invalid. "} {
					err := withholdCard(t.Context(), oteldemo.PaymentService_Charge_FullMethodName, request, nil, nil,
						func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
							departures{}.HandleRPC(ctx, &stats.OutHeader{})
							return status.Error(code, before+said+s.Text)
						})
					if text := fmt.Sprint(err, status.Convert(err).Proto()); strings.Contains(text, said) || status.Code(err) != code {
						t.Fatalf("%v, %s: left is %q", code, s.Name, text)
					}
				}
			}
		}
	}
}
