package rpc

import (
	"context"
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/arrival"
	"checkout/internal/order"
)

const (
	// The interval of a watch of figures: as asked for, or the usual one.
	minInterval, usualInterval, maxInterval = 100 * time.Millisecond, time.Second, time.Minute
	// censusAge is how old a census may be to be told again, and censusShare the part of the time that taking one may take.
	// censusTime bounds it, and censusWait how long the other figures wait for it.
	censusAge, censusShare, censusTime, censusWait = time.Second, 20, time.Second, 100 * time.Millisecond
)

// Census counts the orders on record that are not over. It tells of each state and set of deliveries done how many
// orders there are, and how long ago the oldest of them was created.
type Census func(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error

// Figures are how the service does, for checkout.v1.FigureService. While nobody watches, an order costs them two additions,
// and the record is not asked. They are made by NewFigures.
type Figures struct {
	// Record names the record: processes that share it tell the same name.
	Record string
	// Load tells how many orders may be under way, how many are, and how many were turned away so far.
	Load func() (limit, underWay int, turnedAway int64)

	census   *recentCensus
	started  time.Time
	watchers *semaphore.Weighted
	placed   [3]atomic.Int64 // by answered
	failed   map[order.Kind]*atomic.Int64
	bounds   []float64      // of calls, in seconds
	calls    []atomic.Int64 // by the bound that they are within, or beyond all
}

// answered is how a call ended that was answered with an order, or with the answer to another.
type answered int

const (
	placed   answered = iota // paid and shipped
	paid                     // and the parcel is late
	repeated                 // the answer to another call, or its failure, once more
)

// latencies are the bounds of the histogram of latencies: about 1.5 apart, so that a percentile is known that well.
func latencies() []float64 {
	return []float64{
		0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
		1, 1.5, 2, 3, 5, 7.5, 10, 15, 30,
	}
}

// kinds are all kinds of failure.
func kinds() []order.Kind {
	return []order.Kind{
		order.ErrInvalid, order.ErrEmptyCart, order.ErrBadCart, order.ErrUnknownProduct, order.ErrImplausible,
		order.ErrUnavailable, order.ErrOverloaded, order.ErrDeclined, order.ErrPaymentUnreachable, order.ErrInDoubt,
		order.ErrUnshippable, order.ErrRefunded, order.ErrKeyReused, order.ErrBusy, order.ErrInternal,
	}
}

// NewFigures makes Figures that have counted nothing yet.
func NewFigures(record string, census Census, load func() (limit, underWay int, turnedAway int64)) *Figures {
	bounds := latencies()
	f := &Figures{
		Record: record, Load: load,
		census:   newRecentCensus(census),
		started:  time.Now(),
		watchers: semaphore.NewWeighted(maxWatchers),
		failed:   make(map[order.Kind]*atomic.Int64),
		bounds:   bounds,
		calls:    make([]atomic.Int64, len(bounds)+1),
	}
	for _, kind := range kinds() {
		f.failed[kind] = new(atomic.Int64)
	}
	return f
}

// Census is one that is a second old at most, for whoever else needs to know: the record is not asked twice. Where it takes
// long, it is so old that no more than a twentieth of the time goes into it. That holds for one that failed, too: its error
// is told again.
func (f *Figures) Census(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error {
	return f.census.tell(ctx, tell)
}

// counted is a Placer whose calls are counted.
type counted struct {
	Placer

	figures *Figures
}

// Place implements Placer.
func (c counted) Place(ctx context.Context, req order.Request) (*order.Order, error) {
	start := arrival.Of(ctx, time.Now())
	o, err := c.Placer.Place(ctx, req)
	c.figures.count(start, o, err)
	return o, err
}

func (f *Figures) count(start time.Time, o *order.Order, err error) {
	if err != nil {
		kind := order.ErrInternal
		if failure, ok := errors.AsType[*order.Error](err); ok && f.failed[failure.Kind] != nil {
			if failure.Repeated {
				f.placed[repeated].Add(1)
				return
			}
			kind = failure.Kind
		}
		f.failed[kind].Add(1)
		return
	}
	came := placed
	switch {
	case o.Repeated:
		came = repeated
	case o.State == order.Charged, o.State == order.Parked:
		came = paid
	}
	f.placed[came].Add(1)
	if came != repeated {
		f.calls[sort.SearchFloat64s(f.bounds, time.Since(start).Seconds())].Add(1)
	}
}

// figures is checkout.v1.FigureService.
type figures struct {
	checkoutv1.UnimplementedFigureServiceServer
	view

	*Figures
}

// WatchFigures tells the figures at every interval until the caller hangs up.
func (s *figures) WatchFigures(req *checkoutv1.WatchFiguresRequest, stream grpc.ServerStreamingServer[checkoutv1.Figures]) error {
	interval := usualInterval
	if req.GetInterval() != nil {
		if interval = req.GetInterval().AsDuration(); interval < minInterval || interval > maxInterval {
			return violations{{Field: "interval", Problem: "is not between 100 milliseconds and a minute"}}.refuse()
		}
	}
	if !s.watchers.TryAcquire(1) {
		return overwatched()
	}
	defer s.watchers.Release(1)
	counting := s.counting(stream.Context())
	defer counting.end()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := stream.Send(s.message(counting.latest())); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done(): // the caller has gone, or the server goes
			return ending()
		}
	}
}

// message is how things are now, with what stands on record.
func (s *figures) message(census *checkoutv1.Figures_Census) *checkoutv1.Figures {
	m := &checkoutv1.Figures{
		At:       timestamppb.Now(),
		Started:  timestamppb.New(s.started),
		Outcomes: s.outcomes(),
		Latency:  &checkoutv1.Figures_Latency{Bounds: s.bounds},
		Census:   census,
	}
	for i := range s.calls {
		m.Latency.Calls = append(m.Latency.Calls, s.calls[i].Load())
	}
	limit, underWay, turnedAway := s.Load()
	m.Limit, m.UnderWay, m.TurnedAway = int64(limit), int64(underWay), turnedAway
	return m
}

func (s *figures) outcomes() (all []*checkoutv1.Figures_Outcome) {
	for came, name := range []string{placed: "placed", paid: "paid", repeated: "repeated"} {
		all = append(all, &checkoutv1.Figures_Outcome{Name: name, Orders: s.placed[came].Load()})
	}
	for _, kind := range kinds() {
		_, reason, _ := answerTo(kind)
		all = append(all, &checkoutv1.Figures_Outcome{Name: reason, Orders: s.failed[kind].Load()})
	}
	return all
}

// counting counts what stands on record for one watch. It has a goroutine of its own at times, until end.
type counting struct {
	standings func() *checkoutv1.Figures_Census
	cancel    context.CancelFunc
	work      sync.WaitGroup
	counted   chan *checkoutv1.Figures_Census // holds one, so that nobody has to take it
	busy      bool
	last      *checkoutv1.Figures_Census
}

func (s *figures) counting(ctx context.Context) *counting {
	ctx, cancel := context.WithCancel(ctx)
	return &counting{
		standings: func() *checkoutv1.Figures_Census { return s.standings(ctx) },
		cancel:    cancel,
		counted:   make(chan *checkoutv1.Figures_Census, 1),
	}
}

// latest is what stands on record or, when counting takes longer than the other figures can wait, what stood there at the
// last count; nil when there is none.
func (c *counting) latest() *checkoutv1.Figures_Census {
	if !c.busy {
		c.busy = true
		c.work.Go(func() { c.counted <- c.standings() })
	}
	patience := time.NewTimer(censusWait)
	defer patience.Stop()
	select {
	case c.last = <-c.counted:
		c.busy = false
	case <-patience.C:
	}
	return c.last
}

func (c *counting) end() {
	c.cancel()
	c.work.Wait()
}

// standings are what stands on record; nil when it cannot be counted.
func (s *figures) standings(ctx context.Context) *checkoutv1.Figures_Census {
	states := make(map[order.State]*checkoutv1.Figures_Standing)
	c := &checkoutv1.Figures_Census{Record: s.Record}
	for _, state := range unfinished() {
		states[state] = &checkoutv1.Figures_Standing{
			State: checkoutv1.OrderState(state), Oldest: new(durationpb.Duration), NeedsPerson: s.needsPerson(state),
		}
		c.States = append(c.States, states[state])
	}
	for _, d := range deliveries() {
		c.Owed = append(c.Owed, &checkoutv1.Figures_Owed{Delivery: d.name, Oldest: new(durationpb.Duration)})
	}
	err := s.Census(ctx, func(state order.State, done order.Delivery, orders int, oldest time.Duration) {
		if of := states[state]; of != nil {
			of.Orders, of.Oldest = of.GetOrders()+int64(orders), longer(of.GetOldest(), oldest)
		}
		for i, d := range deliveries() {
			if of := c.GetOwed()[i]; state == order.Placed && !done.Has(d.is) {
				of.Orders, of.Oldest = of.GetOrders()+int64(orders), longer(of.GetOldest(), oldest)
			}
		}
	})
	if err != nil { // whoever keeps the metrics logs it
		return nil
	}
	return c
}

func longer(a *durationpb.Duration, b time.Duration) *durationpb.Duration {
	return durationpb.New(max(a.AsDuration(), b))
}

// recentCensus takes a census when the last one is too old. Who asks meanwhile waits for it, rather than taking another.
type recentCensus struct {
	take  Census
	place chan struct{} // holds one: who has it may use what follows

	counts []tally
	err    error     // why there are none
	until  time.Time // they are good for
}

// tally is a line of a census.
type tally struct {
	state  order.State
	done   order.Delivery
	orders int
	oldest time.Duration
}

func newRecentCensus(take Census) *recentCensus {
	return &recentCensus{take: take, place: make(chan struct{}, 1)}
}

func (c *recentCensus) tell(ctx context.Context, tell func(order.State, order.Delivery, int, time.Duration)) error {
	select {
	case c.place <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.place }()
	if !time.Now().Before(c.until) {
		c.renew(ctx)
	}
	if c.err != nil {
		return c.err
	}
	for _, n := range c.counts {
		tell(n.state, n.done, n.orders, n.oldest)
	}
	return nil
}

// renew takes a census. One that its asker has called off is good for nobody else.
func (c *recentCensus) renew(asker context.Context) {
	ctx, cancel := context.WithTimeout(asker, censusTime)
	defer cancel()
	start := time.Now()
	c.counts = nil
	c.err = c.take(ctx, func(state order.State, done order.Delivery, orders int, oldest time.Duration) {
		c.counts = append(c.counts, tally{state, done, orders, oldest})
	})
	c.until = start.Add(max(censusAge, censusShare*time.Since(start)))
	if c.err != nil && errors.Is(asker.Err(), context.Canceled) {
		c.until = time.Time{}
	}
}
