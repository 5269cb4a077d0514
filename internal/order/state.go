package order

import "fmt"

// State is how far an order has come. The numbers are stored: they never change their meaning.
//
//	charging ──paid──► charged ──shipped──► placed ──cart, e-mail, event──► completed
//	   │                  └─refused for good─► refunding ──reversed──► refunded
//	   ├─refused─► declined
//	   ├─never sent─► cancelled
//	   └─no answer─► in_doubt ──looked up─► charged, or else refunding ──reversed──► cancelled
//	                     └──a person─► charged | cancelled | refunded
//
// What is owed for longer than a day, or cannot be paid back by us, is parked: a person takes it to charged, refunded or
// cancelled.
type State uint8

const (
	// Charging: recorded before the charge leaves. After a crash, the money may have moved.
	Charging State = 1
	// Charged: paid, and owed a parcel.
	Charged State = 2
	// Placed: paid and shipped; the cart, the e-mail and the event are owed.
	Placed State = 3
	// Completed: nothing is owed any more.
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
	// Parked: needs a person.
	Parked State = 10
)

// States are all states, in the order of their numbers.
func States() []State {
	return []State{Charging, Charged, Placed, Completed, Declined, InDoubt, Refunding, Refunded, Cancelled, Parked}
}

// String is the state's name in records, telemetry and answers.
func (s State) String() string {
	switch s {
	case Charging:
		return "charging"
	case Charged:
		return "charged"
	case Placed:
		return "placed"
	case Completed:
		return "completed"
	case Declined:
		return "declined"
	case InDoubt:
		return "in_doubt"
	case Refunding:
		return "refunding"
	case Refunded:
		return "refunded"
	case Cancelled:
		return "cancelled"
	case Parked:
		return "parked"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Final tells whether the order rests here for ever, so that its record may be deleted after the retention.
func (s State) Final() bool {
	switch s {
	case Completed, Declined, Refunded, Cancelled:
		return true
	case Charging, Charged, Placed, InDoubt, Refunding, Parked:
	}
	return false
}

// Lane is a part of what recovery can do by itself. Each has places of its own, so that an order that is paid does not
// wait behind letters that nobody takes.
type Lane uint8

const (
	// Unshipped orders are charging, charged, in doubt or being refunded: money is at stake.
	Unshipped Lane = iota + 1
	// Undelivered orders are placed.
	Undelivered
)

// Lane is the lane in which recovery takes an order of this state further, unless it rests; 0 when it cannot.
func (s State) Lane() Lane {
	switch s {
	case Charging, Charged, InDoubt, Refunding:
		return Unshipped
	case Placed:
		return Undelivered
	case Completed, Declined, Refunded, Cancelled, Parked:
	}
	return 0
}
