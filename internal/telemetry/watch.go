package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"checkout/internal/order"
)

// Census counts the orders on record that are not over. It tells of each state and set of deliveries done how many
// orders there are, and how long ago the oldest of them was placed.
type Census func(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error

// Load tells how many orders may be under way, how many are, and how many were turned away so far. It does not wait.
type Load func() (limit, active int, refused int64)

const (
	// censusAge is how old a census may be to be reported again.
	censusAge = 10 * time.Second
	// censusTime is how long one may take: so long, at most, an export of metrics is held up.
	censusTime = time.Second
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
	census Census
	told   limiter // of censuses that failed

	mu    sync.Mutex
	taken time.Time
	last  *standings // nil: the last census failed
	over  bool
}

// Watch reports how many orders are under way, on record and owed something, whenever metrics are collected. stop takes
// the last census, and ends the asking: the record may be closed then.
func (t *Telemetry) Watch(census Census, load Load) (stop func()) {
	w := &watch{Telemetry: t, census: census, told: limiter{every: noise}}
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

// standings are those of a census that is fresh enough; nil when there is none to be had.
func (w *watch) standings(ctx context.Context) *standings {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over && (w.taken.IsZero() || time.Since(w.taken) >= censusAge) {
		w.take(ctx)
	}
	return w.last
}

// take takes a census. The caller holds mu.
func (w *watch) take(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, censusTime)
	defer cancel()
	s := newStandings()
	err := w.census(ctx, s.count)
	w.taken, w.last = time.Now(), &s
	if err == nil {
		return
	}
	w.last = nil
	if skipped, ok := w.told.allow(); ok {
		w.logger.LogAttrs(ctx, slog.LevelWarn, "orders on record not counted", fields(append(repeated(redact(err.Error()), skipped), errorType.String(errorKind(err))))...)
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
