// Command crash kills the service while customers buy, and then audits the shop. The service is the released executable in
// processes of its own; the other services run in this process and keep ledgers, independent of the service's record. No
// customer may have been charged twice, and no paid order may be lost. Otherwise the exit status is 1, and the orders are
// printed.
//
//	go run ./crash -kills 50
//	go run ./crash -kills 300 -db postgres -replicas 3 -payment keyed
//	go run ./crash -kills 100 -shipping stock -attempts 1
//	go run ./crash -outage 10m -rate 50    the broker is unavailable for a while
//	go run ./crash -sweep 8000             many orders are recovered at once
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"checkout/internal/test/process"
)

func main() { os.Exit(process.Main(run)) }

// options are the command line.
type options struct {
	binary      string
	db          string
	payment     string
	shipping    string
	attempts    int
	replicas    int
	concurrency int
	seed        uint64
	memory      string

	kills  int
	outage time.Duration
	rate   int
	sweep  int
}

// The values of options that are words.
const (
	sqlite   = "sqlite"
	postgres = "postgres"
	stock    = "stock"
	keyed    = "keyed"
)

// parse reads the arguments. Help goes to out. Its error names everything that is wrong with them.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.binary, "binary", "", "service to start, a `program`; default: it is built")
	flags.StringVar(&o.db, "db", sqlite, "where orders are recorded: `sqlite|postgres`")
	flags.StringVar(&o.payment, "payment", stock, "the payment service honours keys or not: `stock|keyed`")
	flags.StringVar(&o.shipping, "shipping", "", "the shipping service honours keys or not: `stock|keyed`; default: as the payment service")
	flags.IntVar(&o.attempts, "attempts", 3, "with -shipping stock: attempts to ship an order that may each have sent a parcel, at most")
	flags.IntVar(&o.replicas, "replicas", 1, "processes of the service: 1 to 3; several need postgres")
	flags.IntVar(&o.concurrency, "concurrency", 8, "customers at once")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the random choices; default: another one each time")
	flags.StringVar(&o.memory, "memlimit", "16MiB", "GOMEMLIMIT of the service; the default is that of its container")
	flags.IntVar(&o.kills, "kills", 50, "how often a process is killed")
	flags.DurationVar(&o.outage, "outage", 0, "instead of killing: `time` that the broker is unavailable")
	flags.IntVar(&o.rate, "rate", 50, "with -outage: orders a second")
	flags.IntVar(&o.sweep, "sweep", 0, "instead of killing many times: how many `orders` are to be recovered at once")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.shipping == "" {
		o.shipping = o.payment
	}
	if o.seed == 0 {
		o.seed = 1 + rand.Uint64N(1_000_000) //nolint:gosec // rng, not a secret
	}
	var problems []error
	demand := func(right bool, format string, values ...any) {
		if !right {
			problems = append(problems, fmt.Errorf(format, values...))
		}
	}
	demand(flags.NArg() == 0, "argument %q: only flags are taken", flags.Arg(0))
	demand(o.db == sqlite || o.db == postgres, "-db %q: neither %s nor %s", o.db, sqlite, postgres)
	demand(o.payment == stock || o.payment == keyed, "-payment %q: neither %s nor %s", o.payment, stock, keyed)
	demand(o.shipping == stock || o.shipping == keyed, "-shipping %q: neither %s nor %s", o.shipping, stock, keyed)
	demand(o.attempts >= 1 && o.attempts <= 100, "-attempts %d: not from 1 to 100", o.attempts)
	demand(o.replicas >= 1 && o.replicas <= 3, "-replicas %d: not from 1 to 3", o.replicas)
	demand(o.replicas == 1 || o.db == postgres, "-replicas %d: a database of %s belongs to one process", o.replicas, sqlite)
	demand(o.concurrency >= 1, "-concurrency %d: too few", o.concurrency)
	demand(o.kills >= 0 && o.sweep >= 0 && o.outage >= 0, "a negative number of kills, orders or seconds")
	demand(o.rate >= 1, "-rate %d: too low", o.rate)
	demand(o.sweep == 0 || o.db == sqlite, "-sweep: with %s orders are free only after their lease", postgres)
	return o, errors.Join(problems...)
}

// run does what the arguments ask for.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	s, err := open(ctx, o, out)
	if err != nil {
		return err
	}
	switch {
	case o.outage > 0:
		err = s.outage(ctx)
	case o.sweep > 0:
		err = s.sweep(ctx)
	default:
		err = s.killRun(ctx)
	}
	return errors.Join(err, s.close(err != nil && ctx.Err() == nil))
}
