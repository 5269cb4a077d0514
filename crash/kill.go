package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/wait"
)

const (
	// pace is the latency of the services: time to be killed in.
	pace = 4 * time.Millisecond
	// lateness is how much later than others some charges are made.
	lateness = 250 * time.Millisecond
	// settleTime is how long orders may take until none is in progress: a lease, and what follows.
	settleTime = 90 * time.Second
	// abandonTime is for how long customers buy before a replica is left dead.
	abandonTime = 2 * time.Second
	// abandonFactor is how many times more customers there are then, so that enough orders are left.
	abandonFactor = 4
	// restartRecovery and leaseRecovery are how soon orders are to be recovered: after the next process of a replica serves,
	// and after a kill by another replica.
	restartRecovery = time.Second
	leaseRecovery   = 35 * time.Second
)

// errViolated says that guarantees were violated.
var errViolated = errors.New("guarantees were violated")

// killRun kills processes while customers buy, and audits the outcome.
func (s *harness) killRun(ctx context.Context) error {
	s.say("%d kills of %d on %s, %s payment, %s shipping, %d customers at once, seed %d\n", s.kills, len(s.replicas), s.db, s.payment, s.shipping, s.concurrency, s.seed)
	s.injectFaults()
	m := s.newCustomers()
	r := &result{recoveryLimit: restartRecovery}
	if err := s.killAll(ctx, m, r); err != nil {
		return err
	}
	if err := s.settle(ctx, settleTime); err != nil {
		return err
	}
	r.settled = time.Now()
	if len(s.replicas) > 1 {
		r.recoveryLimit = leaseRecovery
		if err := s.abandon(ctx, m, r); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.audit(ctx, m, r)
}

// injectFaults makes time to be killed in. Some charges are made so late that their process may be dead by then, and some answers
// of shipments are lost.
func (s *harness) injectFaults() {
	s.shop.Payment.Inject(demo.Fault{Latency: pace, Kind: demo.Late, Delay: lateness, Chance: 0.03}, "Charge")
	s.shop.Shipping.Inject(demo.Fault{Latency: pace})
	s.shop.Shipping.Inject(demo.Fault{Latency: pace, Kind: demo.LoseAnswer, Chance: 0.03}, "ship-order")
	s.shop.Email.Inject(demo.Fault{Latency: pace})
}

func (s *harness) newCustomers() *customers {
	m := &customers{shop: s.shop, seed: s.seed, retryUnknown: s.payment == keyed}
	for _, r := range s.replicas {
		m.clients = append(m.clients, client{oteldemo.NewCheckoutServiceClient(r.conn)})
	}
	return m
}

// killAll lets customers buy and kills as often as was asked for. In the end all replicas serve and all calls are answered.
func (s *harness) killAll(ctx context.Context, m *customers, r *result) error {
	r.began = time.Now()
	stop := m.start(ctx, s.concurrency)
	err := s.killing(ctx)
	r.ended = time.Now()
	stop()
	return err
}

func (s *harness) killing(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(s.seed, 0)) //nolint:gosec // rng, not a secret
	for n := 1; n <= s.kills; n++ {
		victim := s.replicas[rng.IntN(len(s.replicas))]
		moment := some(rng, 3*time.Millisecond, time.Second)
		if rng.IntN(10) == 0 { // while it starts and recovers orders
			moment = some(rng, time.Millisecond, 50*time.Millisecond)
		} else if err := victim.waitServing(ctx); err != nil {
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
		if err := r.waitServing(ctx); err != nil {
			return err
		}
	}
	return nil
}

// some is a time between two, small ones as likely as large ones.
func some(rng *rand.Rand, low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), rng.Float64()))
}

// abandon lets customers buy, kills a replica meanwhile, and does not restart it: the others recover its orders.
func (s *harness) abandon(ctx context.Context, m *customers, r *result) error {
	r.since = time.Now()
	stop := m.start(ctx, abandonFactor*s.concurrency)
	wait.For(ctx, abandonTime)
	err := s.replicas[0].kill()
	stop()
	if err != nil {
		return err
	}
	return s.settle(ctx, settleTime)
}

// audit reads the ledgers and prints the violations.
func (s *harness) audit(ctx context.Context, m *customers, r *result) (err error) {
	if r.observed, err = s.observe(ctx, m); err != nil {
		return err
	}
	if r.recoveries, err = s.recoveries(ctx, r); err != nil {
		return err
	}
	r.violations = append(r.audit(), r.late()...)
	s.print(r)
	if len(r.violations) > 0 {
		return fmt.Errorf("%w: %d times", errViolated, len(r.violations))
	}
	return nil
}

// recovery is how soon an order was recovered.
type recovery struct {
	order string
	after time.Duration
}

// recoveries reads from the orders' histories how soon they were recovered: after the next process of their replica served or,
// if one was left dead, after that.
func (s *harness) recoveries(ctx context.Context, r *result) ([]recovery, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	var found []recovery
	for id, o := range r.record {
		created, changed := o.GetCreated().AsTime(), o.GetChanged().AsTime()
		if created.Before(r.since) || r.killsIn(created, changed) == 0 {
			continue
		}
		whole, err := get(ctx, client, id)
		if err != nil {
			return nil, err
		}
		for _, event := range whole.GetHistory() {
			if at := event.GetAt().AsTime(); event.GetBy() == "recovery" {
				if from := s.leftFrom(created, at); !from.IsZero() {
					found = append(found, recovery{id, max(0, at.Sub(from))})
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

// leftFrom is since when an order could have been recovered that was, at some time: since the process that did it served or,
// of several replicas, since one was left dead. It is zero if no killed process had left the order.
func (s *harness) leftFrom(created, at time.Time) (from time.Time) {
	if len(s.replicas) > 1 {
		if abandoned := s.replicas[0].now().killed.sent; created.Before(abandoned) && at.After(abandoned) {
			from = abandoned
		}
		return from
	}
	for _, l := range s.replicas[0].processes {
		if created.Before(l.started) && !l.started.After(at) && !l.served.IsZero() {
			from = l.served
		}
	}
	return from
}
