package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// sweepAim is how long the recovery of all orders should take.
const sweepAim = 20 * time.Second

// sweep has orders placed while e-mail service and broker are unavailable, kills the process, brings them back, and measures how
// long the next process takes for what is pending.
func (s *harness) sweep(ctx context.Context) error {
	orders := s.options.sweep
	s.say("%d orders are placed; of each, an e-mail and an event stay pending\n\n", orders)
	s.shop.Broker.TakeOffline()
	s.shop.Email.TakeOffline()
	placed, refusal := s.placeAll(ctx, orders)
	if placed < orders {
		return fmt.Errorf("only %d orders were placed: %s %s: %w", placed, refusal.code, refusal.text, ctx.Err())
	}
	victim := s.replicas[0]
	if err := errors.Join(victim.kill(), s.shop.Email.BringOnline(), s.shop.Broker.BringOnline(), victim.start(), victim.waitServing(ctx)); err != nil {
		return err
	}
	began := victim.now().served
	if err := s.settle(ctx, drainTime); err != nil {
		return err
	}
	took := time.Since(began)
	used, err := victim.usage()
	if err != nil {
		return err
	}
	total := s.shop.Ledgers().Total()
	s.table([][]string{
		{"orders", "e-mails", "events", "recovered in", "orders a second", "RSS MiB", "anonymous"},
		{count(orders), count(total.Emails), count(total.Events), brief(took).String(), count(int(float64(orders) / took.Seconds())), fmt.Sprintf("%.1f", mib(used.Peak)), fmt.Sprintf("%.1f", mib(used.Anonymous))},
	})
	if took > sweepAim {
		return fmt.Errorf("%w: recovered in %v, not within %v", errViolated, brief(took), sweepAim)
	}
	return nil
}

// placeAll places so many orders, each of a customer who retries until it is answered.
func (s *harness) placeAll(ctx context.Context, orders int) (placed int, refusal answer) {
	m := s.newCustomers()
	tickets := make(chan struct{})
	var mu sync.Mutex
	var all sync.WaitGroup
	for range s.concurrency {
		all.Go(func() {
			for range tickets {
				user, rng := m.add()
				p := &purchase{user: user, number: 1}
				m.fill(p, rng)
				a := m.ask(ctx, p, 0)
				mu.Lock()
				if a.code == codes.OK {
					placed++
				} else {
					refusal = a
				}
				mu.Unlock()
			}
		})
	}
	for n := 0; n < orders && ctx.Err() == nil; n++ {
		tickets <- struct{}{}
	}
	close(tickets)
	all.Wait()
	return placed, refusal
}
