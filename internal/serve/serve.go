// Package serve runs the whole service. It reads the configuration (config.go, security.go), connects the adapters with the
// order, serves callers and operators until a signal, and shuts down so that no order is lost.
package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"checkout/internal/admission"
	"checkout/internal/container"
	"checkout/internal/order"
	"checkout/internal/pricing"
	"checkout/internal/rpc"
	"checkout/internal/store"
	"checkout/internal/telemetry"
	"checkout/internal/version"
	"checkout/internal/wait"
)

// record is the record of orders, in whichever database.
type record interface {
	order.Store
	rpc.Record
	rpc.Eraser
	rpc.Backuper
	rpc.AuditLog
	Purge(ctx context.Context, limit int) (int, error)
	Backlog(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error
	Index(ctx context.Context) error
	Ready(ctx context.Context) error
	Close() error
}

// lastTime is what remains after the drain: to record the orders that are cut off, and to flush events and telemetry. With
// the default delay and drain the process has ended 9 s after the signal: Docker kills it after 10.
const lastTime = 2800 * time.Millisecond

// Run serves orders until ctx ends; then it still accepts calls for a while, lets the orders under way finish, and cuts off
// what is left, each within its part of the configured time. The log goes to out. ready, unless nil, is called once with the
// address that is listened on.
func Run(ctx context.Context, c Config, out io.Writer, ready func(net.Addr)) error {
	spared := container.SparePages() // first of all, before more of them are touched
	container.Fit(c.getenv)
	var dumps error
	if !c.CoreDumps {
		dumps = forbidCoreDumps()
	}
	t := telemetry.Start(ctx, telemetry.Options{Getenv: c.getenv, Stdout: out, Names: c.Names, Baggage: c.Baggage, Synthetic: c.Security.synthetic(), Collect: c.Admin != "", Version: version.Read().Known()})
	if dumps != nil {
		t.Logger().WarnContext(ctx, "core dumps could not be disabled", "error", dumps)
	}
	if spared != nil {
		t.Logger().WarnContext(ctx, "read-ahead of the executable could not be disabled", "error", spared)
	}
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(c.Delay+c.Drain+lastTime, cancel) })()
	err := run(ctx, c, t, ready)
	if lost := t.Shutdown(last); lost != nil {
		t.Logger().WarnContext(ctx, "some telemetry could not be sent", "error", lost)
	}
	return err
}

func run(ctx context.Context, c Config, t *telemetry.Telemetry, ready func(net.Addr)) error {
	log := t.Logger()
	log.InfoContext(ctx, "configuration", c.effective()...)
	for _, warning := range c.warnings {
		log.WarnContext(ctx, "check the configuration", "error", warning)
	}
	identities, err := c.Security.load(log)
	if err != nil {
		return err
	}
	record, err := openStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { _ = record.Close() }()
	shop, err := connect(c, t, identities)
	if err != nil {
		return err
	}
	defer shop.close(log)
	limiter := newLimiter(c)
	defer t.Watch(record.Backlog, load(limiter))()
	prices := pricing.New(shop.Cart, shop.Catalog, shop.Currency, shop.Quotes, c.Limits)
	prices.ReadTimeout = c.ReadTimeout
	defer prices.Close()
	placer := newPlacer(c, t, record, shop, prices, limiter)
	servers, err := newServers(ctx, c, t, placer, record, identities, limiter)
	if err != nil {
		return err
	}
	stopKeeping := keep(ctx, placer, record, c.AuditRetention, servers.health, log)
	served := servers.serve()
	for _, s := range servers.all {
		log.InfoContext(ctx, "serving", "for", s.whom, "address", s.listener.Addr().String())
	}
	if ready != nil {
		ready(servers.all[0].listener.Addr())
	}
	select {
	case <-ctx.Done():
		log.InfoContext(ctx, "shutting down", "CHECKOUT_SHUTDOWN_DELAY", c.Delay.String(), "CHECKOUT_DRAIN", c.Drain.String())
		servers.announce(c.Delay, c.Hurry)
	case err = <-served: // a listener broke
	}
	servers.drain(context.WithoutCancel(ctx), c.Drain, placer.CutOff, func(patience context.Context) {
		stopKeeping()
		placer.Close(patience)
	})
	log.InfoContext(ctx, "server stopped")
	return err
}

func newLimiter(c Config) *admission.Limiter {
	o := admission.Options{Target: c.Target, Ceiling: places(container.MemoryLimit(), c.MaxOrders)}
	if container.ShortOfMemory() {
		o.Runnable = admission.WaitingForProcessor()
	}
	return admission.New(o)
}

func newPlacer(c Config, t *telemetry.Telemetry, record record, shop *shop, prices *pricing.Pricer, limiter *admission.Limiter) *order.Placer {
	return order.NewPlacer(order.Dependencies{
		Pricer:       t.Pricer(prices),
		Store:        t.Store(record),
		Payment:      shop.Payment,
		Ledger:       shop.Ledger,
		Shipping:     shop.Shipping,
		ShipAttempts: c.shipAttempts(),
		Cart:         shop.Cart,
		Email:        shop.Email,
		Events:       shop.Events,
		Retention:    c.Retention,
		Background:   background(container.MemoryLimit()),
		MaxJoined:    room(container.MemoryLimit(), c.MaxOrders) / 2,
		Admission: struct {
			*admission.Limiter
			*admission.Customers
		}{limiter, admission.NewCustomers(c.UserRate, c.Declines)},
		Report:  t.Report,
		Resumed: t.Resumed,
	})
}

// load is what telemetry asks of the limiter.
func load(l *admission.Limiter) telemetry.Load {
	return func() (limit, active int, refused int64) {
		is := l.Stats()
		return is.Limit, is.UnderWay, is.Refused
	}
}

// startTime is how long the service waits for a database that starts later.
const startTime = time.Minute

// patiently opens a database, for up to startTime again while there is none that takes connections.
func patiently(ctx context.Context, log *slog.Logger, open func() (*store.Postgres, error)) (*store.Postgres, error) {
	for began, waits := time.Now(), false; ; waits = true {
		p, err := open()
		if !store.IsAbsent(err) || time.Since(began) >= startTime {
			return p, err
		}
		if !waits {
			log.WarnContext(ctx, "waiting for the database", "error", err)
		}
		if !wait.For(ctx, time.Second) {
			return nil, err
		}
	}
}

// openStore opens the record of orders where the configuration says.
func openStore(ctx context.Context, c Config, log *slog.Logger) (record, error) {
	if isURL(c.DB) {
		r, err := patiently(ctx, log, func() (*store.Postgres, error) { return store.OpenPostgres(ctx, c.DB, notReloaded(log)) })
		if err != nil {
			return nil, fmt.Errorf("CHECKOUT_DB: %w", err)
		}
		log.InfoContext(ctx, "the record of orders is open", "url", database{&c.DB}.String())
		return r, nil
	}
	path, stopgap := c.file()
	if path == "memory" {
		log.WarnContext(ctx, "the record of orders is in memory", "CHECKOUT_DB", path)
		return store.OpenMemory()
	}
	if stopgap {
		log.WarnContext(ctx, "no writable state folder: the record of orders is in a temporary folder", "path", path)
	}
	r, err := store.Open(path)
	if err != nil {
		return nil, fmt.Errorf("CHECKOUT_DB=%q: %w", c.DB, err)
	}
	log.InfoContext(ctx, "the record of orders is open", "path", path)
	return r, nil
}
