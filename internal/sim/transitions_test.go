package sim

import (
	"slices"

	"checkout/internal/order"
)

// allowed reports whether an order may go from one state to another: the arrows in ARCHITECTURE.md.
func allowed(from, to order.State) bool {
	var next []order.State
	switch from {
	case order.Charging:
		next = []order.State{order.Charged, order.Declined, order.Cancelled, order.InDoubt}
	case order.InDoubt:
		next = []order.State{order.Charged, order.Declined, order.Refunding, order.Cancelled, order.Refunded, order.Parked}
	case order.Charged:
		next = []order.State{order.Placed, order.Refunding, order.Parked}
	case order.Refunding:
		next = []order.State{order.Refunded, order.Cancelled, order.Parked}
	case order.Placed:
		next = []order.State{order.Completed, order.Undelivered}
	case order.Undelivered:
		next = []order.State{order.Completed, order.Placed}
	case order.Parked:
		next = []order.State{order.Charged, order.InDoubt, order.Refunding, order.Refunded, order.Cancelled, order.Placed}
	}
	return slices.Contains(next, to)
}
