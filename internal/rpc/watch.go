package rpc

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/lookup"
	"checkout/internal/order"
)

const (
	// watchEvery is how often a watch looks at the record, and watchPatience for how long that may fail.
	watchEvery    = 500 * time.Millisecond
	watchPatience = 10 * time.Second
	// watchWindow is how many orders of a kind a watch looks at: what comes and is done with between two looks is missed
	// when there are more. maxWatchers bounds the watches.
	watchWindow = 200
	maxWatchers = 16
	// maxTold is how many orders a watch remembers beyond its windows, so as not to tell twice of those that come back.
	maxTold = 1000
	// watchOverlap is for how long an order counts as new: the clocks that orders are dated by may differ by as much.
	watchOverlap = time.Minute
)

// WatchOrders sends changes of orders until the caller hangs up or, of one order, until its state is final.
func (s *orders) WatchOrders(req *checkoutv1.WatchOrdersRequest, stream grpc.ServerStreamingServer[checkoutv1.Order]) error {
	look, err := s.lookout(req)
	if err != nil {
		return err
	}
	if !s.watchers.TryAcquire(1) {
		return overwatched()
	}
	defer s.watchers.Release(1)
	if err := stream.SendHeader(nil); err != nil { // so that the caller knows that the watch has begun
		return err
	}
	ctx := stream.Context()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for readable := time.Now(); ; {
		fresh, over, err := look(ctx)
		switch {
		case err == nil:
			readable = time.Now()
		case errors.Is(err, order.ErrNotFound) || ctx.Err() == nil && time.Since(readable) > watchPatience:
			return s.unread(ctx, err, order.ID(req.GetOrderId()))
		}
		for _, o := range fresh {
			if err := stream.Send(s.message(o)); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done(): // the caller has gone, or the server goes
			return ending()
		}
	}
}

// overwatched is the answer to one watch too many.
func overwatched() error {
	return refusal(codes.ResourceExhausted, "OVERLOADED", "too many watches", "")
}

// ending is the answer to a watch that would go on, if the server did.
func ending() error { return refusal(codes.Unavailable, "UNAVAILABLE", "the server ends", "") }

// look reads the orders that are new or have changed since the last look. over: there will be no more.
type look func(ctx context.Context) (fresh []*order.Order, over bool, err error)

// lookout is what the request wants to have watched. Its error is an answer.
func (s *orders) lookout(req *checkoutv1.WatchOrdersRequest) (look, error) {
	var bad violations
	states := bad.states("states", req.GetStates())
	if req.GetOrderId() == "" {
		if bad != nil {
			return nil, bad.refuse()
		}
		return (&watch{orders: s, states: states, told: map[order.ID]sighting{}}).look, nil
	}
	id := bad.id(req.GetOrderId())
	if len(req.GetStates()) > 0 {
		bad.add("states", "cannot be used with order_id")
	}
	if bad != nil {
		return nil, bad.refuse()
	}
	return s.watchOne(id), nil
}

// version is what changes whenever an order does.
type version struct {
	epoch     int64
	state     order.State
	changed   int64
	attempts  int
	delivered order.Delivery
}

func versionOf(o *order.Order) version {
	return version{o.Epoch, o.State, o.Changed.UnixNano(), o.Attempts, o.Delivered}
}

// watchOne watches one order until its state is final.
func (s *orders) watchOne(id order.ID) look {
	var told version
	return func(ctx context.Context) ([]*order.Order, bool, error) {
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		o, err := s.record.Get(ctx, id)
		if err != nil {
			return nil, false, err
		}
		if is := versionOf(o); is != told {
			told = is
			return []*order.Order{o}, o.State.Final(), nil
		}
		return nil, false, nil
	}
}

// watch watches the orders that are in one of the states.
type watch struct {
	*orders

	states []order.State
	looks  int
	told   map[order.ID]sighting // bounded by maxTold
}

// sighting is how an order was when it was last read. look is when it was last in a window.
type sighting struct {
	version

	look int
}

// look sends an order when it comes into the states, changes in them, and leaves them.
func (w *watch) look(ctx context.Context) (fresh []*order.Order, over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	seen, err := w.windows(ctx)
	if err != nil {
		return nil, false, err
	}
	left, err := w.left(ctx, seen)
	if err != nil {
		return nil, false, err
	}
	w.looks++
	note := func(o *order.Order, look int) {
		is, was := versionOf(o), w.told[o.ID].version
		if is != was && (w.wants(is.state) || w.wants(was.state)) {
			fresh = append(fresh, o)
		}
		w.told[o.ID] = sighting{is, look}
	}
	for _, o := range seen {
		note(o, w.looks)
	}
	for _, o := range left {
		note(o, 0)
	}
	if len(w.told) > maxTold {
		maps.DeleteFunc(w.told, func(_ order.ID, s sighting) bool { return s.look < w.looks })
	}
	slices.SortFunc(fresh, func(a, b *order.Order) int { return cmp.Compare(a.ID, b.ID) }) // by age
	return fresh, false, nil
}

func (w *watch) wants(s order.State) bool {
	return len(w.states) == 0 || slices.Contains(w.states, s)
}

// windows are the orders that may have changed: those that are not finished, and the newest. Of each kind they are the
// newest, so those that are wanted have a window of their own: they may be old.
func (w *watch) windows(ctx context.Context) (map[order.ID]*order.Order, error) {
	queries := []lookup.Query{{States: unfinished()}}
	if wanted := slices.DeleteFunc(unfinished(), func(s order.State) bool { return !w.wants(s) }); len(w.states) > 0 && len(wanted) > 0 {
		queries = append(queries, lookup.Query{States: wanted})
	}
	if w.looks == 0 {
		queries = append(queries, lookup.Query{States: w.states})
	} else {
		queries = append(queries, lookup.Query{From: time.Now().Add(-watchOverlap)})
	}
	seen := map[order.ID]*order.Order{}
	for _, q := range queries {
		q.Limit = watchWindow
		found, _, err := w.list(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			seen[o.ID] = o
		}
	}
	return seen, nil
}

// left are the orders that were in a window at the last look, were not finished, and are in none any more.
func (w *watch) left(ctx context.Context, seen map[order.ID]*order.Order) (left []*order.Order, err error) {
	for id, was := range w.told {
		if was.look != w.looks || was.state.Final() || seen[id] != nil {
			continue
		}
		o, err := w.record.Get(ctx, id)
		switch {
		case err == nil:
			left = append(left, o)
		case !errors.Is(err, order.ErrNotFound):
			return nil, err
		}
	}
	return left, nil
}

func unfinished() []order.State {
	return slices.DeleteFunc(order.States(), order.State.Final)
}
