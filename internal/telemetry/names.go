package telemetry

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"

	"checkout/internal/order"
)

// Every name that this service emits stands in this file and in conventions.go, and every metric in metrics.go; the
// resource is the SDK's own.

// scope is the instrumentation scope of all spans, metrics and log records.
const scope = "checkout"

// Spans and span events. Other spans are named by what they are about: "oteldemo.CheckoutService/PlaceOrder", "HTTP POST",
// "orders publish". How an order that was not placed is told is the dialect's matter.
const (
	spanPrepare = "prepareOrderItemsAndShippingQuoteFromCart"
	spanResume  = "resume order"

	eventPrepared = "prepared"
	eventCharged  = "charged"
	eventShipped  = "shipped"

	eventFlag = "feature_flag.evaluation" // of the log
)

// traceparent is the header that tells whose child a span is (W3C Trace Context).
const traceparent = "traceparent"

// servedMethods are the methods of this service's own that are observed, by their full names.
func servedMethods() []string {
	return []string{"/oteldemo.CheckoutService/PlaceOrder"}
}

// fact is something that can be told of an order.
type fact uint8

const (
	userID fact = iota
	userCurrency
	userSynthetic
	orderID
	orderAmount
	orderItems
	orderStep
	orderState
	orderReached
	orderAttempt
	cartItems
	shippingAmount
	shippingTracking
	paymentTransaction
	facts // how many there are
)

// term is what a fact is called.
type term struct {
	app  attribute.Key // by the demo's releases up to 2.1; "": not at all
	demo attribute.Key // by those after them; "": not at all
	kind attribute.Type
	text string
}

// terms is the table of what is told of orders. A name that the demo changes is one line of it; what the demo has no
// name for has one of ours, in both columns.
func terms() [facts]term {
	return [facts]term{
		userID:             {"app.user.id", "user.id", attribute.STRING, "Who orders."},
		userCurrency:       {"app.user.currency", "demo.user_context.selected_currency", attribute.STRING, "The currency asked for, by ISO 4217."},
		userSynthetic:      {"", "user_agent.synthetic.type", attribute.STRING, "Set to test when the order is the load generator's, as the baggage says."},
		orderID:            {"app.order.id", "demo.order.id", attribute.STRING, "The order's id, a UUID."},
		orderAmount:        {"app.order.amount", "demo.order.amount", attribute.FLOAT64, "What the order costs with shipping, in the currency asked for."},
		orderItems:         {"app.order.items.count", "demo.order.items.count", attribute.INT64, "Different products in the order."},
		orderStep:          {"checkout.order.step", "checkout.order.step", attribute.STRING, "The step of the order that is meant, or that has failed."},
		orderState:         {"checkout.order.state", "checkout.order.state", attribute.STRING, "The state of the order, as on record."},
		orderReached:       {"checkout.order.reached_state", "checkout.order.reached_state", attribute.STRING, "The state in which recovery has left the order."},
		orderAttempt:       {"checkout.order.attempt", "checkout.order.attempt", attribute.INT64, "Which attempt this is at what the order's state owes; the first is 1."},
		cartItems:          {"app.cart.items.count", "demo.cart.items.count", attribute.INT64, "Pieces in the cart."},
		shippingAmount:     {"app.shipping.amount", "demo.shipping.amount", attribute.FLOAT64, "What shipping costs, in the currency asked for."},
		shippingTracking:   {"app.shipping.tracking.id", "demo.shipping.tracking.id", attribute.STRING, "The parcel's tracking id."},
		paymentTransaction: {"app.payment.transaction.id", "demo.payment.transaction.id", attribute.STRING, "The charge's transaction id."},
	}
}

// Attributes of the semantic conventions that are the same in both dialects.
const (
	errorType        attribute.Key = "error.type"
	exceptionMessage attribute.Key = "exception.message"
	exceptionType    attribute.Key = "exception.type"

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

	messagingSystem        attribute.Key = "messaging.system"
	messagingDestination   attribute.Key = "messaging.destination.name"
	messagingOperationName attribute.Key = "messaging.operation.name"
	messagingOperationType attribute.Key = "messaging.operation.type"
	kafkaSuccess           attribute.Key = "messaging.kafka.producer.success"
	kafkaDuration          attribute.Key = "messaging.kafka.producer.duration_ms"

	flagKey      attribute.Key = "feature_flag.key"
	flagProvider attribute.Key = "feature_flag.provider.name"
	flagReason   attribute.Key = "feature_flag.result.reason"
	flagValue    attribute.Key = "feature_flag.result.value"
	flagVariant  attribute.Key = "feature_flag.result.variant"

	cpuMode    attribute.Key = "cpu.mode"
	goCPUState attribute.Key = "go.cpu.state"
)

// Attributes of metrics that the conventions know nothing of. They are the same in both dialects; the step and the state
// of an order are those of terms.
const (
	outcomeKey  attribute.Key = "checkout.order.outcome"
	currencyKey attribute.Key = "checkout.order.currency"
	stepKey     attribute.Key = "checkout.order.step"
	stateKey    attribute.Key = "checkout.order.state"
	deliveryKey attribute.Key = "checkout.delivery"

	connectionStateKey attribute.Key = "checkout.connection.state"
)

// outcome is what came of a call that was to place an order.
type outcome string

const (
	outcomePlaced   outcome = "placed"   // paid and shipped
	outcomePaid     outcome = "paid"     // and the parcel is late
	outcomeRepeated outcome = "repeated" // the answer to a call before, once more
	outcomeRefused  outcome = "refused"  // what was asked for cannot be; nothing was charged
	outcomeFailed   outcome = "failed"   // nothing was charged, and that is not the caller's doing
	outcomeInDoubt  outcome = "in_doubt" // nobody knows whether it was charged
	outcomeOwed     outcome = "owed"     // charged, and not to be shipped: the money is owed back, or went back
)

// failure is what an order that was not placed counts as.
type failure struct {
	kind    error
	name    string // the error.type
	outcome outcome
	level   slog.Level
	callers bool // the caller asked for what cannot be: the span is not in error
	rests   bool // the order stays where it is until a person looks at it
	crowd   bool // it comes in masses
}

// failures are the kinds of failure. The last is for whatever is none of the others: a bug. They are an array because
// every call that fails looks at them, and a slice would be garbage.
func failures() [18]failure {
	return [...]failure{
		{kind: order.ErrInvalid, name: "invalid_request", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrEmptyCart, name: "cart_empty", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrBadCart, name: "cart_invalid", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrUnknownProduct, name: "product_unknown", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrImplausible, name: "answer_implausible", outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrUnavailable, name: "unavailable", outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrOverloaded, name: "overloaded", outcome: outcomeFailed, level: slog.LevelWarn, crowd: true},
		{kind: order.ErrDeclined, name: "card_declined", outcome: outcomeRefused, level: slog.LevelWarn},
		{kind: order.ErrPaymentUnreachable, name: "payment_unreachable", outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrInDoubt, name: "payment_unknown", outcome: outcomeInDoubt, level: slog.LevelError, rests: true},
		{kind: order.ErrUnshippable, name: "shipping_refused", outcome: outcomeOwed, level: slog.LevelError, rests: true},
		{kind: order.ErrRefunded, name: "refunded", outcome: outcomeOwed, level: slog.LevelWarn},
		{kind: order.ErrKeyReused, name: "idempotency_key_reused", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrBusy, name: "order_under_way", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrPriceChanged, name: "price_changed", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: context.Canceled, name: canceled, outcome: outcomeFailed, level: slog.LevelWarn},
		{kind: context.DeadlineExceeded, name: timeout, outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrInternal, name: other, outcome: outcomeInDoubt, level: slog.LevelError},
	}
}

// failureOf is the failure that err is, by its kind rather than by what caused it.
func failureOf(err error) failure {
	kind := err
	if e, ok := errors.AsType[*order.Error](err); ok {
		kind = e.Kind
	}
	all := failures()
	for _, f := range all {
		if errors.Is(kind, f.kind) {
			return f
		}
	}
	return all[len(all)-1]
}

// other is the error.type of what is on no list.
const other = "_OTHER"

// stepFailures are the error.types of a step: what its port's errors say, or why it did not answer.
func stepFailures() []failure {
	return []failure{
		{kind: order.ErrRefused, name: "refused"},
		{kind: order.ErrUnsent, name: "not_sent"},
		{kind: order.ErrImplausible, name: "answer_implausible"},
		{kind: order.ErrUnknownProduct, name: "product_unknown"},
		{kind: order.ErrFenced, name: "taken_over"},
	}
}
