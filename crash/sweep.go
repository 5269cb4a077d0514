package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// sweepAim is how long it should take until orders that were left behind are completed.
const sweepAim = 20 * time.Second

// sweep has orders placed while nobody takes letters or events, kills the process, lets these neighbours return, and
// measures how long the next process takes for what is owed.
func (s *scene) sweep(ctx context.Context) error {
	orders := s.options.sweep
	s.say("%d orders are placed, and left behind owing a letter and an event each\n\n", orders)
	s.shop.Broker.TakeOffline()
	s.shop.Email.TakeOffline()
	placed, refusal := s.placeAll(ctx, orders)
	if placed < orders {
		return fmt.Errorf("only %d orders were placed: %s %s: %w", placed, refusal.code, refusal.text, ctx.Err())
	}
	victim := s.replicas[0]
	if err := errors.Join(victim.kill(), s.shop.Email.BringOnline(), s.shop.Broker.BringOnline(), victim.start(), victim.await(ctx)); err != nil {
		return err
	}
	began := victim.now().served
	if err := s.rest(ctx, drainTime); err != nil {
		return err
	}
	took := time.Since(began)
	used, err := victim.usage()
	if err != nil {
		return err
	}
	total := s.shop.Ledgers().Total()
	s.table([][]string{
		{"orders", "letters", "events", "swept in", "orders a second", "RSS MiB", "anonymous"},
		{count(orders), count(total.Emails), count(total.Events), brief(took).String(), count(int(float64(orders) / took.Seconds())), fmt.Sprintf("%.1f", mib(used.Peak)), fmt.Sprintf("%.1f", mib(used.Anonymous))},
	})
	if took > sweepAim {
		return fmt.Errorf("%w: swept in %v, not within %v", errGuilty, brief(took), sweepAim)
	}
	return nil
}

// placeAll places so many orders, each of a customer who asks until it is answered.
func (s *scene) placeAll(ctx context.Context, orders int) (placed int, refusal answer) {
	m := s.market()
	tickets := make(chan struct{})
	var mu sync.Mutex
	var customers sync.WaitGroup
	for range s.concurrency {
		customers.Go(func() {
			for range tickets {
				user, luck := m.enter()
				p := &purchase{user: user, number: 1}
				m.fill(p, luck)
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
	customers.Wait()
	return placed, refusal
}
