package floor

import (
	"context"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"checkout/gen/oteldemo"
)

// inTurn places an order by one call after the other, in the order of the stock service.
func (n *services) inTurn(ctx context.Context, req *oteldemo.PlaceOrderRequest) (*oteldemo.OrderResult, error) {
	cart, err := n.cart.GetCart(ctx, &oteldemo.GetCartRequest{UserId: req.GetUserId()})
	if err != nil {
		return nil, err
	}
	costs := make([]*oteldemo.Money, len(cart.GetItems()))
	for i, item := range cart.GetItems() {
		product, err := n.catalog.GetProduct(ctx, &oteldemo.GetProductRequest{Id: item.GetProductId()})
		if err != nil {
			return nil, err
		}
		if costs[i], err = n.convert(ctx, product.GetPriceUsd(), req.GetUserCurrency()); err != nil {
			return nil, err
		}
	}
	p := newParcel(req.GetAddress(), cart.GetItems())
	quote, err := n.quote(ctx, p)
	if err != nil {
		return nil, err
	}
	if quote, err = n.convert(ctx, quote, req.GetUserCurrency()); err != nil {
		return nil, err
	}
	o, err := n.pay(ctx, req, p, result(req, cart, costs, quote))
	if err != nil {
		return nil, err
	}
	// The stock service answers only when both are done, and whether they were or not.
	_ = n.confirm(ctx, req.GetEmail(), o)
	_ = n.publish(ctx, o)
	return o, nil
}

// sideBySide places an order by the calls of the real service, no deeper than their answers depend on each other.
func (n *services) sideBySide(ctx context.Context, req *oteldemo.PlaceOrderRequest) (*oteldemo.OrderResult, error) {
	cart, err := n.cart.GetCart(ctx, &oteldemo.GetCartRequest{UserId: req.GetUserId()})
	if err != nil {
		return nil, err
	}
	costs := make([]*oteldemo.Money, len(cart.GetItems()))
	var quote *oteldemo.Money
	p := newParcel(req.GetAddress(), cart.GetItems())

	prices, asking := errgroup.WithContext(ctx)
	n.read(prices, func() (err error) {
		quote, err = n.quote(asking, p)
		return err
	})
	n.read(prices, func() error {
		_, err := n.currency.GetSupportedCurrencies(asking, &oteldemo.Empty{})
		return err
	})
	for i, item := range cart.GetItems() {
		n.read(prices, func() error {
			product, err := n.catalog.GetProduct(asking, &oteldemo.GetProductRequest{Id: item.GetProductId()})
			costs[i] = product.GetPriceUsd()
			return err
		})
	}
	if err := prices.Wait(); err != nil {
		return nil, err
	}
	if to := req.GetUserCurrency(); to != quote.GetCurrencyCode() {
		if quote, err = n.convertAll(ctx, costs, quote, to); err != nil {
			return nil, err
		}
	}
	o, err := n.pay(ctx, req, p, result(req, cart, costs, quote))
	if err != nil {
		return nil, err
	}
	n.after.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterTime)
		defer cancel()
		_ = n.confirm(ctx, req.GetEmail(), o) // the order is answered: nobody could be told
		_ = n.publish(ctx, o)
	})
	return o, nil
}

// read makes a call beside others when the process has a place for it.
func (n *services) read(beside *errgroup.Group, call func() error) {
	n.reads <- struct{}{}
	beside.Go(func() error {
		defer func() { <-n.reads }()
		return call()
	})
}

// convertAll converts all costs in place and the quote.
func (n *services) convertAll(ctx context.Context, costs []*oteldemo.Money, quote *oteldemo.Money, to string) (*oteldemo.Money, error) {
	conversions, asking := errgroup.WithContext(ctx)
	n.read(conversions, func() (err error) {
		quote, err = n.convert(asking, quote, to)
		return err
	})
	for i, cost := range costs {
		n.read(conversions, func() (err error) {
			costs[i], err = n.convert(asking, cost, to)
			return err
		})
	}
	err := conversions.Wait()
	return quote, err
}

func (n *services) convert(ctx context.Context, m *oteldemo.Money, to string) (*oteldemo.Money, error) {
	return n.currency.Convert(ctx, &oteldemo.CurrencyConversionRequest{From: m, ToCode: to})
}

// pay charges the card, sends the parcel and empties the cart.
func (n *services) pay(ctx context.Context, req *oteldemo.PlaceOrderRequest, p parcel, o *oteldemo.OrderResult) (_ *oteldemo.OrderResult, err error) {
	if _, err := n.payment.Charge(ctx, &oteldemo.ChargeRequest{Amount: total(o), CreditCard: req.GetCreditCard()}); err != nil {
		return nil, err
	}
	if o.ShippingTrackingId, err = n.ship(ctx, p); err != nil {
		return nil, err
	}
	_, err = n.cart.EmptyCart(ctx, &oteldemo.EmptyCartRequest{UserId: req.GetUserId()})
	return o, err
}

func result(req *oteldemo.PlaceOrderRequest, cart *oteldemo.Cart, costs []*oteldemo.Money, quote *oteldemo.Money) *oteldemo.OrderResult {
	o := &oteldemo.OrderResult{
		OrderId: uuid.NewString(), ShippingCost: quote, ShippingAddress: req.GetAddress(),
		Items: make([]*oteldemo.OrderItem, len(costs)),
	}
	for i, item := range cart.GetItems() {
		o.Items[i] = &oteldemo.OrderItem{Item: item, Cost: costs[i]}
	}
	return o
}

// total adds up without looking: what the demo shop sells fits.
func total(o *oteldemo.OrderResult) *oteldemo.Money {
	const nanosPerUnit = 1_000_000_000
	units, nanos := o.GetShippingCost().GetUnits(), int64(o.GetShippingCost().GetNanos())
	for _, ordered := range o.GetItems() {
		quantity := int64(ordered.GetItem().GetQuantity())
		units += quantity * ordered.GetCost().GetUnits()
		nanos += quantity * int64(ordered.GetCost().GetNanos())
	}
	return &oteldemo.Money{
		CurrencyCode: o.GetShippingCost().GetCurrencyCode(),
		Units:        units + nanos/nanosPerUnit,
		Nanos:        int32(nanos % nanosPerUnit),
	}
}
