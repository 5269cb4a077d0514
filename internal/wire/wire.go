// Package wire converts between the shop's protobuf messages and the types of order and money. The answer of PlaceOrder and the
// event on Kafka are the same message.
package wire

import (
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/order"
)

// Amount is the amount that m holds. It fails with money.ErrInvalid for nil and for an m that is no amount;
// its currency is as m says and not checked.
func Amount(m *oteldemo.Money) (money.Amount, error) {
	if m == nil {
		return money.Amount{}, money.ErrInvalid
	}
	return money.New(money.Currency(m.GetCurrencyCode()), m.GetUnits(), m.GetNanos())
}

// Price is an amount as people read it, such as "EUR 8.99".
func Price(m *oteldemo.Money) string {
	amount, err := Amount(m)
	if err != nil {
		return "?"
	}
	return amount.String()
}

// Sum is what items and other amounts cost together, as people read it; the cost of an item is that of a piece.
func Sum(items []*oteldemo.OrderItem, others ...*oteldemo.Money) string {
	var total money.Amount
	var failures []error
	add := func(m *oteldemo.Money, pieces int32) {
		cost, err := Amount(m)
		if err == nil {
			cost, err = cost.Mul(pieces)
		}
		if err == nil && total != (money.Amount{}) {
			cost, err = total.Add(cost)
		}
		total, failures = cost, append(failures, err)
	}
	for _, item := range items {
		add(item.GetCost(), item.GetItem().GetQuantity())
	}
	for _, m := range others {
		add(m, 1)
	}
	if errors.Join(failures...) != nil {
		return "?"
	}
	return total.String()
}

// Times is the price of so many pieces, as people read it.
func Times(m *oteldemo.Money, pieces int32) string {
	return Sum([]*oteldemo.OrderItem{{Cost: m, Item: &oteldemo.CartItem{Quantity: pieces}}})
}

// Money is a as a message.
func Money(a money.Amount) *oteldemo.Money {
	return &oteldemo.Money{CurrencyCode: string(a.Currency()), Units: a.Units(), Nanos: a.Nanos()}
}

// Address is the address that a holds; of nil, the empty one.
func Address(a *oteldemo.Address) order.Address {
	return order.Address{
		Street:  a.GetStreetAddress(),
		City:    a.GetCity(),
		State:   a.GetState(),
		Country: a.GetCountry(),
		ZipCode: a.GetZipCode(),
	}
}

// OrderResult is the order in the answer to the caller and in the event.
func OrderResult(o *order.Order) *oteldemo.OrderResult {
	items := make([]*oteldemo.OrderItem, len(o.Items))
	for i, item := range o.Items {
		items[i] = &oteldemo.OrderItem{
			Item: &oteldemo.CartItem{ProductId: item.ProductID, Quantity: item.Quantity},
			Cost: Money(item.Cost),
		}
	}
	return &oteldemo.OrderResult{
		OrderId:            string(o.ID),
		ShippingTrackingId: o.TrackingID,
		ShippingCost:       Money(o.Shipping),
		ShippingAddress: &oteldemo.Address{
			StreetAddress: o.Address.Street,
			City:          o.Address.City,
			State:         o.Address.State,
			Country:       o.Address.Country,
			ZipCode:       o.Address.ZipCode,
		},
		Items: items,
	}
}

// StateName is the name of a state in telemetry and on the command line.
func StateName(s checkoutv1.OrderState) string { return strings.ToLower(s.String()) }

// ErrorInfo is what checkout says of a failed call besides its status, or nil.
func ErrorInfo(err error) *errdetails.ErrorInfo {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// UnfinishedStates are the states that an order does not stay in.
func UnfinishedStates() []checkoutv1.OrderState {
	return states(func(s order.State) bool { return !s.Final() })
}

// OperatorStates are the states in which an order may require an operator.
func OperatorStates() []checkoutv1.OrderState {
	return states(func(s order.State) bool { return s.RequiresOperator(false) })
}

func states(are func(order.State) bool) (all []checkoutv1.OrderState) {
	for _, s := range order.States() {
		if are(s) {
			all = append(all, checkoutv1.OrderState(s))
		}
	}
	return all
}
