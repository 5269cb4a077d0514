package gateway

import (
	"context"
	"fmt"
	"time"

	"checkout/internal/order"
)

// Email is order.Email over the shop's e-mail service.
type Email struct {
	http    *HTTP
	url     string
	timeout time.Duration
}

var _ order.Email = (*Email)(nil)

// NewEmail makes an Email of the e-mail service at addr, host:port or a URL; t.Email bounds a call.
func NewEmail(addr string, http *HTTP, t Timeouts) (*Email, error) {
	base, err := baseURL(addr)
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	return &Email{http, base.JoinPath("send_order_confirmation").String(), t.Email}, nil
}

// confirmation is the body of the request.
type confirmation struct {
	Email string    `json:"email"`
	Order jsonOrder `json:"order"`
}

type jsonOrder struct {
	OrderID    string      `json:"order_id"`
	TrackingID string      `json:"shipping_tracking_id"`
	Shipping   jsonAmount  `json:"shipping_cost"`
	Address    jsonAddress `json:"shipping_address"`
	Items      []jsonItem  `json:"items"`
}

type jsonItem struct {
	Item jsonLine   `json:"item"`
	Cost jsonAmount `json:"cost"`
}

func newConfirmation(o *order.Order) confirmation {
	items := make([]jsonItem, len(o.Items))
	for i, item := range o.Items {
		items[i] = jsonItem{jsonLine(item.Line), amountJSON(item.Cost)}
	}
	return confirmation{string(o.Email), jsonOrder{
		OrderID:    string(o.ID),
		TrackingID: o.TrackingID,
		Shipping:   amountJSON(o.Shipping),
		Address:    jsonAddress(o.Address),
		Items:      items,
	}}
}

// Confirm sends the confirmation, with the order's id as Idempotency-Key. It returns order.ErrRefused if the service rejects it
// for good. No error contains the customer's address.
func (m *Email) Confirm(ctx context.Context, o *order.Order) error {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	if err := m.http.post(ctx, m.url, o.ID, newConfirmation(o), nil); err != nil {
		return fmt.Errorf("email: confirm order %s: %w", o.ID, err)
	}
	return nil
}
