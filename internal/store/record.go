package store

import (
	"errors"
	"fmt"
	"math"
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
	userID    string
	key       string
	settled   int64 // when it first was, in Unix milliseconds, as all times; 0: it is not
	delivered order.Delivery
	attempts  int
	created   int64
	changed   int64
	body      []byte
	read      int64 // when the store read it
}

// fields are what a row is scanned into.
func (r *record) fields() []any {
	return []any{
		&r.id, &r.state, &r.epoch, &r.userID, &r.key, &r.settled,
		&r.delivered, &r.attempts, &r.created, &r.changed, &r.body, &r.read,
	}
}

// encode makes the record of o. What is a column is not repeated in the body.
func encode(o *order.Order) (*record, error) {
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
		History:       encodeHistory(o.History),
		ShipAttempts:  int32(min(o.ShipAttempts, math.MaxInt32)), //nolint:gosec // it is not negative
		Undeliverable: uint32(o.Undeliverable),
		Skipped:       uint32(o.Skipped),
		Refunded:      encodeSome(o.Refunded),
		RefundTo:      encodeSome(o.RefundTo),
	})
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return &record{
		id:        o.ID,
		state:     o.State,
		epoch:     o.Epoch,
		userID:    o.UserID,
		key:       o.Key,
		delivered: o.Delivered | o.Undeliverable | o.Skipped, // so that the backlog counts what is pending and no more
		attempts:  o.Attempts,
		created:   o.Created.UnixMilli(),
		changed:   o.Changed.UnixMilli(),
		body:      body,
	}, nil
}

// millis is hold in milliseconds, and atRest for order.AtRest.
func millis(hold time.Duration) int64 {
	if hold == order.UntilResolved {
		return math.MaxInt64
	}
	return hold.Milliseconds()
}

func encodeHistory(history []order.HistoryEntry) []*recordv1.Event {
	encoded := make([]*recordv1.Event, len(history))
	for i, e := range history {
		encoded[i] = &recordv1.Event{
			At:      e.At.UnixMilli(),
			State:   int32(e.State),
			Step:    text(string(e.Step)),
			Problem: text(e.Problem),
			Times:   int32(min(e.Times, math.MaxInt32)), //nolint:gosec // it is not negative
			By:      text(e.By),
		}
		if !e.Last.IsZero() {
			encoded[i].Last = e.Last.UnixMilli()
		}
	}
	return encoded
}

func encodeItems(items []order.Item) []*recordv1.Item {
	encoded := make([]*recordv1.Item, len(items))
	for i, item := range items {
		encoded[i] = &recordv1.Item{ProductId: text(item.ProductID), Quantity: item.Quantity, Cost: encodeAmount(item.Cost)}
	}
	return encoded
}

func encodeAmount(a money.Amount) *recordv1.Money {
	return &recordv1.Money{Currency: string(a.Currency()), Units: a.Units(), Nanos: a.Nanos()}
}

// encodeSome is an amount, unless it is the zero Amount.
func encodeSome(a money.Amount) *recordv1.Money {
	if a == (money.Amount{}) {
		return nil
	}
	return encodeAmount(a)
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

// same reports whether r and other state the same facts of one order. Times, reasons and history
// may differ from one try to the next.
func (r *record) same(other *record) bool {
	return r.id == other.id && r.state == other.state && r.epoch == other.epoch &&
		r.userID == other.userID && r.key == other.key && r.delivered == other.delivered && r.created == other.created &&
		sameBody(r.body, other.body)
}

func sameBody(a, b []byte) bool {
	var messages [2]recordv1.Order
	for i, body := range [][]byte{a, b} {
		if proto.Unmarshal(body, &messages[i]) != nil {
			return false
		}
		messages[i].Reason, messages[i].History = "", nil
	}
	return proto.Equal(&messages[0], &messages[1]) // the bytes of equal messages may differ
}

// decodeAll are the orders that can be read, and of the others an error.
func decodeAll(records []record) ([]*order.Order, error) {
	orders := make([]*order.Order, 0, len(records))
	var unreadable []error
	for i := range records {
		o, err := records[i].decode()
		if err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		orders = append(orders, o)
	}
	return orders, errors.Join(unreadable...)
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
		Key:      r.key,
		Currency: money.Currency(body.GetCurrency()),
		Email:    order.EmailAddress(body.GetEmail()),
		Address: order.Address{
			Street:  body.GetAddress().GetStreet(),
			City:    body.GetAddress().GetCity(),
			State:   body.GetAddress().GetState(),
			Country: body.GetAddress().GetCountry(),
			ZipCode: body.GetAddress().GetZipCode(),
		},
		TransactionID: body.GetTransactionId(),
		TrackingID:    body.GetTrackingId(),
		ShipAttempts:  int(body.GetShipAttempts()),
		Delivered:     r.delivered &^ order.Delivery(body.GetUndeliverable()|body.GetSkipped()), //nolint:gosec // as it was encoded
		Undeliverable: order.Delivery(body.GetUndeliverable()),                                  //nolint:gosec // as it was encoded
		Skipped:       order.Delivery(body.GetSkipped()),                                        //nolint:gosec // as it was encoded
		Reason:        body.GetReason(),
		Attempts:      r.attempts,
		History:       decodeHistory(body.GetHistory()),
		Created:       time.UnixMilli(r.created).UTC(),
		Changed:       time.UnixMilli(r.changed).UTC(),
		Trace:         body.GetTrace(),
	}
	if err := decodeAmounts(o, &body); err != nil {
		return nil, fmt.Errorf("decode order %s: %w", r.id, err)
	}
	return o, nil
}

func decodeHistory(encoded []*recordv1.Event) []order.HistoryEntry {
	history := make([]order.HistoryEntry, len(encoded))
	for i, e := range encoded {
		history[i] = order.HistoryEntry{
			At:      time.UnixMilli(e.GetAt()).UTC(),
			State:   order.State(e.GetState()), //nolint:gosec // as it was encoded
			Step:    order.Step(e.GetStep()),
			Problem: e.GetProblem(),
			Times:   int(e.GetTimes()),
			By:      e.GetBy(),
		}
		if e.GetLast() != 0 {
			history[i].Last = time.UnixMilli(e.GetLast()).UTC()
		}
	}
	return history
}

func decodeAmounts(o *order.Order, body *recordv1.Order) (err error) {
	if o.Shipping, err = decodeAmount(body.GetShipping()); err != nil {
		return fmt.Errorf("shipping: %w", err)
	}
	if o.Total, err = decodeAmount(body.GetTotal()); err != nil {
		return fmt.Errorf("total: %w", err)
	}
	if o.Refunded, err = decodeSome(body.GetRefunded()); err != nil {
		return fmt.Errorf("refunded: %w", err)
	}
	if o.RefundTo, err = decodeSome(body.GetRefundTo()); err != nil {
		return fmt.Errorf("refund to: %w", err)
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

// decodeSome is the amount that encodeSome has encoded.
func decodeSome(m *recordv1.Money) (money.Amount, error) {
	if m == nil {
		return money.Amount{}, nil
	}
	return decodeAmount(m)
}

func decodeAmount(m *recordv1.Money) (money.Amount, error) {
	return money.New(money.Currency(m.GetCurrency()), m.GetUnits(), m.GetNanos())
}
