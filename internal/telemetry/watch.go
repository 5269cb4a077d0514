package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"checkout/internal/order"
	"checkout/internal/redact"
)

// Backlog counts the unfinished orders on record. It calls report for each state and set of deliveries that are done, with the
// number of orders and the age of the oldest.
type Backlog func(ctx context.Context, report func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error

// Load returns the limit of orders in progress, how many there are, and how many were refused so far. It does not wait.
type Load func() (limit, active int, refused int64)

// The backlog is counted at most every backlogAge, and for at most one part in backlogShare of the time. A count, and with it
// an export of metrics, takes at most backlogTime.
const backlogAge, backlogShare, backlogTime = time.Second, 20, time.Second

// pending is how many orders or deliveries of a kind there are, and the age of the oldest.
type pending struct {
	attrs  metric.MeasurementOption
	orders int64
	oldest time.Duration
}

func (p *pending) add(orders int, oldest time.Duration) {
	p.orders += int64(orders)
	p.oldest = max(p.oldest, oldest)
}

// counts has all kinds, so that those without orders are exported as zero.
type counts struct {
	states     map[order.State]*pending
	deliveries map[order.Delivery]*pending
}

func newCounts() *counts {
	c := counts{make(map[order.State]*pending), make(map[order.Delivery]*pending)}
	for _, state := range order.States() {
		if !state.Final() {
			c.states[state] = &pending{attrs: measurement(stateKey.String(state.String()))}
		}
	}
	for delivery, name := range map[order.Delivery]string{order.CartSettled: "cart", order.EmailSent: "email", order.EventPublished: "event"} {
		c.deliveries[delivery] = &pending{attrs: measurement(deliveryKey.String(name))}
	}
	return &c
}

// add counts orders of a state with these deliveries done.
func (c *counts) add(state order.State, done order.Delivery, orders int, oldest time.Duration) {
	if p, ok := c.states[state]; ok {
		p.add(orders, oldest)
	}
	for delivery, p := range c.deliveries {
		if state == order.Placed && !done.Has(delivery) {
			p.add(orders, oldest)
		}
	}
}

// watch counts the backlog.
type watch struct {
	*Telemetry
	backlog Backlog
	failed  limiter

	mu      sync.Mutex
	until   time.Time // when last is to be counted anew
	last    *counts   // nil: the last count failed
	stopped bool
}

// Watch reports the load, the unfinished orders and the pending deliveries whenever metrics are collected. stop counts for the
// last time; the record may be closed then.
func (t *Telemetry) Watch(backlog Backlog, load Load) (stop func()) {
	w := &watch{Telemetry: t, backlog: backlog, failed: limiter{every: noise}}
	w.observeBacklog()
	gauge := t.meter.Int64ObservableGauge
	limit, active := described(gauge, metricLimit), described(gauge, metricActive)
	refused := described(t.meter.Int64ObservableCounter, metricRefused)
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		most, now, rejected := load()
		o.ObserveInt64(limit, int64(most))
		o.ObserveInt64(active, int64(now))
		o.ObserveInt64(refused, rejected)
		return nil
	}, limit, active, refused))
	return w.stop
}

func (w *watch) observeBacklog() {
	number, age := w.meter.Int64ObservableGauge, w.meter.Float64ObservableGauge
	unfinished, oldest := described(number, metricUnfinished), described(age, metricOldest)
	pending, oldestPending := described(number, metricPending), described(age, metricOldestPending)
	made(w.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		c := w.counts(ctx)
		if c == nil {
			return nil // an error would cost the whole export
		}
		for _, p := range c.states {
			o.ObserveInt64(unfinished, p.orders, p.attrs)
			o.ObserveFloat64(oldest, p.oldest.Seconds(), p.attrs)
		}
		for _, p := range c.deliveries {
			o.ObserveInt64(pending, p.orders, p.attrs)
			o.ObserveFloat64(oldestPending, p.oldest.Seconds(), p.attrs)
		}
		return nil
	}, unfinished, oldest, pending, oldestPending))
}

// counts returns counts that are recent enough, or nil.
func (w *watch) counts(ctx context.Context) *counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped && !time.Now().Before(w.until) {
		w.count(ctx)
	}
	return w.last
}

// count counts, even if the caller leaves: others will use the result. The caller holds mu.
func (w *watch) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backlogTime)
	defer cancel()
	c, start := newCounts(), time.Now()
	err := w.backlog(ctx, c.add)
	w.until, w.last = start.Add(max(backlogAge, backlogShare*time.Since(start))), c
	if err == nil {
		return
	}
	w.last = nil
	if skipped, ok := w.failed.allow(); ok {
		w.logger.LogAttrs(ctx, slog.LevelWarn, "orders on record not counted", fields(append(message(redact.Text(err.Error()), skipped), errorType.String(errorKind(err))))...)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.count(context.Background())
	}
	w.stopped = true
}
