package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
	"checkout/internal/wait"
)

const (
	// pace is how much longer than they need the neighbours take for what moves something: time to be killed in.
	pace = 4 * time.Millisecond
	// lateness is how much later than others some charges are made.
	lateness = 250 * time.Millisecond
	// restTime is how long orders may take until none is on its way: a lease, and what follows.
	restTime = 90 * time.Second
	// abandonTime is for how long customers buy before a replica is left dead.
	abandonTime = 2 * time.Second
	// abandonCrowd is how many times more customers there are then, so that enough is left behind.
	abandonCrowd = 4
	// ownTakeUp and otherTakeUp are how soon orders left behind are to be taken up: after a process serves in the place of
	// the one that was killed, and after a kill by another replica.
	ownTakeUp   = time.Second
	otherTakeUp = 35 * time.Second
)

// errGuilty says that promises were broken.
var errGuilty = errors.New("promises were broken")

// massacre kills processes while customers buy, and judges what came of it.
func (s *scene) massacre(ctx context.Context) error {
	s.title()
	s.slow()
	m := s.market()
	r := &result{takeUpLimit: ownTakeUp}
	if err := s.killAll(ctx, m, r); err != nil {
		return err
	}
	if err := s.rest(ctx, restTime); err != nil {
		return err
	}
	r.rested = time.Now()
	if len(s.replicas) > 1 {
		r.takeUpLimit = otherTakeUp
		if err := s.abandon(ctx, m, r); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.judge(ctx, m, r)
}

// slow makes time to be killed in. Some charges are made so late that whoever asked for them may be dead by then, and of some
// parcels nobody hears.
func (s *scene) slow() {
	s.shop.Payment.Inject(demo.Fault{Latency: pace, Kind: demo.Late, Delay: lateness, Chance: 0.03}, "Charge")
	s.shop.Shipping.Inject(demo.Fault{Latency: pace})
	s.shop.Shipping.Inject(demo.Fault{Latency: pace, Kind: demo.LoseAnswer, Chance: 0.03}, "ship-order")
	s.shop.Email.Inject(demo.Fault{Latency: pace})
}

func (s *scene) market() *market {
	m := &market{shop: s.shop, seed: s.seed, patient: s.payment == keyed}
	for _, r := range s.replicas {
		m.counters = append(m.counters, newCounter(r.conn))
	}
	return m
}

// killAll lets customers in and kills as often as was asked for. In the end all replicas serve and the customers have
// their answers.
func (s *scene) killAll(ctx context.Context, m *market, r *result) error {
	r.began = time.Now()
	closeDoors := m.open(ctx, s.concurrency)
	err := s.killing(ctx)
	r.ended = time.Now()
	closeDoors()
	return err
}

func (s *scene) killing(ctx context.Context) error {
	luck := rand.New(rand.NewPCG(s.seed, 0)) //nolint:gosec // luck, not a secret
	for n := 1; n <= s.kills; n++ {
		victim := s.replicas[luck.IntN(len(s.replicas))]
		moment := some(luck, 3*time.Millisecond, time.Second)
		if luck.IntN(10) == 0 { // while it starts, and takes up what the last one has left
			moment = some(luck, time.Millisecond, 50*time.Millisecond)
		} else if err := victim.await(ctx); err != nil {
			return err
		}
		if !wait.For(ctx, moment) {
			return context.Cause(ctx)
		}
		if err := errors.Join(victim.kill(), victim.start()); err != nil {
			return err
		}
		s.progress(n)
	}
	for _, r := range s.replicas {
		if err := r.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// some is a time between two, small ones as likely as large ones.
func some(luck *rand.Rand, low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), luck.Float64()))
}

// abandon lets customers buy, kills a replica in the middle of it, and leaves it dead: the others have to take up what it
// has left.
func (s *scene) abandon(ctx context.Context, m *market, r *result) error {
	r.since = time.Now()
	closeDoors := m.open(ctx, abandonCrowd*s.concurrency)
	wait.For(ctx, abandonTime)
	err := s.replicas[0].kill()
	closeDoors()
	if err != nil {
		return err
	}
	return s.rest(ctx, restTime)
}

// judge collects the evidence and prints the verdict.
func (s *scene) judge(ctx context.Context, m *market, r *result) (err error) {
	if r.evidence, err = s.gather(ctx, m); err != nil {
		return err
	}
	if r.takeUps, err = s.takeUps(ctx, r); err != nil {
		return err
	}
	r.guilt = append(r.violations(), r.late()...)
	s.print(r)
	if len(r.guilt) > 0 {
		return fmt.Errorf("%w: %d times", errGuilty, len(r.guilt))
	}
	return nil
}

// takeUp is how an order that was left behind found somebody to go on with it.
type takeUp struct {
	order string
	after time.Duration
}

// takeUps reads from the orders' stories how soon they were taken up: after a process served in the place of the one that
// had left them or, if one was abandoned, after that.
func (s *scene) takeUps(ctx context.Context, r *result) ([]takeUp, error) {
	client, err := s.asked()
	if err != nil {
		return nil, err
	}
	var found []takeUp
	for id, o := range r.record {
		created, changed := o.GetCreated().AsTime(), o.GetChanged().AsTime()
		if created.Before(r.since) || r.killsIn(created, changed) == 0 {
			continue
		}
		whole, err := get(ctx, client, id)
		if err != nil {
			return nil, err
		}
		for _, event := range whole.GetStory() {
			if at := event.GetAt().AsTime(); event.GetBy() == "recovery" {
				if from := s.leftFrom(created, at); !from.IsZero() {
					found = append(found, takeUp{id, max(0, at.Sub(from))})
				}
			}
		}
	}
	return found, nil
}

func get(ctx context.Context, client checkoutv1.OrderServiceClient, id string) (*checkoutv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o, err := client.GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: id})
	if err != nil {
		return nil, fmt.Errorf("getting order %s: %w", id, err)
	}
	return o, nil
}

// leftFrom is since when an order could have been taken up that was, at some time: since the process that did it served
// or, of several replicas, since one was abandoned. It is zero when the order was not left by a process that was killed.
func (s *scene) leftFrom(created, at time.Time) (from time.Time) {
	if len(s.replicas) > 1 {
		if abandoned := s.replicas[0].now().killed.sent; created.Before(abandoned) && at.After(abandoned) {
			from = abandoned
		}
		return from
	}
	for _, l := range s.replicas[0].lives {
		if created.Before(l.started) && !l.started.After(at) && !l.served.IsZero() {
			from = l.served
		}
	}
	return from
}
