package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"checkout/internal/order"
	"checkout/internal/redact"
)

// The dialects: sets of names of an order's attributes. The demo renamed them after release 2.1.
const (
	dialectApp  = "app"  // release 2.1
	dialectDemo = "demo" // later releases
	dialectBoth = "both" // for migration
)

// dialect is the names of each fact: one, two, or none.
type dialect struct {
	names  [facts][]attribute.Key
	failed []string // the span events of an order that was not placed
}

// newDialect is the dialect of that name; of any other it is dialectApp.
func newDialect(name string) dialect {
	var d dialect
	app, demo := name != dialectDemo, name == dialectDemo || name == dialectBoth
	for f, t := range terms() {
		if app && t.app != "" {
			d.names[f] = append(d.names[f], t.app)
		}
		if demo && t.demo != "" && (!app || t.demo != t.app) {
			d.names[f] = append(d.names[f], t.demo)
		}
	}
	if app {
		d.failed = append(d.failed, "error")
	}
	if demo {
		d.failed = append(d.failed, "exception")
	}
	return d
}

// known is a fact with its value.
type known struct {
	fact  fact
	value attribute.Value
}

func (f fact) is(text string) known       { return known{f, attribute.StringValue(text)} }
func (f fact) count(n int) known          { return known{f, attribute.IntValue(n)} }
func (f fact) amount(value float64) known { return known{f, attribute.Float64Value(value)} }

// attributes returns facts under the names of the dialect.
func (d *dialect) attributes(all ...known) []attribute.KeyValue {
	return d.add(make([]attribute.KeyValue, 0, len(all)*len(d.names[orderID])), all...)
}

// add appends facts to attrs.
func (d *dialect) add(attrs []attribute.KeyValue, all ...known) []attribute.KeyValue {
	for _, k := range all {
		for _, name := range d.names[k.fact] {
			attrs = append(attrs, attribute.KeyValue{Key: name, Value: k.value})
		}
	}
	return attrs
}

// customer is the attributes of a request, before it is validated. A field that holds the request's card is not shown, whatever
// digits are around its number.
func (d *dialect) customer(req order.Request) []attribute.KeyValue {
	shown := func(text string) string {
		if req.Card.NumberIn(text) {
			return "***"
		}
		return redact.Text(text)
	}
	return d.attributes(userID.is(shown(req.UserID)), userCurrency.is(shown(string(req.Currency))))
}

// placed is the attributes of an order that was placed.
func (d *dialect) placed(o *order.Order) []attribute.KeyValue {
	all := [...]known{
		orderID.is(string(o.ID)),
		shippingAmount.amount(o.Shipping.Float64()),
		orderAmount.amount(o.Total.Float64()),
		orderItems.count(len(o.Items)),
		shippingTracking.is(o.TrackingID),
	}
	if o.TrackingID == "" { // not shipped yet
		return d.attributes(all[:len(all)-1]...)
	}
	return d.attributes(all[:]...)
}

// prepared is the attributes of an order that was priced.
func (d *dialect) prepared(o *order.Order) []attribute.KeyValue {
	return d.attributes(shippingAmount.amount(o.Shipping.Float64()), cartItems.count(o.Quantity()), orderItems.count(len(o.Items)))
}
