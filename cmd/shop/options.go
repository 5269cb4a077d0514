package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The values of -payment and -shipping, and of checkout's PAYMENT_MODE and SHIPPING_MODE.
const (
	stock = "stock"
	keyed = "keyed"
)

// memory is the value of -db, and of checkout's CHECKOUT_DB, for a record that ends with the process.
const memory = "memory"

// options are what the command line says.
type options struct {
	orders      int
	concurrency int
	lines       int
	currency    string
	latency     time.Duration
	fail, lose  chances
	away        names
	unshippable float64
	payment     string // stock or keyed
	shipping    string // stock or keyed
	port        int
	db          string
	keep        bool
	http        string // where the site is; empty: there is none
	program     string // checkout's; empty: this one
}

// misuseError says that the command line makes no sense.
type misuseError struct{ error }

const usage = `Usage: shop [flags]

Opens a whole shop: checkout in a process of its own, and the six services that it calls, a Kafka broker, accounting,
feature flags, an OpenTelemetry collector and a web site in this one. Without -orders it places one order, shows everything
that came of it, and serves until Ctrl-C. With -orders it places that many and tells how fast, and whether the books balance; its exit status is then 0
only if every order that was charged was shipped, confirmed and booked exactly once, or its money given back.

  shop                                              look at one order
  shop -currency JPY -lines 6                       … with more products, in yen
  shop -orders 1000 -concurrency 16                 measure
  shop -orders 1000 -fail payment=0.1               a tenth of the cards is refused
  shop -orders 1000 -away kafka,email               no broker and no mail while the orders are placed
  shop -orders 200 -payment keyed -lose payment=0.1 answers get lost, and charges are looked up
  shop -orders 200 -payment keyed -unshippable 0.1  what is paid and cannot be shipped is paid back
  shop -orders 200 -shipping keyed -lose shipping=0.1   answers get lost, and each order is one parcel

Neighbours: cart catalog currency payment shipping email, and for -away also kafka flagd collector.

Flags:
`

// parse reads the command line. Its error is a *misuseError or flag.ErrHelp.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{fail: chances{}, lose: chances{}}
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are told once, by main
	flags.IntVar(&o.orders, "orders", 0, "place so `many` orders and report; 0: place one and show it")
	flags.IntVar(&o.concurrency, "concurrency", 16, "orders `at once`")
	flags.IntVar(&o.lines, "lines", 3, "different `products` in an order, 1 to 12")
	flags.StringVar(&o.currency, "currency", "USD", "ISO 4217 `code` of the currency to pay in")
	flags.DurationVar(&o.latency, "latency", 0, "how much `longer` every neighbour takes, such as 5ms")
	flags.Var(o.fail, "fail", "`neighbour=chance,…`: with that chance a call is refused, and nothing done")
	flags.Var(o.lose, "lose", "`neighbour=chance,…`: with that chance a call is done, and its answer lost")
	flags.Var(&o.away, "away", "`neighbour,…` that take no calls while the orders are placed, and return afterwards")
	flags.Float64Var(&o.unshippable, "unshippable", 0, "the `chance` that a paid order is refused by shipping, for good")
	flags.StringVar(&o.payment, "payment", stock, "`stock|keyed`: whether payment honours idempotency keys, and can look charges up and reverse them")
	flags.StringVar(&o.shipping, "shipping", stock, "`stock|keyed`: whether shipping honours idempotency keys, so that an order is one parcel however often it is sent")
	flags.IntVar(&o.port, "port", 0, "`port` of checkout; 0: any")
	flags.StringVar(&o.db, "db", "", "checkout's record of orders: a `path`, or memory without a site; default: a file that is removed in the end")
	flags.BoolVar(&o.keep, "keep", false, "after -orders, go on serving until Ctrl-C")
	flags.StringVar(&o.http, "http", site8088, "`address` of the site, when it serves on: this one or, if that is taken, another port; empty: no site. Whoever reaches it sees everything and can do everything there")
	flags.StringVar(&o.program, "checkout", "", "`path` of another executable to be checkout, such as bin/checkout; default: this one")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stderr, usage)
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return o, flag.ErrHelp
	case err != nil:
		return o, &misuseError{err}
	case flags.NArg() > 0:
		return o, &misuseError{fmt.Errorf("argument %q: there are only flags", flags.Arg(0))}
	}
	return o, o.check()
}

func (o options) check() error {
	wrong := func(format string, args ...any) error { return &misuseError{fmt.Errorf(format, args...)} }
	switch {
	case o.orders < 0:
		return wrong("-orders=%d: must not be negative", o.orders)
	case o.concurrency < 1 || o.concurrency > 10_000:
		return wrong("-concurrency=%d: must be between 1 and 10000", o.concurrency)
	case o.lines < 1 || o.lines > maxLines:
		return wrong("-lines=%d: must be between 1 and %d", o.lines, maxLines)
	case o.latency < 0:
		return wrong("-latency=%v: must not be negative", o.latency)
	case !(o.unshippable >= 0 && o.unshippable <= 1):
		return wrong("-unshippable=%v: must be between 0 and 1", o.unshippable)
	case o.payment != stock && o.payment != keyed:
		return wrong("-payment=%s: must be %s or %s", o.payment, stock, keyed)
	case o.shipping != stock && o.shipping != keyed:
		return wrong("-shipping=%s: must be %s or %s", o.shipping, stock, keyed)
	case o.port < 0 || o.port > 65535:
		return wrong("-port=%d: is no port", o.port)
	case o.db == memory && o.hasSite():
		return wrong("-db=%s: the site can kill checkout, and its record would die with it; give a path, or -http= for no site", o.db)
	}
	return nil
}

// names is a list of neighbours.
type names []string

func (n *names) String() string { return strings.Join(*n, ",") }

func (n *names) Set(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if !isNeighbour(name) && name != "kafka" && name != "flagd" && name != "collector" {
			return fmt.Errorf("there is no neighbour %q", name)
		}
		*n = append(*n, name)
	}
	return nil
}

// chances are probabilities by neighbour.
type chances map[string]float64

func (c chances) String() string { return "" }

func (c chances) Set(s string) error {
	for pair := range strings.SplitSeq(s, ",") {
		name, chance, _ := strings.Cut(pair, "=")
		if !isNeighbour(name) {
			return fmt.Errorf("there is no neighbour %q that could do that", name)
		}
		p, err := strconv.ParseFloat(chance, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return fmt.Errorf("%q is not neighbour=chance with a chance between 0 and 1", pair)
		}
		c[name] = p
	}
	return nil
}

// isNeighbour tells whether checkout calls a neighbour of that name during an order.
func isNeighbour(name string) bool {
	switch name {
	case "cart", "catalog", "currency", "payment", "shipping", "email":
		return true
	}
	return false
}
