package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/pricing"
	"checkout/internal/wire"
)

// maxRate is the highest rate of exchange that is believed, and 1/maxRate the lowest. The strongest currency buys some
// four million of the weakest one today.
const maxRate = 1e7

// Currency is pricing.Currency over the shop's currency service.
type Currency struct {
	client  oteldemo.CurrencyServiceClient
	timeout time.Duration
}

var _ pricing.Currency = (*Currency)(nil)

// NewCurrency makes a Currency of a connection to the currency service; t.Read bounds a call.
func NewCurrency(conn grpc.ClientConnInterface, t Timeouts) *Currency {
	return &Currency{oteldemo.NewCurrencyServiceClient(conn), t.Read}
}

// Supported is the currencies that the service lists, without what is not three capital letters. The list is no proof: the
// demo's service adds what it is asked for. It is empty if the service has no such method, as in older shops. It returns
// order.ErrImplausible if nothing of the list remains.
func (e *Currency) Supported(ctx context.Context) ([]money.Currency, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	reply, err := e.client.GetSupportedCurrencies(ctx, &oteldemo.Empty{})
	if status.Code(err) == codes.Unimplemented {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("currency: list the supported currencies: %w", err)
	}
	currencies := make([]money.Currency, 0, len(reply.GetCurrencyCodes()))
	for _, code := range reply.GetCurrencyCodes() {
		if len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			currencies = append(currencies, money.Currency(code))
		}
	}
	if len(currencies) == 0 {
		return nil, fmt.Errorf("currency: list the supported currencies: %w: none", order.ErrImplausible)
	}
	return currencies, nil
}

// Convert is the amount in the currency to, unrounded. Nothing is asked when there is nothing to convert. It returns
// order.ErrRefused for a currency that the currency service says it does not know, and order.ErrImplausible for an answer in
// another currency, of another sign or at a rate beyond 10⁷ either way.
func (e *Currency) Convert(ctx context.Context, amount money.Amount, to money.Currency) (money.Amount, error) {
	if amount.Currency() == to {
		return amount, nil
	}
	if amount.Sign() == 0 {
		return money.Zero(to), nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	reply, err := e.client.Convert(ctx, &oteldemo.CurrencyConversionRequest{From: wire.Money(amount), ToCode: string(to)})
	if status.Code(err) == codes.InvalidArgument {
		return money.Amount{}, fmt.Errorf("currency: convert %s to %q: %w: %w", amount, to, order.ErrRefused, err)
	}
	if err != nil {
		return money.Amount{}, fmt.Errorf("currency: convert %s to %q: %w", amount, to, err)
	}
	converted, err := converted(amount, to, reply)
	if err != nil {
		return money.Amount{}, fmt.Errorf("currency: convert %s to %q: %w", amount, to, err)
	}
	return converted, nil
}

// converted checks the service's answer.
func converted(amount money.Amount, to money.Currency, reply *oteldemo.Money) (money.Amount, error) {
	result, err := wire.Amount(reply)
	if err != nil {
		return money.Amount{}, fmt.Errorf("%w: %w", order.ErrImplausible, err)
	}
	if result.Currency() != to {
		return money.Amount{}, fmt.Errorf("%w: an amount in %q", order.ErrImplausible, result.Currency())
	}
	// A double is exact enough for this.
	if rate := result.Float64() / amount.Float64(); rate < 1/maxRate || rate > maxRate {
		return money.Amount{}, fmt.Errorf("%w: %s, a rate of %.3g", order.ErrImplausible, result, rate)
	}
	return result, nil
}
