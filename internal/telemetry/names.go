package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"

	"checkout/internal/order"
)

// Every name that this service emits stands in this file; the runtime's metrics and the resource are the SDK's own.

// scope is the instrumentation scope of all spans, metrics and log records.
const scope = "checkout"

// Spans and span events. Others are named by what they are about: "oteldemo.CheckoutService/PlaceOrder", "POST",
// "orders publish".
const (
	spanPrepare = "prepareOrderItemsAndShippingQuoteFromCart"

	eventPrepared = "prepared"
	eventCharged  = "charged"
	eventShipped  = "shipped"
)

// servedMethods are the methods of this service's own that are observed, by their full names.
func servedMethods() []string {
	return []string{"/oteldemo.CheckoutService/PlaceOrder"}
}

// Attributes of the semantic conventions that are the same in both dialects.
const (
	errorType        attribute.Key = "error.type"
	exceptionMessage attribute.Key = "exception.message"

	serverAddress          attribute.Key = "server.address"
	serverPort             attribute.Key = "server.port"
	networkPeerAddress     attribute.Key = "network.peer.address"
	networkPeerPort        attribute.Key = "network.peer.port"
	networkTransport       attribute.Key = "network.transport"
	networkProtocolVersion attribute.Key = "network.protocol.version"
	peerService            attribute.Key = "peer.service"

	httpRequestMethod attribute.Key = "http.request.method"
	httpStatusCode    attribute.Key = "http.response.status_code"
	urlFull           attribute.Key = "url.full"

	messagingSystem      attribute.Key = "messaging.system"
	messagingDestination attribute.Key = "messaging.destination.name"
	messagingOperation   attribute.Key = "messaging.operation"
	kafkaPartition       attribute.Key = "messaging.kafka.destination.partition"
	kafkaOffset          attribute.Key = "messaging.kafka.message.offset"
	kafkaSuccess         attribute.Key = "messaging.kafka.producer.success"
	kafkaDuration        attribute.Key = "messaging.kafka.producer.duration_ms"
)

// Metrics.
const (
	httpDuration     = "http.client.request.duration"
	httpRequestSize  = "http.client.request.body.size"
	httpResponseSize = "http.client.response.body.size"
)

// secondBuckets are the boundaries that the conventions ask of durations in seconds.
func secondBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

// dialect is what an order's facts are called.
type dialect struct {
	userID, currency                 attribute.Key
	orderID, orderAmount, orderItems attribute.Key
	cartItems                        attribute.Key
	shippingAmount, trackingID       attribute.Key
	transactionID                    attribute.Key
	step, state                      attribute.Key
	errorEvent                       string
}

// appDialect are the names of the demo's release 2.1.
func appDialect() dialect {
	return dialect{
		userID:         "app.user.id",
		currency:       "app.user.currency",
		orderID:        "app.order.id",
		orderAmount:    "app.order.amount",
		orderItems:     "app.order.items.count",
		cartItems:      "app.cart.items.count",
		shippingAmount: "app.shipping.amount",
		trackingID:     "app.shipping.tracking.id",
		transactionID:  "app.payment.transaction.id",
		step:           "app.order.step",
		state:          "app.order.state",
		errorEvent:     "error",
	}
}

// customer is who orders, as they say before anything is checked.
func (d dialect) customer(req order.Request) []attribute.KeyValue {
	return []attribute.KeyValue{
		d.userID.String(redact(req.UserID)),
		d.currency.String(redact(string(req.Currency))),
	}
}

// placed is what is known of an order that was placed.
func (d dialect) placed(o *order.Order) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		d.orderID.String(string(o.ID)),
		d.shippingAmount.Float64(o.Shipping.Float64()),
		d.orderAmount.Float64(o.Total.Float64()),
		d.orderItems.Int(len(o.Items)),
	}
	if o.TrackingID != "" { // shipping may be late
		attrs = append(attrs, d.trackingID.String(o.TrackingID))
	}
	return attrs
}

// prepared is what is known of an order that was priced.
func (d dialect) prepared(o *order.Order) []attribute.KeyValue {
	return []attribute.KeyValue{
		d.shippingAmount.Float64(o.Shipping.Float64()),
		d.cartItems.Int(o.Quantity()),
		d.orderItems.Int(len(o.Items)),
	}
}

// failure is what an order that was not placed counts as.
type failure struct {
	kind    error
	name    string // the error.type
	level   slog.Level
	callers bool // the caller asked for what cannot be: the span is not in error
	rests   bool // the order stays where it is until a person looks at it
	crowd   bool // it comes in masses
}

// failures are the kinds of failure.
func failures() []failure {
	return []failure{
		{kind: order.ErrInvalid, name: "invalid_request", level: slog.LevelWarn, callers: true},
		{kind: order.ErrEmptyCart, name: "cart_empty", level: slog.LevelWarn, callers: true},
		{kind: order.ErrBadCart, name: "cart_invalid", level: slog.LevelWarn, callers: true},
		{kind: order.ErrUnknownProduct, name: "product_unknown", level: slog.LevelWarn, callers: true},
		{kind: order.ErrImplausible, name: "answer_implausible", level: slog.LevelError},
		{kind: order.ErrUnavailable, name: "unavailable", level: slog.LevelError},
		{kind: order.ErrOverloaded, name: "overloaded", level: slog.LevelWarn, crowd: true},
		{kind: order.ErrDeclined, name: "card_declined", level: slog.LevelWarn},
		{kind: order.ErrPaymentUnreachable, name: "payment_unreachable", level: slog.LevelError},
		{kind: order.ErrInDoubt, name: "payment_unknown", level: slog.LevelError, rests: true},
		{kind: order.ErrUnshippable, name: "shipping_refused", level: slog.LevelError, rests: true},
		{kind: order.ErrRefunded, name: "refunded", level: slog.LevelWarn},
		{kind: order.ErrKeyReused, name: "idempotency_key_reused", level: slog.LevelWarn, callers: true},
		{kind: order.ErrBusy, name: "order_under_way", level: slog.LevelWarn, callers: true},
		{kind: context.Canceled, name: "canceled", level: slog.LevelWarn},
		{kind: context.DeadlineExceeded, name: "timeout", level: slog.LevelError},
	}
}

// failureOf is the failure that err is, by its kind rather than by what caused it.
func failureOf(err error) failure {
	kind := err
	if e := (*order.Error)(nil); errors.As(err, &e) {
		kind = e.Kind
	}
	for _, f := range failures() {
		if errors.Is(kind, f.kind) {
			return f
		}
	}
	return failure{kind: err, name: "_OTHER", level: slog.LevelError}
}

// rpcConvention is one way to name what is known of an RPC. More than one can be in force at a time.
type rpcConvention struct {
	identity       func(service, method string) []attribute.KeyValue
	status         func(codes.Code) attribute.KeyValue
	failing        bool // whether error.type is on the metric, too
	server, client rpcMetrics
	unit           string
	perSecond      float64   // how many units a second is
	buckets        []float64 // nil: the SDK's own
}

// rpcMetrics are the names of an RPC's metrics; an empty one is not emitted.
type rpcMetrics struct{ duration, requestSize, responseSize string }

// oldRPC is the convention before it became stable: what the shop's dashboards and trace tests ask for.
func oldRPC() rpcConvention {
	return rpcConvention{
		identity: func(service, method string) []attribute.KeyValue {
			return []attribute.KeyValue{
				attribute.String("rpc.system", "grpc"),
				attribute.String("rpc.service", service),
				attribute.String("rpc.method", method),
			}
		},
		status:    func(c codes.Code) attribute.KeyValue { return attribute.Int("rpc.grpc.status_code", int(c)) },
		server:    rpcMetrics{"rpc.server.duration", "rpc.server.request.size", "rpc.server.response.size"},
		client:    rpcMetrics{"rpc.client.duration", "rpc.client.request.size", "rpc.client.response.size"},
		unit:      "ms",
		perSecond: 1000,
	}
}

// stableRPC is the stable convention.
func stableRPC() rpcConvention {
	return rpcConvention{
		identity: func(service, method string) []attribute.KeyValue {
			return []attribute.KeyValue{
				attribute.String("rpc.system.name", "grpc"),
				attribute.String("rpc.method", service+"/"+method),
			}
		},
		status: func(c codes.Code) attribute.KeyValue {
			return attribute.String("rpc.response.status_code", codeName(c))
		},
		failing:   true,
		server:    rpcMetrics{duration: "rpc.server.call.duration"},
		client:    rpcMetrics{duration: "rpc.client.call.duration"},
		unit:      "s",
		perSecond: 1,
		buckets:   secondBuckets(),
	}
}

// metrics are the names for one side of the call.
func (c rpcConvention) metrics(kind trace.SpanKind) rpcMetrics {
	if kind == trace.SpanKindServer {
		return c.server
	}
	return c.client
}

// codeName is the name of a status code in gRPC's own documents: "NOT_FOUND". grpc-go says "NotFound".
func codeName(c codes.Code) string {
	switch c {
	case codes.OK:
		return "OK"
	case codes.Canceled:
		return "CANCELLED"
	default:
	}
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}
