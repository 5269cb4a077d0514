package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"checkout/internal/wait"
)

const (
	// drainTime is how long events that are pending may take in the end, and drainAim how long they should.
	drainTime = 5 * time.Minute
	drainAim  = time.Minute
)

// outage lets orders come at a steady rate while the broker is available, unavailable, and available again, and prints what that
// meant for customers and the process.
func (s *harness) outage(ctx context.Context) (err error) {
	away := s.options.outage
	s.say("%d orders a second; the broker is available for %v, unavailable for %v, and available again for %v\n\n", s.rate, away/3, away, away/3)
	l := &load{harness: s, customers: s.newCustomers(), rate: s.rate}
	loading, stop := context.WithCancel(ctx)
	watching, stopWatching := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { l.run(loading) })
	var failure error
	all.Go(func() { failure = l.watch(watching) })
	defer func() {
		stop()
		stopWatching()
		all.Wait()
		err = errors.Join(err, failure)
	}()

	began := time.Now()
	wait.For(ctx, away/3)
	s.shop.Broker.TakeOffline()
	left := time.Now()
	wait.For(ctx, away)
	back := time.Now()
	if err := s.shop.Broker.BringOnline(); err != nil {
		return err
	}
	took, _ := l.drain(ctx, back, drainTime)
	wait.For(ctx, time.Until(back.Add(away/3)))
	end := time.Now()
	stop()
	_, lost := l.drain(ctx, end.Add(time.Hour), drainTime)
	stopWatching()
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.report([]window{{"before", began, left}, {"broker unavailable", left, back}, {"after", back, end}}, took, lost)
}

// report prints how the outage went. It fails when an event was lost, or an order.
func (l *load) report(windows []window, drained time.Duration, lost int) error {
	rows := [][]string{{"", "placed", "failed", "p50", "p99", "max", "CPU", "RSS MiB", "anonymous", "MiB/min", "events pending"}}
	for _, w := range windows {
		rows = append(rows, l.row(w))
	}
	l.table(rows)
	failed := 0
	for _, v := range l.calls {
		if v.answer.code != 0 {
			failed++
		}
	}
	l.say("\nDrained %.1f s after the broker's return; %d events lost.\n", drained.Seconds(), lost)
	var problems []error
	if lost > 0 {
		problems = append(problems, fmt.Errorf("%w: %d events lost", errViolated, lost))
	}
	if failed > 0 {
		problems = append(problems, fmt.Errorf("%w: %d orders refused, such as: %s", errViolated, failed, l.refusal()))
	}
	if drained > drainAim {
		problems = append(problems, fmt.Errorf("%w: drained after %v, not within %v", errViolated, brief(drained), drainAim))
	}
	return errors.Join(problems...)
}

// refusal is why an order was refused, one of them.
func (l *load) refusal() string {
	for _, v := range l.calls {
		if v.answer.code != 0 {
			return fmt.Sprintf("%s %s: %s", v.answer.code, v.answer.reason, v.answer.text)
		}
	}
	return ""
}
