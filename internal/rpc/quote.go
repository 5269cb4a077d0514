package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/metadata"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

// Quote prices the user's cart.
func (c *checkout) Quote(ctx context.Context, req *checkoutv1.QuoteRequest) (*checkoutv1.QuoteResponse, error) {
	ctx, cancel := c.inTime(ctx)
	defer cancel()
	o, err := c.quoter.Quote(ctx, order.Request{
		UserID: req.GetUserId(), Currency: money.Currency(req.GetUserCurrency()), Address: wire.Address(req.GetAddress()),
	})
	if err != nil {
		if failure, ok := errors.AsType[*order.Error](err); ok {
			failure.MayBePaid = false // there is nothing to pay
		}
		return nil, answer(err)
	}
	result := wire.OrderResult(o)
	return &checkoutv1.QuoteResponse{
		Items: result.GetItems(), ShippingCost: result.GetShippingCost(), Total: wire.Money(o.Total), ExpectedTotal: o.Total.String(),
	}, nil
}

// expectedTotal is the total in the call's metadata, or the zero Amount.
func expectedTotal(ctx context.Context) (money.Amount, error) {
	text, given, err := single(ctx, ExpectedTotalHeader)
	if err != nil || !given {
		return money.Amount{}, err
	}
	total, err := money.Parse(text)
	if err != nil {
		return money.Amount{}, malformed(ExpectedTotalHeader, `is not an amount of ISO 4217, such as "EUR 123.45"`)
	}
	return total, nil
}

// single is the value of the call's metadata of that name, and whether there is one.
func single(ctx context.Context, name string) (value string, given bool, err error) {
	values := metadata.ValueFromIncomingContext(ctx, name)
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	}
	return "", false, malformed(name, "is given more than once")
}

func malformed(field, problem string) error {
	return &order.Error{Kind: order.ErrInvalid, Violations: []order.Violation{{Field: field, Problem: problem}}}
}
