package order

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"checkout/internal/money"
)

// Kind is a kind of failure: what a caller can do about it. It is an error, so that errors.Is finds it.
type Kind string

func (k Kind) Error() string { return string(k) }

const (
	// ErrInvalid: the request is malformed; Error.Violations name the fields. Correct it and ask again.
	ErrInvalid Kind = "invalid request"
	// ErrEmptyCart: there is nothing to order.
	ErrEmptyCart Kind = "the cart is empty"
	// ErrBadCart: the cart cannot be ordered as it is; Error.Violations name the lines.
	ErrBadCart Kind = "the cart cannot be ordered"
	// ErrUnknownProduct: the catalogue does not know a product of the cart.
	ErrUnknownProduct Kind = "unknown product"
	// ErrImplausible: a service answered something implausible, so nothing was charged on the strength of it.
	ErrImplausible Kind = "implausible answer"
	// ErrUnavailable: a service of the read phase, or the store, could not be asked. Ask again later.
	ErrUnavailable Kind = "unavailable"
	// ErrOverloaded: too many orders are under way, or a Limit is reached. Ask again after Error.RetryAfter.
	ErrOverloaded Kind = "too many orders under way"
	// ErrDeclined: the payment service refused the card.
	ErrDeclined Kind = "card declined"
	// ErrPaymentUnreachable: the charge could not be sent, was refused before the card was looked at, or is undone for ever. No money
	// moved.
	ErrPaymentUnreachable Kind = "payment unreachable"
	// ErrInDoubt: the charge was sent and not answered in time. Do not pay again; look the order up.
	ErrInDoubt Kind = "payment outcome unknown"
	// ErrUnshippable: the order was paid, and the shipping service refuses it for good. The money is to be paid back.
	ErrUnshippable Kind = "shipping refused"
	// ErrRefunded: the order was paid, could not be shipped, and the money went back.
	ErrRefunded Kind = "refunded"
	// ErrKeyReused: the idempotency key is that of another request. Nothing was done for this one.
	ErrKeyReused Kind = "idempotency key reused"
	// ErrBusy: another order of the user, Error.OrderID, is under way. Nothing was done for this one; ask again later.
	ErrBusy Kind = "another order of the user is under way"
	// ErrPriceChanged: the order costs Error.Total, and the customer has agreed to another total. Nothing was done.
	ErrPriceChanged Kind = "the price has changed"
	// ErrInternal: a bug of ours. The order, if there is one, is left to recovery.
	ErrInternal Kind = "internal error"
)

// What ports return so that the order can tell what happened.
var (
	// ErrRefused: the service has understood the request and refuses it for good.
	ErrRefused = errors.New("refused")
	// ErrUnsent: certainly nothing was done. The request never left this process, or was rejected before it was looked at.
	ErrUnsent = errors.New("not done")
	// ErrTooLate: too little time was left for a charge and its answer, so it was not sent.
	ErrTooLate = errors.New("too late to charge")
	// ErrGivenUp: the step is not tried again by itself. The order requires an operator.
	ErrGivenUp = errors.New("given up")
	// ErrFenced: the order has been taken over by another run.
	ErrFenced = errors.New("taken over")
	// ErrNotFound: there is no such order. It never was, or its retention is over.
	ErrNotFound = errors.New("no such order")
)

// Step names a part of placing an order, in errors and in telemetry.
type Step string

const (
	StepCart      Step = "cart"
	StepCatalog   Step = "catalog"
	StepQuote     Step = "quote"
	StepConvert   Step = "convert"
	StepRecord    Step = "record"
	StepCharge    Step = "charge"
	StepLookup    Step = "lookup"
	StepReverse   Step = "reverse"
	StepShip      Step = "ship"
	StepEmptyCart Step = "empty_cart"
	StepEmail     Step = "email"
	StepPublish   Step = "publish"
)

// Error is why an order was not placed.
type Error struct {
	Kind       Kind          // what the caller can do about it
	Step       Step          // where, if that says anything
	OrderID    ID            // empty when nothing was recorded
	Violations []Violation   // with ErrInvalid and ErrBadCart: what to correct
	Total      money.Amount  // with ErrPriceChanged: what the order costs now
	Repeated   bool          // it is about an order that another call has placed, and that has failed
	MayBePaid  bool          // this call has charged nothing, and an earlier one may have paid for the same purchase
	RetryAfter time.Duration // with ErrOverloaded and ErrUnavailable: when to ask again, if known
	Err        error         // the cause, if there is one below
}

// Violation is one thing wrong with one field of the request or of a resolution, or one line of the cart.
type Violation struct {
	Field   string // as on the wire: "credit_card.credit_card_number", "cart[OLJCESPC7Z].quantity"
	Problem string // what is wrong with it, never its value when that is private
}

// Error makes a violation the cause of an ErrRefused: what is wrong with an operator's resolution.
func (v Violation) Error() string { return v.Problem }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error())
	for i, v := range e.Violations {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		fmt.Fprintf(&b, "%s: %s", v.Field, v.Problem)
	}
	if limit, ok := errors.AsType[Limit](e.Err); ok { // there is no overload
		return limit.Error()
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Limit is the cause of an ErrOverloaded that only one customer has, in words for them.
type Limit string

func (l Limit) Error() string { return string(l) }

// Fail makes an *Error out of what a port returned. A cause that is an *Error already is kept as it is.
func Fail(kind Kind, step Step, cause error) error {
	if known, ok := errors.AsType[*Error](cause); ok {
		return known
	}
	return &Error{Kind: kind, Step: step, Err: cause}
}

// error is why the order does not go on.
func (o *Order) error(kind Kind, step Step, cause error) *Error {
	return &Error{Kind: kind, Step: step, OrderID: o.ID, Err: cause}
}

// mayBePaid is the failure of a call that could not find out whether an earlier one has paid for the same purchase.
func mayBePaid(failure error) error {
	known, ok := errors.AsType[*Error](failure)
	if !ok {
		return failure
	}
	unsure := *known
	unsure.MayBePaid = true
	return &unsure
}

// Guard turns a panic of f into an ErrInternal, so that a bug met by one order is that order's alone.
func Guard(f func() error) (err error) {
	defer caught(&err)
	return f()
}

// caught, deferred, makes err of a panic.
func caught(err *error) {
	if cause := recover(); cause != nil {
		*err = &Error{Kind: ErrInternal, Err: fmt.Errorf("panic: %v\n%s", cause, debug.Stack())}
	}
}
