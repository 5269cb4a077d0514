// Package order places orders and completes them.
//
// # The tour
//
// Placer.Place (place.go) is the use case. It has three phases:
//
//  1. Read. Package pricing, by the port Pricer, reads the cart, then the products beside the shipping quote, then converts prices.
//     Nothing is recorded and no money moves; what can be refused is refused here.
//  2. Pivot. The intent is recorded, in state Charging, and the card is charged. This cannot be undone or blindly repeated, so it
//     is tried once.
//  3. Forward. The order is shipped, the cart emptied, and then, after the answer, the e-mail and the event are sent.
//     Deliveries are repeated until they are made, refused for good, or a day has passed. So is a shipment that certainly was
//     not made, or whose service honours keys. Any other shipment is repeated a few times, and each attempt is on record.
//
// From the charge on the order belongs to its run (run.go) and not to the caller, who may hang up. Between any two of its steps
// (steps.go) lies a durable record (State, Store, record.go), so after a crash Recover (recovery.go) enters the same steps at
// the recorded state. An order found in Charging may have been charged; the card is not stored and cannot be charged again, so
// the order is in doubt. A Ledger can look the charge up and reverse it; without one the order waits until an operator resolves
// it (resolve.go).
//
// A request that is sent twice is one order (existing.go, calls.go): by an idempotency key or, without one, because a user has
// one latest order, which the next one supersedes only once its cart is settled. The store decides that when it inserts an
// order, so it holds between replicas as well.
//
// A process that takes an order over raises its Epoch; a write with an older one fails with ErrFenced. Safety depends on the
// epoch and on the state compared with every write, never on clocks; leases only say when another process may try.
//
// # What is not here
//
// No protobuf, SQL, HTTP or telemetry. ports.go has the interfaces to them; gateways and the store implement these, and
// telemetry decorates them. The reason why a step failed is an *Error of one of the kinds in errors.go.
package order
