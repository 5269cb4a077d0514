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

// Backlog counts the orders on record that are not finished. It reports, of each state and set of deliveries done, how many
// orders there are, and how long ago the oldest of them was placed.
type Backlog func(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error

// Load tells how many orders may be under way, how many are, and how many were turned away so far. It does not wait.
type Load func() (limit, active int, refused int64)

const (
	// The backlog is counted at most every backlogAge, for at most one part in backlogShare of the time. A count may take
	// backlogTime: so long, at most, an export of metrics is held up.
	backlogAge, backlogShare, backlogTime = time.Second, 20, time.Second
)

// standing is how many orders, or deliveries, there are of a kind, and the age of the oldest.
type standing struct {
	orders int
	oldest time.Duration
}

func (s *standing) add(orders int, oldest time.Duration) {
	s.orders += orders
	s.oldest = max(s.oldest, oldest)
}

// standings are those of every kind that there can be, so that what is at peace is told as zero.
type standings struct {
	states     map[order.State]*standing
	deliveries map[order.Delivery]*standing
}

func newStandings() standings {
	s := standings{make(map[order.State]*standing), make(map[order.Delivery]*standing)}
	for _, state := range order.States() {
		if !state.Final() {
			s.states[state] = new(standing)
		}
	}
	for delivery := range deliveries() {
		s.deliveries[delivery] = new(standing)
	}
	return s
}

// deliveries are what is owed to a placed order, by their names.
func deliveries() map[order.Delivery]string {
	return map[order.Delivery]string{order.CartSettled: "cart", order.EmailSent: "email", order.EventPublished: "event"}
}

// count takes in orders of one state to which the same is owed.
func (s standings) count(state order.State, done order.Delivery, orders int, oldest time.Duration) {
	if of, ok := s.states[state]; ok {
		of.add(orders, oldest)
	}
	for delivery, of := range s.deliveries {
		if state == order.Placed && !done.Has(delivery) {
			of.add(orders, oldest)
		}
	}
}

// watch reports what stands on record.
type watch struct {
	*Telemetry
	backlog Backlog
	told    limiter // of counts that failed

	mu    sync.Mutex
	until time.Time  // last is good for
	last  *standings // nil: the last count failed
	over  bool
}

// Watch reports how many orders are under way, on record and owed something, whenever metrics are collected. stop takes
// the last count, and ends the asking: the record may be closed then.
func (t *Telemetry) Watch(backlog Backlog, load Load) (stop func()) {
	w := &watch{Telemetry: t, backlog: backlog, told: limiter{every: noise}}
	w.observeRecord()
	limit, active, refused := t.observedGauge(metricLimit), t.observedGauge(metricActive), t.observedCounter(metricTurnedAway)
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		may, are, were := load()
		o.ObserveInt64(limit, int64(may))
		o.ObserveInt64(active, int64(are))
		o.ObserveInt64(refused, were)
		return nil
	}, limit, active, refused))
	return w.stop
}

func (w *watch) observeRecord() {
	unfinished, oldest := w.observedGauge(metricUnfinished), w.observedAge(metricOldest)
	owed, oldestOwed := w.observedGauge(metricOwed), w.observedAge(metricOldestOwed)
	states := make(map[order.State]metric.MeasurementOption)
	for _, state := range order.States() {
		states[state] = measurement(stateKey.String(state.String()))
	}
	of := make(map[order.Delivery]metric.MeasurementOption)
	for delivery, name := range deliveries() {
		of[delivery] = measurement(deliveryKey.String(name))
	}
	made(w.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		s := w.standings(ctx)
		if s == nil {
			return nil // an error would cost the whole export
		}
		for state, is := range s.states {
			o.ObserveInt64(unfinished, int64(is.orders), states[state])
			o.ObserveFloat64(oldest, is.oldest.Seconds(), states[state])
		}
		for delivery, is := range s.deliveries {
			o.ObserveInt64(owed, int64(is.orders), of[delivery])
			o.ObserveFloat64(oldestOwed, is.oldest.Seconds(), of[delivery])
		}
		return nil
	}, unfinished, oldest, owed, oldestOwed))
}

// standings are those of a count that is fresh enough; nil when there is none to be had.
func (w *watch) standings(ctx context.Context) *standings {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over && !time.Now().Before(w.until) {
		w.take(ctx)
	}
	return w.last
}

// take counts. A caller that leaves does not break off the count that others will see. The caller holds mu.
func (w *watch) take(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backlogTime)
	defer cancel()
	s, start := newStandings(), time.Now()
	err := w.backlog(ctx, s.count)
	w.until, w.last = start.Add(max(backlogAge, backlogShare*time.Since(start))), &s
	if err == nil {
		return
	}
	w.last = nil
	if skipped, ok := w.told.allow(); ok {
		w.logger.LogAttrs(ctx, slog.LevelWarn, "orders on record not counted", fields(append(message(redact.Text(err.Error()), skipped), errorType.String(errorKind(err))))...)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.take(context.Background())
	}
	w.over = true
}
