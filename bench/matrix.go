package main

import (
	"fmt"
	"strings"
	"time"
)

// cell is one load, on a service that was set up in one way.
type cell struct {
	lines       int
	products    int // that carts are filled from
	concurrency int
	rate        float64 // orders a second in an open loop; 0: a closed loop
	latency     time.Duration
	currency    string
	kafka       bool
	db          string
	telemetry   bool
	memory      string // GOMEMLIMIT
}

// usual is the cell that others are told from.
func usual() cell {
	return cell{lines: 5, products: maxProducts, concurrency: 64, currency: "USD", kafka: true, db: sqlite, telemetry: true, memory: "16MiB"}
}

// String is the cell in a few words: what is unusual about it, and always its lines and how many orders at once.
func (c cell) String() string {
	words := []string{plural(c.lines, "line"), fmt.Sprintf("%d at once", c.concurrency)}
	if c.rate > 0 {
		words[1] = fmt.Sprintf("%g a second", c.rate)
	}
	if c.latency > 0 {
		words = append(words, fmt.Sprintf("%v a call", c.latency))
	}
	if c.currency != usual().currency {
		words = append(words, c.currency)
	}
	if c.products != usual().products {
		words = append(words, fmt.Sprintf("of %d products", c.products))
	}
	if !c.kafka {
		words = append(words, "no Kafka")
	}
	if c.db != usual().db {
		words = append(words, map[string]string{postgres: "PostgreSQL", memory: "record in memory"}[c.db])
	}
	if !c.telemetry {
		words = append(words, "no telemetry")
	}
	if c.memory != usual().memory {
		words = append(words, "GOMEMLIMIT="+c.memory)
	}
	return strings.Join(words, ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// standard are the cells that are measured when nothing is said: those of the aims, a sweep over lines, a sweep over
// orders at once, and what else changes the cost of an order. The whole product of all this would take an hour.
func standard() []cell {
	with := func(change func(*cell)) cell {
		c := usual()
		change(&c)
		return c
	}
	aims := []cell{
		usual(),
		with(func(c *cell) { c.lines, c.latency = 20, 5*time.Millisecond }),
		with(func(c *cell) { c.lines, c.latency, c.concurrency = 20, 5*time.Millisecond, 1 }),
	}
	var sweeps []cell
	for _, lines := range []int{1, 5, 20, 100} {
		sweeps = append(sweeps, with(func(c *cell) { c.lines, c.concurrency = lines, 16 }))
	}
	for _, concurrency := range []int{1, 256} { // 16 and 64 are there already
		sweeps = append(sweeps, with(func(c *cell) { c.concurrency = concurrency }))
	}
	return append(append(aims, sweeps...),
		with(func(c *cell) { c.products = 10 }), // as few as the shop has: orders at once often want the same
		with(func(c *cell) { c.currency = "EUR" }),
		with(func(c *cell) { c.kafka = false }),
		with(func(c *cell) { c.telemetry = false }),
		with(func(c *cell) { c.db = memory }),
		with(func(c *cell) { c.db = postgres }),
	)
}

// product are all the cells that choices allow. The last choice varies fastest.
func product(choices ...[]func(*cell)) []cell {
	cells := []cell{usual()}
	for _, changes := range choices {
		var more []cell
		for _, c := range cells {
			for _, change := range changes {
				changed := c
				change(&changed)
				more = append(more, changed)
			}
		}
		cells = more
	}
	return cells
}
