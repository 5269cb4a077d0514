package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"checkout/bench/floor"
)

// options are what is asked for.
type options struct {
	effort
	cells      []cell
	programs   []program
	containers []int64 // bytes of memory cgroups; none: no cgroup
	cgroup     string  // folder where cgroups are mounted
	csv        bool
	docs       string // folder of performance.md and plots; empty: nothing is written there
}

// list is a flag with one value or several, separated by commas.
type list[T any] struct {
	values []T
	parse  func(string) (T, error)
}

// Set implements flag.Value.
func (l *list[T]) Set(text string) error {
	l.values = nil
	for word := range strings.SplitSeq(text, ",") {
		value, err := l.parse(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		l.values = append(l.values, value)
	}
	return nil
}

// String implements flag.Value.
func (l *list[T]) String() string {
	var words []string
	for _, value := range l.values {
		words = append(words, fmt.Sprint(value))
	}
	return strings.Join(words, ",")
}

// IsBoolFlag lets -kafka stand for -kafka=true.
func (l *list[T]) IsBoolFlag() bool { _, is := any(l.values).([]bool); return is }

// lists are the flags that make cells.
type lists struct {
	lines, products          list[int]
	concurrency              list[int]
	rate                     list[float64]
	latency                  list[time.Duration]
	currency, db, memory     list[string]
	kafka, durable, exported list[bool]
}

func newLists() *lists {
	u := usual()
	return &lists{
		lines:       list[int]{[]int{u.lines}, upTo(maxLines)},
		products:    list[int]{[]int{u.products}, upTo(maxProducts)},
		concurrency: list[int]{[]int{u.concurrency}, upTo(4096)},
		rate:        list[float64]{[]float64{u.rate}, rate},
		latency:     list[time.Duration]{[]time.Duration{u.latency}, time.ParseDuration},
		currency:    list[string]{[]string{u.currency}, word},
		db:          list[string]{[]string{u.db}, oneOf(sqlite, postgres, memory)},
		memory:      list[string]{[]string{u.memory}, word},
		kafka:       list[bool]{[]bool{u.kafka}, strconv.ParseBool},
		durable:     list[bool]{[]bool{true}, strconv.ParseBool},
		exported:    list[bool]{[]bool{u.telemetry}, strconv.ParseBool},
	}
}

func (l *lists) flags(flags *flag.FlagSet) {
	flags.Var(&l.lines, "lines", "`lines` of a cart")
	flags.Var(&l.products, "products", "`products` that carts are filled from: with few, orders at once have some in common")
	flags.Var(&l.concurrency, "concurrency", "`orders` at once, in a closed loop")
	flags.Var(&l.rate, "rate", "`orders` a second, in an open loop; 0: a closed loop")
	flags.Var(&l.latency, "latency", "`time` that every call to another service takes longer")
	flags.Var(&l.currency, "currency", "ISO 4217 `code` to pay in")
	flags.Var(&l.kafka, "kafka", "a broker for the orders' events")
	flags.Var(&l.db, "db", "where orders are recorded: `sqlite|postgres|memory`")
	flags.Var(&l.durable, "durable", "the record as -db says; false: in memory")
	flags.Var(&l.exported, "telemetry", "telemetry is exported")
	flags.Var(&l.memory, "memlimit", "`GOMEMLIMIT` of the programs; the default is that of the shop's container")
}

// cells are the product of all lists.
func (l *lists) cells() []cell {
	return product(
		choices(l.db, func(c *cell, v string) { c.db = v }),
		choices(l.durable, func(c *cell, durable bool) {
			if !durable {
				c.db = memory
			}
		}),
		choices(l.exported, func(c *cell, v bool) { c.telemetry = v }),
		choices(l.kafka, func(c *cell, v bool) { c.kafka = v }),
		choices(l.memory, func(c *cell, v string) { c.memory = v }),
		choices(l.currency, func(c *cell, v string) { c.currency = v }),
		choices(l.products, func(c *cell, v int) { c.products = v }),
		choices(l.latency, func(c *cell, v time.Duration) { c.latency = v }),
		choices(l.rate, func(c *cell, v float64) { c.rate = v }),
		choices(l.concurrency, func(c *cell, v int) { c.concurrency = v }),
		choices(l.lines, func(c *cell, v int) { c.lines = v }),
	)
}

// choices are the changes that make a cell one of each value.
func choices[T any](l list[T], set func(*cell, T)) []func(*cell) {
	var changes []func(*cell)
	for _, value := range l.values {
		changes = append(changes, func(c *cell) { set(c, value) })
	}
	return changes
}

// parse reads the arguments. self is this program, which has the floor within; help goes to out.
func parse(args []string, self string, out io.Writer) (options, error) {
	var o options
	var binary, rival string
	containers := list[int]{parse: upTo(1 << 20)}
	l := newLists()
	floors := list[string]{parse: oneOf(string(floor.Parallel), string(floor.Sequential))}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	l.flags(flags)
	flags.StringVar(&binary, "binary", "bin/checkout", "`program` to measure")
	flags.StringVar(&rival, "against", "", "another `program` to measure beside it, with the stock service's environment")
	flags.Var(&floors, "floor", "bare programs to measure beside it: `parallel,sequential`")
	flags.IntVar(&o.orders, "orders", 4000, "`orders` that a program is given in a cell, at most")
	flags.DurationVar(&o.time, "time", 5*time.Second, "`time` that a program is given in a cell, at most")
	flags.IntVar(&o.rounds, "rounds", 3, "`turns` that the programs take in a cell")
	flags.Var(&containers, "container", "measure the program in a cgroup of so many `MiB` of memory, page cache included, from a cold start")
	flags.StringVar(&o.cgroup, "cgroup", "/sys/fs/cgroup", "`folder` where cgroups are mounted")
	flags.BoolVar(&o.csv, "csv", false, "print comma-separated values and no Markdown")
	flags.StringVar(&o.docs, "docs", "", "`folder` of performance.md, in which the tables are replaced, and of plots")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q: only flags are taken", flags.Arg(0))
	}
	if o.rounds < 1 || o.orders < o.rounds || o.time <= 0 {
		return o, errors.New("-rounds, -orders, -time: there must be an order, and time, for every round")
	}
	for _, mib := range containers.values {
		o.containers = append(o.containers, int64(mib)<<20)
	}
	if o.cells = l.cells(); !anyOf(flags, l) {
		o.cells = standard()
	}
	for _, c := range o.cells {
		if c.lines > c.products {
			return o, fmt.Errorf("-lines %d: -products %d are fewer", c.lines, c.products)
		}
	}
	o.programs = []program{{name: "checkout", path: binary}}
	if rival != "" {
		o.programs = append(o.programs, program{name: "against " + filepath.Base(rival), path: rival})
	}
	for _, kind := range floors.values {
		o.programs = append(o.programs, program{name: "floor, " + kind, path: self, args: []string{modeFloor, kind}, bare: true})
	}
	return o, nil
}

// anyOf reports whether one of the flags that make cells was given.
func anyOf(flags *flag.FlagSet, l *lists) bool {
	cells := flag.NewFlagSet("", flag.ContinueOnError)
	l.flags(cells)
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || cells.Lookup(f.Name) != nil })
	return given
}

// upTo reads a number from 1 to most.
func upTo(most int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err == nil && (n < 1 || n > most) {
			err = fmt.Errorf("not from 1 to %d", most)
		}
		return n, err
	}
}

func rate(text string) (float64, error) {
	r, err := strconv.ParseFloat(text, 64)
	if err == nil && (r < 0 || r > 1e6) {
		err = errors.New("not from 0 to 1000000")
	}
	return r, err
}

func word(text string) (string, error) {
	if text == "" {
		return "", errors.New("empty")
	}
	return text, nil
}

func oneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		for _, w := range words {
			if w == text {
				return w, nil
			}
		}
		return "", fmt.Errorf("not %s", strings.Join(words, " or "))
	}
}
