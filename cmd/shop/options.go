package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"checkout/internal/cli"
	"checkout/internal/version"
)

// The values of -payment and -shipping, and of checkout's PAYMENT_MODE and SHIPPING_MODE.
const (
	stock = "stock"
	keyed = "keyed"
)

// memory is the value of -db, and of checkout's CHECKOUT_DB, for a record that ends with the process.
const memory = "memory"

// faultyOrders is how many orders show a probability.
const faultyOrders = 200

// options are what the command line says.
type options struct {
	orders      int
	concurrency int
	lines       int
	currency    string
	latency     time.Duration
	fail, lose  chances
	offline     []string
	unshippable float64
	payment     string // stock or keyed
	shipping    string // stock or keyed
	port        int
	anyPort     bool // if port is in use
	db          string
	keep        bool
	http        string // where the site is; empty: there is none
	program     string // checkout's; empty: this one
}

// newCommand returns the command.
func newCommand(environ []string, stdout io.Writer) *cobra.Command {
	o := options{fail: chances{}, lose: chances{}}
	cmd := &cobra.Command{
		Use:   "shop",
		Short: "Run a whole shop in one program",
		Long: `Run a whole shop on 127.0.0.1: checkout in a process of its own, and in this one the six services that it calls, a Kafka
broker, accounting, feature flags, an OpenTelemetry collector and a web site.

It places one order, shows its outcome, and serves until Ctrl-C. With --orders it places that many, reports response times
and whether the ledgers match, and ends. Its exit status is then 0 only if every order that was charged was charged and
shipped once, confirmed by e-mail and published, or refunded, or waits for an operator. With --fail, --lose or --unshippable it places 200,
unless --orders says otherwise.

Services are cart, catalog, currency, payment, shipping and email; with --offline also kafka, flagd and collector.`,
		Example: `  shop                                                      # look at one order
  shop --currency JPY --lines 6                             # with more products, in yen
  shop --orders 1000 --concurrency 16                       # measure
  shop --orders 1000 --offline kafka,email                  # no broker and no e-mail while the orders are placed
  shop --fail payment=0.1                                   # a tenth of the cards is declined
  shop --payment stock --lose payment=0.1                   # responses are lost: payment unknown, for an operator
  shop --payment keyed --lose payment=0.1                   # responses are lost, and charges are looked up
  shop --payment keyed --unshippable 0.1                    # paid orders that cannot be shipped are refunded
  shop --shipping keyed --lose shipping=0.1                 # responses are lost, and each order is one parcel`,
		Args:    cli.Args(),
		Version: version.Read().String(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.anyPort = !cmd.Flags().Changed("port")
			if !cmd.Flags().Changed("orders") && (len(o.fail)+len(o.lose) > 0 || o.unshippable > 0) {
				o.orders = faultyOrders
			}
			if err := o.check(); err != nil {
				return err
			}
			if err := run(cmd.Context(), o, environ, stdout); err != nil {
				return cli.Fail(err)
			}
			return nil
		},
	}
	o.flags(cmd.Flags())
	cmd.AddCommand(servicesCommand(stdout))
	return cmd
}

func (o *options) flags(flags *pflag.FlagSet) {
	flags.IntVar(&o.orders, "orders", 0, "`number` of orders to place and report on; 0: place one, show it, and serve")
	flags.IntVar(&o.concurrency, "concurrency", 16, "`number` of orders in progress at once")
	flags.IntVar(&o.lines, "lines", 3, "`number` of different products in an order, 1 to 12")
	flags.StringVar(&o.currency, "currency", "USD", "ISO 4217 `code` of the currency to pay in")
	flags.DurationVar(&o.latency, "latency", 0, "`time` that every service takes longer, such as 5ms")
	flags.Func("fail", "probability that calls are refused and nothing is done, as `service=probability,...`", o.fail.set)
	flags.Func("lose", "probability that calls are done and their responses lost, as `service=probability,...`", o.lose.set)
	flags.Func("offline", "`service,...` that are offline while the orders are placed, and online afterwards", o.takeOffline)
	flags.Float64Var(&o.unshippable, "unshippable", 0, "`probability` that shipping refuses a paid order permanently")
	flags.StringVar(&o.payment, "payment", stock, "payment `mode`: stock, or keyed, which honours idempotency keys, can look up charges and refund them")
	flags.StringVar(&o.shipping, "shipping", stock, "shipping `mode`: stock, or keyed, which honours idempotency keys")
	flags.IntVar(&o.port, "port", 5050, "`port` of checkout; 0: any. If the default is in use: any")
	flags.StringVar(&o.db, "db", "", "checkout's record of orders: a `path`, or memory without a site; default: a file that is removed at the end")
	flags.BoolVar(&o.keep, "keep", false, "after --orders, continue to serve until Ctrl-C")
	flags.StringVar(&o.http, "http", site8088, "`address` of the site; if the port is in use: any; empty: no site. It has no sign-in")
	flags.StringVar(&o.program, "checkout", "", "`path` of another executable of checkout, such as bin/checkout; default: this one")
}

func (o options) check() error {
	switch {
	case o.orders < 0:
		return fmt.Errorf("--orders=%d: must not be negative", o.orders)
	case o.concurrency < 1 || o.concurrency > 10_000:
		return fmt.Errorf("--concurrency=%d: must be between 1 and 10000", o.concurrency)
	case o.lines < 1 || o.lines > maxLines:
		return fmt.Errorf("--lines=%d: must be between 1 and %d", o.lines, maxLines)
	case o.latency < 0:
		return fmt.Errorf("--latency=%v: must not be negative", o.latency)
	case !(o.unshippable >= 0 && o.unshippable <= 1):
		return fmt.Errorf("--unshippable=%v: must be between 0 and 1", o.unshippable)
	case o.payment != stock && o.payment != keyed:
		return fmt.Errorf("--payment=%q: must be %s or %s", o.payment, stock, keyed)
	case o.shipping != stock && o.shipping != keyed:
		return fmt.Errorf("--shipping=%q: must be %s or %s", o.shipping, stock, keyed)
	case o.port < 0 || o.port > 65535:
		return fmt.Errorf("--port=%d: must be between 0 and 65535", o.port)
	case o.db == memory && o.hasSite():
		return fmt.Errorf("--db=%s: the site can kill checkout, and its record would be lost; use a path, or --http= for no site", o.db)
	}
	if _, _, err := net.SplitHostPort(o.http); err != nil && o.http != "" {
		return fmt.Errorf("--http=%q: must be host:port, such as %s", o.http, site8088)
	}
	return nil
}

// takeOffline takes names of services.
func (o *options) takeOffline(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if !isService(name) && name != "kafka" && name != "flagd" && name != "collector" {
			return fmt.Errorf("unknown service %q", name)
		}
		o.offline = append(o.offline, name)
	}
	return nil
}

// chances are probabilities by service.
type chances map[string]float64

func (c chances) set(s string) error {
	for pair := range strings.SplitSeq(s, ",") {
		name, chance, _ := strings.Cut(pair, "=")
		if !isService(name) {
			return fmt.Errorf("unknown service %q", name)
		}
		p, err := strconv.ParseFloat(chance, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return fmt.Errorf("%q must be service=probability, between 0 and 1", pair)
		}
		c[name] = p
	}
	return nil
}

// isService reports whether checkout calls a service of that name during an order.
func isService(name string) bool {
	return slices.Contains([]string{"cart", "catalog", "currency", "payment", "shipping", "email"}, name)
}
