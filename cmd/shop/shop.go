package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/serve"
)

// shop is an open shop with checkout in it.
type shop struct {
	*demo.Shop
	options options
	page    *page
	folder  string // of files that are removed in the end

	address  string // checkout's
	conn     *grpc.ClientConn
	checkout oteldemo.CheckoutServiceClient
	ended    chan error // gets how checkout ended
	end      context.CancelFunc
	log      *os.File // checkout's
}

// open starts everything. On an error nothing is left running.
func open(ctx context.Context, o options, getenv func(string) string, p *page) (_ *shop, err error) {
	s := &shop{options: o, page: p, end: func() {}, ended: make(chan error, 1)}
	close := func() { err = errors.Join(err, s.close()) }
	if s.folder, err = os.MkdirTemp("", "shop-"); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if s.Shop, err = demo.Start(ctx, demo.Options{Folder: s.folder}); err == nil {
		err = s.startCheckout(ctx, getenv)
	}
	if err != nil {
		close()
		return nil, err
	}
	return s, nil
}

// startCheckout starts checkout and waits until it serves.
func (s *shop) startCheckout(ctx context.Context, getenv func(string) string) error {
	var err error
	if s.log, err = os.Create(filepath.Join(s.folder, "checkout.log")); err != nil {
		return fmt.Errorf("making checkout's log: %w", err)
	}
	env := s.environ()
	if err := exportTelemetry(env); err != nil {
		return err
	}
	lookup := func(name string) string {
		if value, ok := env[name]; ok {
			return value
		}
		return getenv(name)
	}
	config, err := serve.ParseConfig(nil, lookup, io.Discard)
	if err != nil {
		return fmt.Errorf("configuring checkout: %w", err)
	}
	ready := make(chan net.Addr, 1)
	ctx, s.end = context.WithCancel(context.WithoutCancel(ctx)) // it ends after those who order, in close
	ended := s.ended
	go func() {
		ended <- serve.Run(ctx, config, s.log, func(addr net.Addr) { ready <- addr })
	}()
	select {
	case addr := <-ready:
		_, port, _ := net.SplitHostPort(addr.String())
		s.address = net.JoinHostPort("127.0.0.1", port)
	case err := <-ended:
		ended <- nil // for close
		return fmt.Errorf("starting checkout: %w", err)
	}
	s.conn, err = grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connecting to checkout: %w", err)
	}
	s.checkout = oteldemo.NewCheckoutServiceClient(s.conn)
	return nil
}

// environ is what checkout's environment has from the shop.
func (s *shop) environ() map[string]string {
	env := s.Environ()
	env["CHECKOUT_PORT"] = strconv.Itoa(s.options.port)
	env["PAYMENT_MODE"] = s.options.payment
	env["CHECKOUT_DB"] = s.options.db
	if s.options.db == "" {
		env["CHECKOUT_DB"] = filepath.Join(s.folder, "orders.db")
	}
	// Telemetry is looked at right after the order, so it must not dawdle.
	env["OTEL_BSP_SCHEDULE_DELAY"], env["OTEL_BLRP_SCHEDULE_DELAY"] = "100", "100"
	return env
}

// exportTelemetry puts OpenTelemetry's variables into the environment of this process: its exporters look nowhere else.
func exportTelemetry(env map[string]string) error {
	for name, value := range env {
		if !strings.HasPrefix(name, "OTEL_") {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// close ends everything in order: the callers are gone, so checkout first, then what it calls.
func (s *shop) close() error {
	var failures []error
	if s.conn != nil {
		failures = append(failures, s.conn.Close())
	}
	if s.log != nil {
		s.end()
		if s.address != "" {
			failures = append(failures, <-s.ended)
		}
		failures = append(failures, s.log.Close())
	}
	if s.Shop != nil {
		failures = append(failures, s.Close())
	}
	if s.folder != "" {
		failures = append(failures, os.RemoveAll(s.folder))
	}
	return errors.Join(failures...)
}

// trade does what the options ask for.
func (s *shop) trade(ctx context.Context) error {
	s.introduce()
	var unbalanced error // is a reason to look, and to keep serving if that was asked for
	if s.options.orders > 0 {
		err := s.load(ctx)
		if !s.options.keep || err != nil && !errors.Is(err, errUnbalanced) {
			return err
		}
		unbalanced = err
	} else if err := s.show(ctx); err != nil {
		return err
	}
	s.page.say("\nServing. Ctrl-C ends.\n")
	select {
	case <-ctx.Done():
		return unbalanced
	case err := <-s.ended:
		s.ended <- nil // for close
		return fmt.Errorf("checkout has ended: %w", err)
	}
}

// place is a server of the shop, as the user knows it.
type place struct {
	name, protocol, what string
	door                 interface {
		Address() string
		Leave()
		Return() error
	}
	troubled interface {
		Trouble(t demo.Trouble, methods ...string)
	} // nil when checkout does not call it during an order
}

func (s *shop) places() []place {
	return []place{
		{"cart", "gRPC", "what users want to buy", s.Cart, s.Cart},
		{"catalog", "gRPC", "products and prices", s.Catalog, s.Catalog},
		{"currency", "gRPC", "conversions", s.Currency, s.Currency},
		{"payment", "gRPC", "charges cards", s.Payment, s.Payment},
		{"shipping", "HTTP", "quotes and parcels", s.Shipping, s.Shipping},
		{"email", "HTTP", "confirmations", s.Email, s.Email},
		{"kafka", "Kafka", "topic orders, read by accounting", s.Broker, nil},
		{"flagd", "gRPC", "feature flags", s.Flags, nil},
		{"collector", "OTLP", "traces, metrics and logs", s.Collector, nil},
	}
}

// introduce prints where everything is.
func (s *shop) introduce() {
	s.page.title("The shop is open")
	rows := [][]string{{"checkout", "gRPC", s.address, "places orders"}}
	for _, p := range s.places() {
		rows = append(rows, []string{p.name, p.protocol, p.door.Address(), p.what})
	}
	rows = append(rows, []string{"", "", s.log.Name(), "checkout's log"}, []string{"", "", s.Flags.Path(), "the flags as a file"})
	s.page.table(rows)
}

// makeTrouble brings the neighbours into the state that the options ask for.
func (s *shop) makeTrouble() {
	s.Payment.HonourKeys(s.options.payment == keyed)
	s.Shipping.HonourKeys(s.options.payment == keyed)
	for _, p := range s.places() {
		if p.troubled == nil {
			continue
		}
		t := demo.Trouble{Latency: s.options.latency}
		if chance := s.options.fail[p.name]; chance > 0 {
			t.Fault, t.Chance = demo.Refuse, chance
			if p.name == "payment" { // as when the stock shop's flag paymentFailure is on
				t.Code, t.Text = codes.Unknown, "Payment request failed. Invalid token."
			}
		}
		if chance := s.options.lose[p.name]; chance > 0 {
			t.Fault, t.Chance = demo.LoseAnswer, chance
		}
		p.troubled.Trouble(t)
	}
	if chance := s.options.unshippable; chance > 0 {
		s.Shipping.Trouble(demo.Trouble{
			Latency: s.options.latency, Fault: demo.Refuse, Chance: chance, Status: http.StatusUnprocessableEntity,
		}, shipOrder)
	}
	s.eachAway(func(p place) error { p.door.Leave(); return nil }) //nolint:errcheck // leaving cannot fail
}

// endTrouble lets everything go well again: what is owed can be delivered now.
func (s *shop) endTrouble() error {
	for _, p := range s.places() {
		if p.troubled != nil {
			p.troubled.Trouble(demo.Trouble{})
		}
	}
	s.Shipping.Trouble(demo.Trouble{}, shipOrder)
	if len(s.options.away) > 0 {
		s.page.say("\nBack again: %s.\n", strings.Join(s.options.away, ", "))
	}
	return s.eachAway(func(p place) error { return p.door.Return() })
}

func (s *shop) eachAway(do func(place) error) error {
	var failures []error
	for _, name := range s.options.away {
		for _, p := range s.places() {
			if p.name == name {
				failures = append(failures, do(p))
			}
		}
	}
	return errors.Join(failures...)
}

const (
	// orderTime is how long a customer waits for an answer.
	orderTime = 15 * time.Second
	// shipOrder is the method of shipping that only paid orders come to.
	shipOrder = "ship-order"
)
