// Package sim proves that the order's promises hold in a world where everything goes wrong. It consists of tests.
//
// # What is real and what is not
//
// The real order.Placer (Place, Recover, Resolve) and the real pricing.Pricer run as two replicas of the service.
// Simulated are the other services, the record they share, the customers, the operators, and time: a schedule is a bubble of
// testing/synctest, in which minutes pass in a millisecond.
//
// # The door
//
// Every call of a port goes through one door (door_test.go). It decides how long the call takes and what befalls it: it
// is lost before it arrives, or its answer is; it hangs, is slow, arrives up to 100 s later, or twice; the process dies
// before or after it, or falls asleep for a minute; the replica is cut off from the store. A process that dies loses its
// memory, and the next one starts some seconds later; the ledgers of the other services (world_test.go) survive.
//
// # Repeatable
//
// What the door decides depends on the seed, the process, and the how-many-th call of that kind about that order it is,
// but on no other call. Latencies differ by nanoseconds, so that one goroutine wakes at a time. Hence a seed repeats exactly,
// and this tells what happens, line by line:
//
//	go test ./internal/sim -run TestSchedules -seed 4711 -v
//
// Even seeds have a payment service that honours keys and can be asked; odd ones have the shop's, which cannot. -without
// names kinds of faults to leave out.
//
// # What is checked
//
// check_test.go reads the ledgers of the other services and what customers were told, and compares both with the invariants
// of the design. The record is believed in nothing but in what it says that the order is. bugs_test.go plants mistakes
// (mistakes_test.go) in the source, one at a time, and wants each to be found: at least one for each of the invariants I1 to
// I11. crash_test.go lets the process die before and after each single call of an order, with the real store on a disk.
package sim
