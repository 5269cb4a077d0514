package demo

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
)

// Currency converts money at fixed rates: exactly, rounded to the nearest billionth. It knows currencies with 0, 2 and
// 3 minor digits (ISO 4217).
type Currency struct {
	*Server
	oteldemo.UnimplementedCurrencyServiceServer

	rates map[string]*big.Rat // units for one euro; never changed
}

func newCurrency(n *Server) (*Currency, func() error) {
	c := &Currency{Server: n, rates: make(map[string]*big.Rat)}
	for code, rate := range rates() {
		c.rates[code], _ = new(big.Rat).SetString(rate) // a test reads them all
	}
	return c, n.serveGRPC(func(r grpc.ServiceRegistrar) { oteldemo.RegisterCurrencyServiceServer(r, c) })
}

// GetSupportedCurrencies implements oteldemo.CurrencyServiceServer.
func (c *Currency) GetSupportedCurrencies(context.Context, *oteldemo.Empty) (*oteldemo.GetSupportedCurrenciesResponse, error) {
	return &oteldemo.GetSupportedCurrenciesResponse{CurrencyCodes: slices.Sorted(maps.Keys(c.rates))}, nil
}

// Convert implements oteldemo.CurrencyServiceServer. It refuses unknown currencies with INVALID_ARGUMENT and results
// that do not fit with OUT_OF_RANGE.
func (c *Currency) Convert(_ context.Context, req *oteldemo.CurrencyConversionRequest) (*oteldemo.Money, error) {
	amount, to := req.GetFrom(), req.GetToCode()
	fromRate, toRate := c.rates[amount.GetCurrencyCode()], c.rates[to]
	if fromRate == nil || toRate == nil {
		return nil, status.Errorf(codes.InvalidArgument, "no rate from %q to %q", amount.GetCurrencyCode(), to)
	}
	exact := new(big.Rat).SetInt(nanosOf(amount))
	exact.Mul(exact, toRate).Quo(exact, fromRate)
	converted, err := moneyOf(exact, to)
	if err != nil {
		return nil, status.Error(codes.OutOfRange, err.Error())
	}
	return converted, nil
}

// nanosOf is an amount in billionths.
func nanosOf(m *oteldemo.Money) *big.Int {
	nanos := big.NewInt(m.GetUnits())
	nanos.Mul(nanos, big.NewInt(nanosPerUnit))
	return nanos.Add(nanos, big.NewInt(int64(m.GetNanos())))
}

// moneyOf is an amount of so many billionths, rounded half away from zero.
func moneyOf(nanos *big.Rat, code string) (*oteldemo.Money, error) {
	twice := new(big.Int).Lsh(nanos.Num(), 1)
	if nanos.Sign() < 0 {
		twice.Sub(twice, nanos.Denom())
	} else {
		twice.Add(twice, nanos.Denom())
	}
	rounded := twice.Quo(twice, new(big.Int).Lsh(nanos.Denom(), 1))
	units, rest := new(big.Int).QuoRem(rounded, big.NewInt(nanosPerUnit), new(big.Int))
	if !units.IsInt64() {
		return nil, fmt.Errorf("%s does not fit into 64 bits of %s", units, code)
	}
	return &oteldemo.Money{CurrencyCode: code, Units: units.Int64(), Nanos: int32(rest.Int64())}, nil //nolint:gosec // below a billion
}

// rates are what one euro was worth on some day.
func rates() map[string]string {
	return map[string]string{
		"EUR": "1", "USD": "1.0847", "CAD": "1.4712", "GBP": "0.8423", "CHF": "0.9561", "AUD": "1.6523", "NZD": "1.7931",
		"SEK": "11.4205", "NOK": "11.6135", "DKK": "7.4601", "PLN": "4.2953", "CZK": "25.312", "HUF": "395.13", "RON": "4.9752",
		"BGN": "1.9558", "TRY": "37.508", "BRL": "6.2114", "MXN": "21.914", "ZAR": "19.823", "INR": "91.307", "CNY": "7.8612",
		"HKD": "8.4405", "SGD": "1.4513", "THB": "37.214", "MYR": "4.8122", "IDR": "17230.5", "PHP": "62.51", "ILS": "4.0317",
		"JPY": "163.42", "KRW": "1492.55", "ISK": "149.7", // no minor unit
		"KWD": "0.33312", "BHD": "0.40892", "TND": "3.3621", // thousandths
	}
}
