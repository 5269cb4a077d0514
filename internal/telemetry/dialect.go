package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"checkout/internal/order"
)

// The dialects: the demo has renamed what it tells of an order, and dashboards of both ages are about.
const (
	dialectApp  = "app"  // the names of the demo's release 2.1
	dialectDemo = "demo" // the names of later ones
	dialectBoth = "both"
)

// dialect is the one of that name. What is not understood is a warning, here as elsewhere.
func (e env) dialect(name string) string {
	switch name {
	case dialectApp, dialectDemo, dialectBoth:
		return name
	case "":
	default:
		e.log.Warn("names of telemetry are unknown, those of the release 2.1 are used", "names", name)
	}
	return dialectApp
}

// dialect is what facts are called: a name each, two, or none.
type dialect struct {
	names  [facts][]attribute.Key
	failed []string // the events that tell why an order was not placed
}

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

// tell is what is known, in the words of the dialect.
func (d *dialect) tell(all ...known) []attribute.KeyValue {
	return d.add(make([]attribute.KeyValue, 0, len(all)*len(d.names[orderID])), all...)
}

// add is attrs, and what is known beside.
func (d *dialect) add(attrs []attribute.KeyValue, all ...known) []attribute.KeyValue {
	for _, k := range all {
		for _, name := range d.names[k.fact] {
			attrs = append(attrs, attribute.KeyValue{Key: name, Value: k.value})
		}
	}
	return attrs
}

// customer is who orders, as they say before anything is checked.
func (d *dialect) customer(req order.Request) []attribute.KeyValue {
	return d.tell(userID.is(redact(req.UserID)), userCurrency.is(redact(string(req.Currency))))
}

// placed is what is known of an order that was placed.
func (d *dialect) placed(o *order.Order) []attribute.KeyValue {
	all := [...]known{
		orderID.is(string(o.ID)),
		shippingAmount.amount(o.Shipping.Float64()),
		orderAmount.amount(o.Total.Float64()),
		orderItems.count(len(o.Items)),
		shippingTracking.is(o.TrackingID),
	}
	if o.TrackingID == "" { // shipping is late
		return d.tell(all[:len(all)-1]...)
	}
	return d.tell(all[:]...)
}

// prepared is what is known of an order that was priced.
func (d *dialect) prepared(o *order.Order) []attribute.KeyValue {
	return d.tell(shippingAmount.amount(o.Shipping.Float64()), cartItems.count(o.Quantity()), orderItems.count(len(o.Items)))
}
