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
	// drainTime is how long events that are owed may take in the end, and drainAim how long they should.
	drainTime = 5 * time.Minute
	drainAim  = time.Minute
)

// outage lets orders come at a steady rate while the broker is there, away, and there again, and prints what customers
// and the process have noticed.
func (s *scene) outage(ctx context.Context) (err error) {
	away := s.options.outage
	s.say("%d orders a second; the broker is there for %v, away for %v, and there again for %v\n\n", s.rate, away/3, away, away/3)
	st := &stream{scene: s, market: s.market(), rate: s.rate}
	coming, closeDoors := context.WithCancel(ctx)
	watching, stopWatching := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { st.run(coming) })
	var unseen error
	all.Go(func() { unseen = st.watch(watching) })
	defer func() {
		closeDoors()
		stopWatching()
		all.Wait()
		err = errors.Join(err, unseen)
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
	took, _ := st.drain(ctx, back, drainTime)
	wait.For(ctx, time.Until(back.Add(away/3)))
	end := time.Now()
	closeDoors()
	_, lost := st.drain(ctx, end.Add(time.Hour), drainTime)
	stopWatching()
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return st.account([]window{{"before", began, left}, {"broker away", left, back}, {"after", back, end}}, took, lost)
}

// account prints how the outage went. It fails when an event was lost, or an order.
func (st *stream) account(windows []window, drained time.Duration, lost int) error {
	rows := [][]string{{"", "placed", "failed", "p50", "p99", "max", "CPU", "RSS MiB", "anonymous", "MiB/min", "events owed"}}
	for _, w := range windows {
		rows = append(rows, st.row(w))
	}
	st.table(rows)
	failed := 0
	for _, v := range st.visits {
		if v.answer.code != 0 {
			failed++
		}
	}
	st.say("\nDrained %.1f s after the broker's return; %d events lost.\n", drained.Seconds(), lost)
	var problems []error
	if lost > 0 {
		problems = append(problems, fmt.Errorf("%w: %d events lost", errGuilty, lost))
	}
	if failed > 0 {
		problems = append(problems, fmt.Errorf("%w: %d orders refused, such as: %s", errGuilty, failed, st.refusal()))
	}
	if drained > drainAim {
		problems = append(problems, fmt.Errorf("%w: drained after %v, not within %v", errGuilty, brief(drained), drainAim))
	}
	return errors.Join(problems...)
}

// refusal is why an order was refused, one of them.
func (st *stream) refusal() string {
	for _, v := range st.visits {
		if v.answer.code != 0 {
			return fmt.Sprintf("%s %s: %s", v.answer.code, v.answer.reason, v.answer.text)
		}
	}
	return ""
}
