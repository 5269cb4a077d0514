package store

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/recordv1"
	"checkout/internal/money"
	"checkout/internal/order"
)

// record is a row of the table orders.
type record struct {
	id        order.ID
	state     order.State
	epoch     int64
	due       int64 // Unix milliseconds, as all times
	userID    string
	delivered order.Delivery
	attempts  int
	created   int64
	changed   int64
	body      []byte
}

// encode makes the record of o, due when hold is over. What is a column is not repeated in the body.
func encode(o *order.Order, hold time.Duration) (*record, error) {
	body, err := proto.Marshal(&recordv1.Order{
		Currency: string(o.Currency),
		Email:    string(o.Email),
		Address: &recordv1.Address{
			Street:  o.Address.Street,
			City:    o.Address.City,
			State:   o.Address.State,
			Country: o.Address.Country,
			ZipCode: o.Address.ZipCode,
		},
		Items:         encodeItems(o.Items),
		Shipping:      encodeAmount(o.Shipping),
		Total:         encodeAmount(o.Total),
		TransactionId: o.TransactionID,
		TrackingId:    o.TrackingID,
		Reason:        text(o.Reason),
		Trace:         texts(o.Trace),
	})
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return &record{
		id:        o.ID,
		state:     o.State,
		epoch:     o.Epoch,
		due:       dueIn(hold),
		userID:    o.UserID,
		delivered: o.Delivered,
		attempts:  o.Attempts,
		created:   o.Created.UnixMilli(),
		changed:   o.Changed.UnixMilli(),
		body:      body,
	}, nil
}

// dueIn is the time when hold is over, in Unix milliseconds.
func dueIn(hold time.Duration) int64 { return time.Now().Add(hold).UnixMilli() }

func encodeItems(items []order.Item) []*recordv1.Item {
	// Two allocations, however many items there are.
	encoded := make([]*recordv1.Item, len(items))
	rows := make([]struct {
		item recordv1.Item
		cost recordv1.Money
	}, len(items))
	for i, item := range items {
		row := &rows[i]
		setAmount(&row.cost, item.Cost)
		row.item.ProductId, row.item.Quantity, row.item.Cost = item.ProductID, item.Quantity, &row.cost
		encoded[i] = &row.item
	}
	return encoded
}

func encodeAmount(a money.Amount) *recordv1.Money {
	m := new(recordv1.Money)
	setAmount(m, a)
	return m
}

func setAmount(m *recordv1.Money, a money.Amount) {
	m.Currency, m.Units, m.Nanos = string(a.Currency()), a.Units(), a.Nanos()
}

// texts is m with its keys and values as text makes them: m itself where they are so already, as nearly always.
func texts(m map[string]string) map[string]string {
	for k, v := range m {
		if utf8.ValidString(k) && utf8.ValidString(v) {
			continue
		}
		valid := make(map[string]string, len(m))
		for k, v := range m {
			valid[text(k)] = text(v)
		}
		return valid
	}
	return m
}

// text is s as protobuf takes it. What comes from other people's headers and errors may not be UTF-8, and a paid order
// must not go unrecorded for that.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// same tells whether r and other record the same order in the same condition, whatever the time that they are due.
func (r *record) same(other *record) bool {
	var body, otherBody recordv1.Order
	return r.id == other.id && r.state == other.state && r.epoch == other.epoch && r.userID == other.userID &&
		r.delivered == other.delivered && r.attempts == other.attempts &&
		r.created == other.created && r.changed == other.changed &&
		proto.Unmarshal(r.body, &body) == nil && proto.Unmarshal(other.body, &otherBody) == nil &&
		proto.Equal(&body, &otherBody) // the bytes of equal messages may differ
}

// decode is the order that r records. Its times are in UTC, to the millisecond.
func (r *record) decode() (*order.Order, error) {
	var body recordv1.Order
	if err := proto.Unmarshal(r.body, &body); err != nil {
		return nil, fmt.Errorf("decode order %s: %w", r.id, err)
	}
	o := &order.Order{
		ID:       r.id,
		Epoch:    r.epoch,
		State:    r.state,
		UserID:   r.userID,
		Currency: money.Currency(body.GetCurrency()),
		Email:    order.Email(body.GetEmail()),
		Address: order.Address{
			Street:  body.GetAddress().GetStreet(),
			City:    body.GetAddress().GetCity(),
			State:   body.GetAddress().GetState(),
			Country: body.GetAddress().GetCountry(),
			ZipCode: body.GetAddress().GetZipCode(),
		},
		TransactionID: body.GetTransactionId(),
		TrackingID:    body.GetTrackingId(),
		Delivered:     r.delivered,
		Reason:        body.GetReason(),
		Attempts:      r.attempts,
		Created:       time.UnixMilli(r.created).UTC(),
		Changed:       time.UnixMilli(r.changed).UTC(),
		Trace:         body.GetTrace(),
	}
	if err := decodeAmounts(o, &body); err != nil {
		return nil, fmt.Errorf("decode order %s: %w", r.id, err)
	}
	return o, nil
}

func decodeAmounts(o *order.Order, body *recordv1.Order) (err error) {
	if o.Shipping, err = decodeAmount(body.GetShipping()); err != nil {
		return fmt.Errorf("shipping: %w", err)
	}
	if o.Total, err = decodeAmount(body.GetTotal()); err != nil {
		return fmt.Errorf("total: %w", err)
	}
	for _, item := range body.GetItems() {
		cost, err := decodeAmount(item.GetCost())
		if err != nil {
			return fmt.Errorf("cost of %s: %w", item.GetProductId(), err)
		}
		line := order.Line{ProductID: item.GetProductId(), Quantity: item.GetQuantity()}
		o.Items = append(o.Items, order.Item{Line: line, Cost: cost})
	}
	return nil
}

func decodeAmount(m *recordv1.Money) (money.Amount, error) {
	return money.New(money.Currency(m.GetCurrency()), m.GetUnits(), m.GetNanos())
}
