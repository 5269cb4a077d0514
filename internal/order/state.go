package order

import "fmt"

// State is how far an order has come. The numbers are stored: they never change their meaning.
//
//	charging ──paid──► charged ──shipped──► placed ──cart, e-mail, event──► completed
//	   │                  └─refused for good─► refunding ──reversed──► refunded
//	   ├─refused─► declined
//	   ├─never sent─► cancelled
//	   └─no answer─► in_doubt ──looked up─► charged, or else refunding ──reversed──► cancelled
//	                     └──operator─► charged | cancelled | refunded
//
// An order that cannot be shipped or refunded, or for longer than a day, is parked: an operator takes it to charged, placed,
// refunded or cancelled. A placed order whose e-mail or event cannot be delivered is undelivered: an operator has it tried
// again, or skips the delivery. An operator may have a completed order refunded: it goes to refunding.
type State uint8

const (
	// Charging: recorded before the charge leaves. After a crash, the money may have moved.
	Charging State = 1
	// Charged: paid; the shipment is pending.
	Charged State = 2
	// Placed: paid and shipped; the cart, the e-mail and the event are pending.
	Placed State = 3
	// Completed: nothing is pending.
	Completed State = 4
	// Declined: the card was refused. No money moved.
	Declined State = 5
	// InDoubt: the payment service was asked and did not answer.
	InDoubt State = 6
	// Refunding: to be undone, whatever a look-up would say: paid, and shipping has refused it for good, or not found to be
	// paid. The charge's reversal may be on its way.
	Refunding State = 7
	// Refunded: the money went back.
	Refunded State = 8
	// Cancelled: never charged, or undone for ever. No money moved, and the card is not to blame: its key is free.
	Cancelled State = 9
	// Parked: requires an operator.
	Parked State = 10
	// Undelivered: paid and shipped, but the e-mail or the event could not be delivered. Requires an operator.
	Undelivered State = 11
)

// States are all states, in the order of their numbers.
func States() []State {
	return []State{Charging, Charged, Placed, Completed, Declined, InDoubt, Refunding, Refunded, Cancelled, Parked, Undelivered}
}

// String is the state's name in records, telemetry and answers.
func (s State) String() string {
	names := [...]string{
		Charging: "charging", Charged: "charged", Placed: "placed", Completed: "completed", Declined: "declined", InDoubt: "in_doubt",
		Refunding: "refunding", Refunded: "refunded", Cancelled: "cancelled", Parked: "parked", Undelivered: "undelivered",
	}
	if s == 0 || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return names[s]
}

// Final reports whether the order stays here for ever, so that its record may be deleted after the retention.
func (s State) Final() bool {
	switch s {
	case Completed, Declined, Refunded, Cancelled:
		return true
	case Charging, Charged, Placed, InDoubt, Refunding, Parked, Undelivered:
	}
	return false
}

// Queue is a part of what recovery can do by itself. Each has workers of its own, so that a paid order does not wait behind
// e-mails that cannot be sent.
type Queue uint8

const (
	// ShippingQueue: charging, charged, in doubt or being refunded. Money is at stake.
	ShippingQueue Queue = iota + 1
	// DeliveryQueue: placed. The cart, the e-mail or the event is pending.
	DeliveryQueue
)

// Queue is where recovery finds an order of this state, unless it waits for an operator; 0 when recovery can do nothing.
func (s State) Queue() Queue {
	switch s {
	case Charging, Charged, InDoubt, Refunding:
		return ShippingQueue
	case Placed:
		return DeliveryQueue
	case Completed, Declined, Refunded, Cancelled, Parked, Undelivered:
	}
	return 0
}

// RequiresOperator reports whether an order that comes into this state requires an operator, because nothing here can take it
// further. keyed: the payment service is idempotent. One that came into it under another kind of payment service may require
// one all the same: its record knows.
func (s State) RequiresOperator(keyed bool) bool {
	switch s {
	case Parked, Undelivered:
		return true
	case InDoubt, Refunding:
		return !keyed
	case Charging, Charged, Placed, Completed, Declined, Refunded, Cancelled:
	}
	return false
}
