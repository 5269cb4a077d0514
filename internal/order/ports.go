package order

import (
	"context"
	"math"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
)

// What an order needs of the world. Every method takes as long as its context allows, and no longer; an error that is
// not one of those named here is a failure that may pass.

// Cart is the cart of a user.
type Cart interface {
	// Lines are what the user wants to buy. An unknown user has none.
	Lines(ctx context.Context, userID string) ([]Line, error)
	// Empty empties the cart. It may be repeated.
	Empty(ctx context.Context, userID string) error
}

// Shipping ships parcels.
type Shipping interface {
	// Ship sends the parcel of an order and returns its tracking id. ErrRefused and ErrUnsent say for certain that no parcel
	// was sent: the service refuses it for good, or may be asked again freely. After any other error it may have been sent.
	Ship(ctx context.Context, id ID, to Address, lines []Line) (trackingID string, err error)
}

// Payment charges cards.
type Payment interface {
	// Charge takes amount from card, under the order's id, and returns the transaction's id. ErrRefused and ErrUnsent
	// say for certain that no money moved; after any other error it may have.
	Charge(ctx context.Context, id ID, amount money.Amount, card creditcard.Card) (transactionID string, err error)
}

// Email writes to customers.
type Email interface {
	// Confirm tells the customer that the order is on its way. It returns ErrRefused when a retry is useless.
	Confirm(ctx context.Context, o *Order) error
}

// Events publishes what has been ordered.
type Events interface {
	// Publish returns nil when the broker holds the event durably. It returns ErrRefused when a retry is useless.
	Publish(ctx context.Context, o *Order) error
}

// Ledger is what a payment service can also be asked that knows each charge by the order's id: that honours keys.
type Ledger interface {
	// Lookup returns the transaction of the order's charge, or "" when there is none so far, and its amount, zero if the
	// ledger does not say.
	Lookup(ctx context.Context, id ID) (transactionID string, charged money.Amount, err error)
	// Reverse makes the order's net charge zero for ever, even if a delayed charge arrives later. It may be repeated.
	Reverse(ctx context.Context, id ID) error
	// Refund makes total the sum that has been refunded of the order's charge. It may be repeated. It returns ErrRefused when
	// this has refunded nothing, and a retry is useless.
	Refund(ctx context.Context, id ID, total money.Amount) error
}

// Store keeps the record of orders. What it has accepted survives a crash of the process and of the machine. After an
// error that is not named here the write may have been made or not; making it again does no harm.
//
// The store's clock decides when an order is due and which came first, so that replicas need not agree on the time.
type Store interface {
	// Open records a new order as its user's latest. When another order of the user is in its way, that one is returned and
	// nothing is recorded: the one that has the same key, or else the latest, unless that was settled (Order.Settled) before
	// the cart was asked for, or is superseded. ErrUnsent says for certain that nothing was recorded.
	Open(ctx context.Context, opening Opening) (conflict *Order, err error)
	// Save records o, which was in state from. It returns ErrFenced when the record is of another state or epoch: another
	// process has taken the order over, and the caller must not act for it any more. hold is for how long the record is
	// left alone from now on: by Claim while something is pending, by the clean-up once the state is final.
	//
	// An earlier Save may have been made although its answer was lost. So a record that has the epoch and the state of o
	// already is the caller's own, and Save returns nil, if it states the same facts. When they were recorded, with which
	// reason, history and number of attempts, does not count: the record keeps those of the first Save.
	Save(ctx context.Context, o *Order, from State, hold time.Duration) error
	// Cancel records o, which is Cancelled and certainly was never charged, whether or not its Open has reached the record
	// or ever will: an Open that comes later records nothing. It does so even if another process holds the order. It returns
	// ErrFenced when the record is of a state other than Charging, InDoubt and Cancelled: its outcome was decided. An order that
	// is Cancelled already stays as it is. hold is how long the record is kept.
	Cancel(ctx context.Context, o *Order, hold time.Duration) error
	// Claim takes over at most limit orders of the queue whose hold is over, those that have been due longest, and raises their
	// epoch. It may return orders and an error: the error is then of others, that could not be read.
	Claim(ctx context.Context, queue Queue, limit int, hold time.Duration) ([]*Order, error)
	// Take takes over one order that requires an operator (that was last saved with hold UntilResolved) or is completed, and
	// raises its epoch. The order goes on requiring an operator until it is saved, in case this process dies. Take returns
	// ErrFenced when the order is in another state, and ErrNotFound when there is none.
	Take(ctx context.Context, id ID) (*Order, error)
	// Get returns the order as it is on record, or ErrNotFound.
	Get(ctx context.Context, id ID) (*Order, error)
	// Find returns the user's order of that key or, without a key, the user's latest; or ErrNotFound.
	Find(ctx context.Context, userID, key string) (*Order, error)
}

// Opening is a new order that is to be recorded.
type Opening struct {
	Order *Order
	Hold  time.Duration // for how long it is this process's
	// CartRead is when its cart was asked for, by the clock of this process: what counts is how long ago that is when the
	// store decides.
	CartRead  time.Time
	Supersede ID // the user's latest order, if this one may take its place before it is settled
}

// UntilResolved is how long an order is held that requires an operator: recovery does not take it up.
const UntilResolved time.Duration = math.MaxInt64

// Pricer is the read phase: it turns a request into an order that could be charged. Nothing moves.
type Pricer interface {
	Price(ctx context.Context, req Request) (*Order, error)
}

// Admission bounds how many orders are under way, and what one user or one card may ask for.
type Admission interface {
	// Allow returns what to call when the request's card is declined, or an ErrOverloaded that says when to ask again.
	Allow(req Request) (declined func(), err error)
	// Admit returns what to call when the order's money and parcel are settled, with the order's failure or nil, or else an
	// ErrOverloaded. It may wait a while, if the order can be placed before the deadline of ctx.
	Admit(ctx context.Context) (done func(failure error), err error)
}
