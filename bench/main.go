// Command bench measures the service as its users meet it: the real program in a process of its own, with a memory limit
// like that of its container, against the shop's neighbours in this process. It prints orders a second, latencies, and
// what an order costs in CPU and memory. Run it with another -binary to compare.
//
//	go build -o bin/checkout ./cmd/checkout && go run ./bench -binary bin/checkout -lines 5 -concurrency 64
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// load is what is asked of the service.
type load struct {
	binary      string
	orders      int
	lines       int
	concurrency int
	currency    string
	latency     time.Duration
	memory      string
	durable     bool
	telemetry   bool
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var l load
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&l.binary, "binary", "bin/checkout", "`program` to measure, with the stock service's environment")
	flags.IntVar(&l.orders, "orders", 5000, "orders to place")
	flags.IntVar(&l.lines, "lines", 5, "lines of a cart")
	flags.IntVar(&l.concurrency, "concurrency", 64, "orders at once")
	flags.StringVar(&l.currency, "currency", "USD", "ISO 4217 `code` to pay in")
	flags.DurationVar(&l.latency, "latency", 0, "how much longer every call to a neighbour takes")
	flags.StringVar(&l.memory, "memlimit", "16MiB", "GOMEMLIMIT of the program")
	flags.BoolVar(&l.durable, "durable", true, "the record on disk, not in memory")
	flags.BoolVar(&l.telemetry, "telemetry", true, "export telemetry")
	if err := flags.Parse(args); err != nil {
		return err
	}
	shop, err := demo.Start(ctx, demo.Options{Products: l.lines})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	for _, n := range []*demo.Neighbour{shop.Cart.Neighbour, shop.Catalog.Neighbour, shop.Currency.Neighbour, shop.Payment.Neighbour, shop.Shipping.Neighbour, shop.Email.Neighbour} {
		n.Trouble(demo.Trouble{Latency: l.latency})
	}
	child, err := l.start(ctx, shop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, child.end()) }()
	warm := l
	warm.orders = min(l.orders/5, 500)
	if _, err := warm.place(ctx, shop, child.addr, "warm"); err != nil {
		return err
	}
	before, err := child.usage()
	if err != nil {
		return err
	}
	result, err := l.place(ctx, shop, child.addr, "user")
	if err != nil {
		return err
	}
	after, err := child.usage()
	if err != nil {
		return err
	}
	result.print(out, l, after.cpu-before.cpu, after)
	return nil
}

// result is how the orders went.
type result struct {
	took      time.Duration
	latencies []time.Duration // of the orders that were placed, sorted
	failures  int
	failure   error // one of them
}

// place places orders, so many at once, each with a user and a cart of its own.
func (l load) place(ctx context.Context, shop *demo.Shop, addr, prefix string) (result, error) {
	products := shop.Catalog.Products()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return result{}, err
	}
	defer func() { _ = conn.Close() }()
	client := oteldemo.NewCheckoutServiceClient(conn)
	var next atomic.Int64
	var mu sync.Mutex
	var r result
	var workers sync.WaitGroup
	began := time.Now()
	for range l.concurrency {
		workers.Go(func() {
			for i := int(next.Add(1)); i <= l.orders && ctx.Err() == nil; i = int(next.Add(1)) {
				user := prefix + strconv.Itoa(i)
				for _, p := range products[:l.lines] {
					shop.Cart.Put(user, p.GetId(), 1)
				}
				start := time.Now()
				_, err := client.PlaceOrder(ctx, l.request(user))
				mu.Lock()
				if err != nil {
					r.failures, r.failure = r.failures+1, err
				} else {
					r.latencies = append(r.latencies, time.Since(start))
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	r.took = time.Since(began)
	slices.Sort(r.latencies)
	return r, ctx.Err()
}

func (l load) request(user string) *oteldemo.PlaceOrderRequest {
	return &oteldemo.PlaceOrderRequest{
		UserId: user, UserCurrency: l.currency, Email: user + "@example.com",
		Address: &oteldemo.Address{StreetAddress: "1 Main", City: "SF", State: "CA", Country: "US", ZipCode: "94102"},
		CreditCard: &oteldemo.CreditCardInfo{ //nolint:gosec // a card that belongs to nobody
			CreditCardNumber: "4432-8015-6152-0454", CreditCardCvv: 672, CreditCardExpirationYear: 2039, CreditCardExpirationMonth: 1,
		},
	}
}

func (r result) print(out io.Writer, l load, cpu time.Duration, u usage) {
	placed := len(r.latencies)
	at := func(q float64) time.Duration {
		if placed == 0 {
			return 0
		}
		return r.latencies[min(int(q*float64(placed)), placed-1)].Round(10 * time.Microsecond)
	}
	_, _ = fmt.Fprintf(out, "%d lines in %s, %d at once, %v a call, GOMEMLIMIT=%s: %d placed, %d failed\n", l.lines, l.currency, l.concurrency, l.latency, l.memory, placed, r.failures)
	_, _ = fmt.Fprintf(out, "  %.0f orders/s   p50 %v  p90 %v  p99 %v  max %v\n", float64(placed)/r.took.Seconds(), at(.5), at(.9), at(.99), at(1))
	_, _ = fmt.Fprintf(out, "  %.2f ms CPU an order   peak RSS %.1f MiB, of it anonymous now %.1f MiB\n", float64(cpu.Microseconds())/1000/float64(max(placed, 1)), mib(u.peak), mib(u.anonymous))
	if r.failure != nil {
		_, _ = fmt.Fprintf(out, "  a failure: %v\n", r.failure)
	}
}

func mib(kib int64) float64 { return float64(kib) / 1024 }

// freePort is a port that was free a moment ago, for a program that cannot say which it has taken.
func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
