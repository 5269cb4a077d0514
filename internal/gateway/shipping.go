package gateway

import (
	"context"
	"fmt"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/pricing"
	"checkout/internal/redact"
)

// Shipping is order.Shipping and pricing.Shipping over the shop's shipping service.
type Shipping struct {
	http          *HTTP
	quote, ship   string // URLs
	read, deliver time.Duration
}

var (
	_ order.Shipping   = (*Shipping)(nil)
	_ pricing.Shipping = (*Shipping)(nil)
)

// NewShipping makes a Shipping of the shipping service at addr, host:port or a URL; t.Read bounds a quote, t.Ship a
// shipment.
func NewShipping(addr string, http *HTTP, t Timeouts) (*Shipping, error) {
	base, err := baseURL(addr)
	if err != nil {
		return nil, fmt.Errorf("shipping: %w", err)
	}
	return &Shipping{
		http:    http,
		quote:   base.JoinPath("get-quote").String(),
		ship:    base.JoinPath("ship-order").String(),
		read:    t.Read,
		deliver: t.Ship,
	}, nil
}

// parcel is the body of both requests, so that the quote tests what the shipment sends.
type parcel struct {
	Address jsonAddress `json:"address"`
	Items   []jsonLine  `json:"items"`
}

func newParcel(to order.Address, lines []order.Line) parcel {
	items := make([]jsonLine, len(lines))
	for i, line := range lines {
		items[i] = jsonLine(line)
	}
	return parcel{jsonAddress(to), items}
}

// Quote is the price of shipping the lines, in US dollars; it may be zero. It returns order.ErrRefused when they cannot
// be shipped there, and order.ErrImplausible for an answer that is no price.
func (c *Shipping) Quote(ctx context.Context, to order.Address, lines []order.Line) (money.Amount, error) {
	ctx, cancel := context.WithTimeout(ctx, c.read)
	defer cancel()
	var answer struct {
		Cost *jsonAmount `json:"cost_usd"`
	}
	if err := c.http.post(ctx, c.quote, "", newParcel(to, lines), &answer); err != nil {
		return money.Amount{}, fmt.Errorf("shipping: quote, lines: %d: %w", len(lines), err)
	}
	cost, err := quoted(answer.Cost)
	if err != nil {
		return money.Amount{}, fmt.Errorf("shipping: quote, lines: %d: %w", len(lines), err)
	}
	return cost, nil
}

// quoted checks the price that a quote names.
func quoted(cost *jsonAmount) (money.Amount, error) {
	if cost == nil {
		return money.Amount{}, fmt.Errorf("%w: no cost_usd", order.ErrImplausible)
	}
	price, err := money.New(money.Currency(cost.Currency), cost.Units, cost.Nanos)
	switch {
	case err != nil:
		return money.Amount{}, fmt.Errorf("%w: %w", order.ErrImplausible, err)
	case price.Currency() != usd:
		return money.Amount{}, fmt.Errorf("%w: a quote in %q", order.ErrImplausible, price.Currency())
	case price.Sign() < 0:
		return money.Amount{}, fmt.Errorf("%w: a quote of %s", order.ErrImplausible, price)
	}
	return price, nil
}

// Ship ships the order, with its id as Idempotency-Key, and returns the tracking id. It returns order.ErrRefused if the service
// rejects this parcel for good, and order.ErrUnsent if there was no connection or the service has not processed the request.
// After any other error, also for an answer without a usable tracking id, the parcel may have been shipped.
func (c *Shipping) Ship(ctx context.Context, id order.ID, to order.Address, lines []order.Line) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.deliver)
	defer cancel()
	var answer struct {
		TrackingID string `json:"tracking_id"`
	}
	if err := c.http.post(ctx, c.ship, id, newParcel(to, lines), &answer); err != nil {
		return "", fmt.Errorf("shipping: ship order %s: %w", id, err)
	}
	if err := checkID("tracking id", answer.TrackingID); err != nil {
		return "", fmt.Errorf("shipping: ship order %s: %w", id, err)
	}
	return redact.Emails(answer.TrackingID), nil // the rest still finds the parcel
}
