// Package demo provides a whole shop in one process, for newcomers and for tests: all services that checkout calls, as
// real servers on the loopback interface, with no other program needed.
//
//	Cart        gRPC   what users want to buy
//	Catalog     gRPC   thirteen products, some with prices that hurt naive code
//	Currency    gRPC   34 currencies at fixed rates
//	Payment     gRPC   the stock shop's checks and words, and a ledger of charges; keyed payment on request
//	Shipping    HTTP   quotes, parcels, and a ledger of them
//	Email       HTTP   confirmations, kept in a mailbox
//	Broker      Kafka  the topic "orders"
//	Accounting  –      consumes the topic and books every order
//	Flags       gRPC   a flagd, and the flag file for one of your own
//	Collector   OTLP   traces, metrics and logs; Waterfall draws a trace as text
//
// Every server remembers its calls, can be taken offline and brought online again, and can have a Fault injected: it is slow,
// refuses, hangs, loses its answer, acts too late. Ledgers compares what the services have: net charges, parcels, e-mails and
// events must be the same orders, each once.
//
// Nothing here is fit for real customers: there is no security, and memory grows with the number of orders.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
)

// Options say what kind of shop it is. The zero value is the usual one.
type Options struct {
	// Host is the address that all listen on; 127.0.0.1 if empty.
	Host string
	// Port is that of the cart; catalog, currency, payment, shipping, email, collector, flagd and Kafka follow. 0: any ports.
	Port int
	// Products is how many products the catalogue has at least: beyond its own, they are plain ones.
	Products int
	// Folder is where the flag file goes; if empty, a temporary folder that is removed in the end.
	Folder string
}

// Shop is a running shop.
type Shop struct {
	Cart       *Cart
	Catalog    *Catalog
	Currency   *Currency
	Payment    *Payment
	Shipping   *Shipping
	Email      *Email
	Broker     *Broker
	Accounting *Accounting
	Flags      *Flags
	Collector  *Collector

	changes *notifier
	host    string
	port    int            // of the next server; 0: any
	stops   []func() error // what to end, in the order of its start
}

// Start opens the shop. It runs until Close, also when ctx has ended. On an error nothing is left running.
func Start(ctx context.Context, o Options) (*Shop, error) {
	s := &Shop{changes: newNotifier(), host: cmp.Or(o.Host, "127.0.0.1"), port: o.Port}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the shop: %w", err), s.Close())
	}
	return s, nil
}

// Close ends everything and waits for it.
func (s *Shop) Close() error {
	var failures []error
	for _, stop := range slices.Backward(s.stops) {
		failures = append(failures, stop())
	}
	s.stops = nil
	return errors.Join(failures...)
}

// Await returns when done says so, or with an error when ctx ends first. done is asked whenever a call arrives, a
// ledger changes or telemetry comes in; it must not wait itself.
func (s *Shop) Await(ctx context.Context, done func() bool) error { return s.changes.await(ctx, done) }

// Environ is the environment of a checkout in this shop: where the other services are, under the stock shop's names. Its
// own port and record are left to it.
func (s *Shop) Environ() map[string]string {
	flagdHost, flagdPort, _ := net.SplitHostPort(s.Flags.Address())
	return map[string]string{
		"CART_ADDR":                   s.Cart.Address(),
		"PRODUCT_CATALOG_ADDR":        s.Catalog.Address(),
		"CURRENCY_ADDR":               s.Currency.Address(),
		"PAYMENT_ADDR":                s.Payment.Address(),
		"SHIPPING_ADDR":               "http://" + s.Shipping.Address(),
		"EMAIL_ADDR":                  "http://" + s.Email.Address(),
		"KAFKA_ADDR":                  s.Broker.Address(),
		"FLAGD_HOST":                  flagdHost,
		"FLAGD_PORT":                  flagdPort,
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + s.Collector.Address(),
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
		"OTEL_SERVICE_NAME":           "checkout",
		"OTEL_RESOURCE_ATTRIBUTES":    "service.namespace=opentelemetry-demo",
		"CHECKOUT_SHUTDOWN_DELAY":     "0s", // there is no load balancer that has to notice
	}
}

// open starts the servers, those that need others last.
func (s *Shop) open(ctx context.Context, o Options) error {
	folder, err := s.folder(o.Folder)
	if err != nil {
		return err
	}
	return errors.Join(
		start(ctx, s, &s.Cart, newCart),
		start(ctx, s, &s.Catalog, func(n *Server) (*Catalog, func() error) { return newCatalog(n, o.Products) }),
		start(ctx, s, &s.Currency, newCurrency),
		start(ctx, s, &s.Payment, newPayment),
		start(ctx, s, &s.Shipping, newShipping),
		start(ctx, s, &s.Email, func(n *Server) (*Email, func() error) { return newEmail(n, s.Catalog) }),
		start(ctx, s, &s.Collector, newCollector),
		s.openFlags(ctx, folder),
		s.openBroker(ctx),
	)
}

// listen listens for the next server.
func (s *Shop) listen(ctx context.Context) (*listener, error) {
	port := s.port
	if port != 0 {
		s.port++
	}
	return listen(ctx, net.JoinHostPort(s.host, strconv.Itoa(port)))
}

// start starts a server with a listener of its own.
func start[T any](ctx context.Context, s *Shop, into *T, serve func(*Server) (T, func() error)) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	server, stop := serve(newServer(l, s.changes))
	*into = server
	s.stops = append(s.stops, stop)
	return nil
}

func (s *Shop) openFlags(ctx context.Context, folder string) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	flags, stop, err := newFlags(newServer(l, s.changes), folder)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s.Flags, s.stops = flags, append(s.stops, stop)
	if s.Payment != nil { // or the shop is not going to open
		s.Payment.useFlags(flags)
	}
	return nil
}

func (s *Shop) openBroker(ctx context.Context) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	broker, stop, err := newBroker(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s.Broker, s.stops = broker, append(s.stops, stop)
	accounting, stop, err := newAccounting(l.Address(), s.changes)
	if err != nil {
		return err
	}
	s.Accounting, s.stops = accounting, append(s.stops, stop)
	return nil
}

// folder is the folder for the shop's files: the one given, or a temporary one.
func (s *Shop) folder(given string) (string, error) {
	if given != "" {
		return given, os.MkdirAll(given, 0o750)
	}
	folder, err := os.MkdirTemp("", "shop-")
	if err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	s.stops = append(s.stops, func() error { return os.RemoveAll(folder) })
	return folder, nil
}
