// Package sim tests the order's guarantees under faults. It consists of tests.
//
// # What is real and what is not
//
// The real order.Placer (Place, Recover, Resolve) and the real pricing.Pricer run as two replicas of the service.
// Simulated are the other services, the record they share, the customers, the operators, and time: a schedule is a bubble of
// testing/synctest, in which minutes pass in a millisecond.
//
// # The network
//
// Every call of a port goes through network_test.go. It decides how long the call takes and what happens to it: it
// is lost before it arrives, or its answer is; it hangs, is slow, arrives up to 100 s later, or twice; the process dies
// before or after it, or is suspended for a minute; the replica is cut off from the store. A process that dies loses its
// memory, and the next one starts some seconds later; the ledgers of the other services (world_test.go) survive.
//
// # Repeatable
//
// What the network decides depends on the seed, the process, and the number of the call among those of its kind and order,
// but on no other call. Latencies differ by nanoseconds, so that one goroutine wakes at a time. Hence a seed repeats exactly,
// and this prints what happens, line by line:
//
//	go test ./internal/sim -run TestSchedules -seed 4711 -v
//
// Even seeds have an idempotent payment service, odd ones a basic one. -without names kinds of faults to leave out.
//
// # What is checked
//
// check_test.go compares the ledgers of the other services, the answers to customers and the record with the invariants I1 to I11.
// bugs_test.go plants bugs (planted_test.go) in the source, one at a time, and wants each to be found: at least one for each
// invariant. crash_test.go lets the process die before and after each single call of an order, with the real store on a disk.
package sim
