package telemetry

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"

	"checkout/internal/order"
)

// All emitted names are in this file, in conventions.go and in metrics.go; the names of the resource are the SDK's.

// scope is the instrumentation scope of all spans, metrics and log records.
const scope = "checkout"

// Spans and span events. Other spans are named by their subject: "oteldemo.CheckoutService/PlaceOrder", "HTTP POST",
// "orders publish". The event of an order that was not placed depends on the dialect.
const (
	spanPrepare = "prepareOrderItemsAndShippingQuoteFromCart"
	spanResume  = "resume order"

	eventPrepared = "prepared"
	eventCharged  = "charged"
	eventShipped  = "shipped"

	eventFlag = "feature_flag.evaluation" // of the log
)

// traceparent is the header with the parent of a span (W3C Trace Context).
const traceparent = "traceparent"

// servedMethods are the methods of this service that are observed, by their full names.
func servedMethods() []string {
	return []string{"/oteldemo.CheckoutService/PlaceOrder"}
}

// fact is an attribute of an order, whatever its name.
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
	facts // their number
)

// term is the name of a fact in each dialect; "" if it has none.
type term struct{ app, demo attribute.Key }

// terms is the table of an order's attributes. Those that the demo does not have are ours, the same in both dialects.
func terms() [facts]term {
	return [facts]term{
		userID:             {"app.user.id", "user.id"},
		userCurrency:       {"app.user.currency", "demo.user_context.selected_currency"},
		userSynthetic:      {"", "user_agent.synthetic.type"},
		orderID:            {"app.order.id", "demo.order.id"},
		orderAmount:        {"app.order.amount", "demo.order.amount"},
		orderItems:         {"app.order.items.count", "demo.order.items.count"},
		orderStep:          {"checkout.order.step", "checkout.order.step"},
		orderState:         {"checkout.order.state", "checkout.order.state"},
		orderReached:       {"checkout.order.reached_state", "checkout.order.reached_state"},
		orderAttempt:       {"checkout.order.attempt", "checkout.order.attempt"},
		cartItems:          {"app.cart.items.count", "demo.cart.items.count"},
		shippingAmount:     {"app.shipping.amount", "demo.shipping.amount"},
		shippingTracking:   {"app.shipping.tracking.id", "demo.shipping.tracking.id"},
		paymentTransaction: {"app.payment.transaction.id", "demo.payment.transaction.id"},
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

// Attributes of our own metrics, the same in both dialects.
const (
	outcomeKey  attribute.Key = "checkout.order.outcome"
	currencyKey attribute.Key = "checkout.order.currency"
	stepKey     attribute.Key = "checkout.order.step"
	stateKey    attribute.Key = "checkout.order.state"
	deliveryKey attribute.Key = "checkout.delivery"

	connectionStateKey attribute.Key = "checkout.connection.state"
)

// outcome is how a call to place an order ended.
type outcome string

const (
	outcomePlaced    outcome = "placed"     // paid and shipped
	outcomePaid      outcome = "paid"       // not yet shipped
	outcomeRepeated  outcome = "repeated"   // duplicate request: an earlier answer
	outcomeRefused   outcome = "refused"    // not possible; nothing was charged
	outcomeFailed    outcome = "failed"     // nothing was charged, and the caller is not the cause
	outcomeInDoubt   outcome = "in_doubt"   // payment unknown
	outcomeRefundDue outcome = "refund_due" // charged and cannot be shipped: to be refunded, or refunded
)

// failure is how an order that was not placed is reported.
type failure struct {
	kind    error
	name    string // the error.type
	outcome outcome
	level   slog.Level
	callers bool // the caller's error: the span is not in error
	manual  bool // the order requires manual action
	masses  bool // under overload there are many: they are logged once a minute
}

// failures are the kinds of failure. The last is for all others: bugs. It is an array so that a failed call allocates
// nothing for it.
func failures() [18]failure {
	return [...]failure{
		{kind: order.ErrInvalid, name: "invalid_request", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrEmptyCart, name: "cart_empty", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrBadCart, name: "cart_invalid", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrUnknownProduct, name: "product_unknown", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrImplausible, name: "answer_implausible", outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrUnavailable, name: "unavailable", outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrOverloaded, name: "overloaded", outcome: outcomeFailed, level: slog.LevelWarn, masses: true},
		{kind: order.ErrDeclined, name: "card_declined", outcome: outcomeRefused, level: slog.LevelWarn},
		{kind: order.ErrPaymentUnreachable, name: "payment_unreachable", outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrInDoubt, name: "payment_unknown", outcome: outcomeInDoubt, level: slog.LevelError, manual: true},
		{kind: order.ErrUnshippable, name: "shipping_refused", outcome: outcomeRefundDue, level: slog.LevelError, manual: true},
		{kind: order.ErrRefunded, name: "refunded", outcome: outcomeRefundDue, level: slog.LevelWarn},
		{kind: order.ErrKeyReused, name: "idempotency_key_reused", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrBusy, name: "order_under_way", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: order.ErrPriceChanged, name: "price_changed", outcome: outcomeRefused, level: slog.LevelWarn, callers: true},
		{kind: context.Canceled, name: canceled, outcome: outcomeFailed, level: slog.LevelWarn},
		{kind: context.DeadlineExceeded, name: timeout, outcome: outcomeFailed, level: slog.LevelError},
		{kind: order.ErrInternal, name: other, outcome: outcomeInDoubt, level: slog.LevelError},
	}
}

// failureOf is the failure of err, by its kind rather than by its cause.
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

// other is the error.type of what is in no list.
const other = "_OTHER"

// stepFailures are the error.types of a step, by the errors of its port.
func stepFailures() []failure {
	return []failure{
		{kind: order.ErrRefused, name: "refused"},
		{kind: order.ErrUnsent, name: "not_sent"},
		{kind: order.ErrImplausible, name: "answer_implausible"},
		{kind: order.ErrUnknownProduct, name: "product_unknown"},
		{kind: order.ErrFenced, name: "taken_over"},
	}
}
