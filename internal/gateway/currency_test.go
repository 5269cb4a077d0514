package gateway

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

func currencyOf(t *testing.T, reply *oteldemo.Money, err error) *Currency {
	t.Helper()
	return NewCurrency(dial(t, nettest.ServeGRPC(t, currencyService{
		convert: func(context.Context, *oteldemo.CurrencyConversionRequest) (*oteldemo.Money, error) { return reply, err },
	}.register)), patient)
}

func TestExchangeConvertsByItsAnswer(t *testing.T) {
	t.Parallel()
	currency := currencyOf(t, &oteldemo.Money{CurrencyCode: "CAD", Units: 136, Nanos: 500_000_001}, nil)
	got, err := currency.Convert(t.Context(), amount(t, "USD", 100, 0), "CAD")
	if want := amount(t, "CAD", 136, 500_000_001); got != want || err != nil {
		t.Errorf("100 USD is %v, %v; want %v", got, err, want)
	}
}

func TestExchangeIsNotAskedWhenThereIsNothingToConvert(t *testing.T) {
	t.Parallel()
	currency := currencyOf(t, nil, errors.New("asked"))
	for _, from := range []money.Amount{amount(t, "CAD", 57, 80_000_000), money.Zero("USD")} {
		got, err := currency.Convert(t.Context(), from, "CAD")
		if want := amount(t, "CAD", from.Units(), from.Nanos()); got != want || err != nil {
			t.Errorf("%v is %v, %v; want %v", from, got, err, want)
		}
	}
}

func TestConversionThatCannotBeIsImplausible(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]*oteldemo.Money{
		"nothing":            {},
		"another currency":   {CurrencyCode: "EUR", Units: 130},
		"the same currency":  {CurrencyCode: "USD", Units: 100},
		"zero":               {CurrencyCode: "CAD"}, // what stock says of a currency that it does not know
		"negative":           {CurrencyCode: "CAD", Units: -136},
		"mixed signs":        {CurrencyCode: "CAD", Units: 136, Nanos: -1},
		"nanos of 2·10⁹":     {CurrencyCode: "CAD", Units: 136, Nanos: 2_000_000_000},
		"10¹⁸":               {CurrencyCode: "CAD", Units: 1_000_000_000_000_000_000},
		"the least":          {CurrencyCode: "CAD", Units: math.MinInt64},
		"next to nothing":    {CurrencyCode: "CAD", Nanos: 9_000},
		"just too high":      {CurrencyCode: "CAD", Units: 1_000_000_001},
		"a currency, spaced": {CurrencyCode: "CAD ", Units: 136},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := currencyOf(t, reply, nil).Convert(t.Context(), amount(t, "USD", 100, 0), "CAD")
			wantError(t, err, order.ErrImplausible, `currency: convert USD 100.00 to "CAD"`)
		})
	}
}

func TestConversionIsBelievedUpToItsBounds(t *testing.T) {
	t.Parallel()
	for _, reply := range []*oteldemo.Money{
		{CurrencyCode: "CAD", Units: 1_000_000_000},
		{CurrencyCode: "CAD", Nanos: 10_000},
	} {
		got, err := currencyOf(t, reply, nil).Convert(t.Context(), amount(t, "USD", 100, 0), "CAD")
		if want := amount(t, "CAD", reply.GetUnits(), reply.GetNanos()); got != want || err != nil {
			t.Errorf("100 USD is %v, %v; want %v", got, err, want)
		}
	}
}

func TestConversionToACurrencyThatTheExchangeRefusesIsRefused(t *testing.T) {
	t.Parallel()
	currency := currencyOf(t, nil, status.Error(codes.InvalidArgument, "unknown"))
	_, err := currency.Convert(t.Context(), amount(t, "USD", 1, 0), "XXX")
	wantError(t, err, order.ErrRefused, `currency: convert USD 1.00 to "XXX"`)
}

func TestExchangeFailureMayPass(t *testing.T) {
	t.Parallel()
	_, err := currencyOf(t, nil, status.Error(codes.Internal, "no rates")).Convert(t.Context(), amount(t, "USD", 1, 0), "CAD")
	wantPassing(t, err, "currency: convert", "no rates")
}

func TestSupportedCurrenciesAreThoseThatCanBeCodes(t *testing.T) {
	t.Parallel()
	supported := func(codes ...string) ([]money.Currency, error) {
		return NewCurrency(dial(t, nettest.ServeGRPC(t, currencyService{
			list: func(context.Context) (*oteldemo.GetSupportedCurrenciesResponse, error) {
				return &oteldemo.GetSupportedCurrenciesResponse{CurrencyCodes: codes}, nil
			},
		}.register)), patient).Supported(t.Context())
	}
	got, err := supported("USD", "", "usd", "EURO", "JP", "CAD", "<b>")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]money.Currency{"USD", "CAD"}, got); diff != "" {
		t.Errorf("supported currencies (-want +got):\n%s", diff)
	}
	_, err = supported("usd")
	wantError(t, err, order.ErrImplausible, "currency: list the supported currencies")
}

func TestExchangeWithoutAListHasNone(t *testing.T) {
	t.Parallel()
	server := nettest.ServeGRPC(t, func(s *grpc.Server) {
		oteldemo.RegisterCurrencyServiceServer(s, oteldemo.UnimplementedCurrencyServiceServer{})
	})
	list, err := NewCurrency(dial(t, server), patient).Supported(t.Context())
	if len(list) > 0 || err != nil {
		t.Errorf("supported are %v, %v; want none, without an error", list, err)
	}
}
