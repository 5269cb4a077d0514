package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/process"
)

// The other services run in a process of their own, so that what they use of the processors is neither the service's nor
// the load's. They are told what to do over the process's standard input and output, in JSON-RPC.

// deskTime is what the other services get to do as they are told.
const deskTime = 30 * time.Second

// runShop is the other services' process. It ends when in does.
func runShop(ctx context.Context, in io.ReadCloser, out io.WriteCloser) (err error) {
	shop, err := demo.Start(ctx, demo.Options{Products: maxProducts})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	server := rpc.NewServer()
	if err := server.RegisterName("Desk", &Desk{shop}); err != nil {
		return err
	}
	server.ServeCodec(jsonrpc.NewServerCodec(stream{in, out}))
	return nil
}

// Desk is what the other services can be told and asked. It is exported for net/rpc only.
type Desk struct{ shop *demo.Shop }

// Filling asks for carts: of the users Prefix0, Prefix1, and so on, with one piece each of so many of the first Products
// of the catalogue. Where one cart ends the next begins, so that orders placed at the same time have as little in common
// as that allows.
type Filling struct {
	Prefix                 string
	Carts, Lines, Products int
}

// cart are the places in the catalogue of what is in the i-th cart.
func (f Filling) cart(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for line := range f.Lines {
			if !yield((i*f.Lines + line) % f.Products) {
				return
			}
		}
	}
}

// Environ is the environment of a service in this shop.
func (d *Desk) Environ(_ struct{}, environ *map[string]string) error { //nolint:unparam // net/rpc wants it so
	*environ = d.shop.Environ()
	return nil
}

// Latency makes every call to the other services take so much longer. The broker, the flags and the collector stay as they
// are.
func (d *Desk) Latency(latency time.Duration, _ *struct{}) error { //nolint:unparam // likewise
	s := d.shop
	for _, n := range []*demo.Server{s.Cart.Server, s.Catalog.Server, s.Currency.Server, s.Payment.Server, s.Shipping.Server, s.Email.Server} {
		n.Inject(demo.Fault{Latency: latency})
	}
	return nil
}

// Fill fills carts.
func (d *Desk) Fill(f Filling, _ *struct{}) error {
	products := d.shop.Catalog.Products()
	if f.Lines > f.Products || f.Products > len(products) {
		return fmt.Errorf("%d lines of %d products: there are %d products", f.Lines, f.Products, len(products))
	}
	for i := range f.Carts {
		for at := range f.cart(i) {
			d.shop.Cart.Put(f.Prefix+strconv.Itoa(i), products[at].GetId(), 1)
		}
	}
	return nil
}

// Supplying asks for carts that fill themselves: every user's holds so many Lines of the first Products of the catalogue,
// one piece each, until it is emptied; that of a user whose name begins with Greedy holds them for good.
type Supplying struct {
	Lines, Products int
	Greedy          string
}

// Supply makes carts fill themselves.
func (d *Desk) Supply(s Supplying, _ *struct{}) error {
	products := d.shop.Catalog.Products()
	if s.Lines > s.Products || s.Products > len(products) {
		return fmt.Errorf("%d lines of %d products: there are %d products", s.Lines, s.Products, len(products))
	}
	f := Filling{Lines: s.Lines, Products: s.Products}
	d.shop.Cart.Supply(func(user string) (items []*oteldemo.CartItem, endless bool) {
		number, _ := strconv.Atoi(user[max(0, len(user)-9):]) // a name without a number is as good as number 0
		for at := range f.cart(max(number, 0)) {
			items = append(items, &oteldemo.CartItem{ProductId: products[at].GetId(), Quantity: 1})
		}
		return items, s.Greedy != "" && strings.HasPrefix(user, s.Greedy)
	})
	return nil
}

// Limiting limits how many calls of a method a second are done; see demo.Fault. An empty Method ends all limits.
type Limiting struct {
	Method  string
	Rate    float64
	Persist bool
}

// Limit limits a method, which only one service has.
func (d *Desk) Limit(l Limiting, _ *struct{}) error {
	s := d.shop
	methods := map[string]*demo.Server{
		"GetCart": s.Cart.Server, "EmptyCart": s.Cart.Server, "GetProduct": s.Catalog.Server, "Convert": s.Currency.Server,
		"Charge": s.Payment.Server, "get-quote": s.Shipping.Server, "ship-order": s.Shipping.Server, "send_order_confirmation": s.Email.Server,
	}
	if l.Method == "" {
		for method, n := range methods {
			n.Inject(demo.Fault{}, method)
		}
		return nil
	}
	n := methods[l.Method]
	if n == nil {
		return fmt.Errorf("no service has a method %q", l.Method)
	}
	n.Inject(demo.Fault{Rate: l.Rate, Persist: l.Persist}, l.Method)
	return nil
}

// ChargeCount is how many charges are in the payment service's ledger.
func (d *Desk) ChargeCount(_ struct{}, n *int) error { //nolint:unparam // net/rpc wants it so
	*n = len(d.shop.Payment.Charges())
	return nil
}

// Charged are the orders of all charges but the first so many.
func (d *Desk) Charged(skip int, orders *[]string) error { //nolint:unparam // likewise
	charges := d.shop.Payment.Charges()
	for _, c := range charges[min(skip, len(charges)):] {
		*orders = append(*orders, c.Key)
	}
	return nil
}

// Question asks for a sum that a service has exported and that was read after a moment.
type Question struct {
	Service, Metric string
	After           time.Time
	Patience        time.Duration
}

// Sum answers with the sum's value, or an error when none has come in time.
func (d *Desk) Sum(q Question, value *int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), q.Patience)
	defer cancel()
	found := false
	err := d.shop.Await(ctx, func() bool {
		*value, found = find(d.shop.Collector.Metrics(), q)
		return found
	})
	if err != nil {
		return fmt.Errorf("%s of %s: %w", q.Metric, q.Service, err)
	}
	return nil
}

// find looks for the sum among metrics.
func find(metrics []demo.Metric, q Question) (value int64, found bool) {
	for _, m := range metrics {
		if m.GetName() != q.Metric || !named(m.Resource.GetAttributes(), q.Service) {
			continue
		}
		for _, point := range m.GetSum().GetDataPoints() {
			if after(point, q.After) {
				value, found = point.GetAsInt(), true
			}
		}
	}
	return value, found
}

func after(point *metricsv1.NumberDataPoint, t time.Time) bool {
	return point.GetTimeUnixNano() > uint64(t.UnixNano())
}

func named(attributes []*commonv1.KeyValue, service string) bool {
	for _, a := range attributes {
		if a.GetKey() == "service.name" {
			return a.GetValue().GetStringValue() == service
		}
	}
	return false
}

// shop is the other services' process, seen from the outside.
type shop struct {
	cmd     *exec.Cmd
	client  *rpc.Client
	environ map[string]string
}

// openShop starts the other services.
func openShop(ctx context.Context) (*shop, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, modeShop) //nolint:gosec // it is this very program
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, process.DieWithParent()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the other services: %w", err)
	}
	s := &shop{cmd: cmd, client: jsonrpc.NewClient(stream{out, in})}
	if err := s.tell(ctx, "Environ", struct{}{}, &s.environ); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// tell calls a method of the Desk.
func (s *shop) tell(ctx context.Context, method string, args, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, deskTime)
	defer cancel()
	call := s.client.Go("Desk."+method, args, answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("other services: %s: %w", method, call.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("other services: %s: %w", method, context.Cause(ctx))
	}
}

// close ends the other services, and waits for them.
func (s *shop) close() error { return errors.Join(s.client.Close(), s.cmd.Wait()) }

// stream is two pipes as one connection.
type stream struct {
	io.ReadCloser
	out io.WriteCloser
}

func (s stream) Write(p []byte) (int, error) { return s.out.Write(p) }

func (s stream) Close() error { return errors.Join(s.out.Close(), s.ReadCloser.Close()) }
