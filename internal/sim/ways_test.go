package sim

import (
	"slices"

	"checkout/internal/order"
)

// leads tells whether an order may go from one state to another: the arrows of the design.
func leads(from, to order.State) bool {
	var ways []order.State
	switch from {
	case order.Charging:
		ways = []order.State{order.Charged, order.Declined, order.Cancelled, order.InDoubt}
	case order.InDoubt:
		ways = []order.State{order.Charged, order.Declined, order.Refunding, order.Cancelled, order.Refunded, order.Parked}
	case order.Charged:
		ways = []order.State{order.Placed, order.Refunding, order.Parked}
	case order.Refunding:
		ways = []order.State{order.Refunded, order.Cancelled, order.Parked}
	case order.Placed:
		ways = []order.State{order.Completed, order.Undelivered}
	case order.Undelivered:
		ways = []order.State{order.Completed, order.Placed}
	case order.Parked:
		ways = []order.State{order.Charged, order.InDoubt, order.Refunding, order.Refunded, order.Cancelled, order.Placed}
	}
	return slices.Contains(ways, to)
}
