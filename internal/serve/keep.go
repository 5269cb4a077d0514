package serve

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

const (
	// purgeEvery is how often finished orders are looked through for those whose retention is over; purgeSize is how many
	// are deleted in one go, so that no order waits long for it.
	purgeEvery = 10 * time.Minute
	purgeSize  = 500
	// indexEvery is how often orders are made to be found without looking at each.
	indexEvery = 2 * time.Second
	// readyEvery is how often the record is asked whether it takes new orders, and how long it may take to answer.
	// readyFailures is how many failures in a row it takes to be NOT_SERVING.
	readyEvery    = time.Second
	readyFailures = 3
)

// keep runs what orders need beside themselves: recovery, the clean-up of the record, and word of whether it works. It
// returns how to end them.
func keep(ctx context.Context, placer *order.Placer, record record, auditRetention time.Duration, h *health.Server, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		wake(ctx, placer, record, log)
		placer.Recover(ctx)
	})
	all.Go(func() {
		every(ctx, purgeEvery, func() {
			purge(ctx, record, log)
			if err := record.PurgeAudit(ctx, time.Now().Add(-auditRetention)); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "expired orders were not deleted", "error", err)
			}
		})
	})
	all.Go(func() {
		every(ctx, indexEvery, func() {
			if err := record.Index(ctx); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "orders were not indexed", "error", err)
			}
		})
	})
	all.Go(func() {
		r := readiness{record: record, health: h, log: log}
		every(ctx, readyEvery, func() { r.probe(ctx) })
	})
	return func() { cancel(); all.Wait() }
}

// wake resumes orders that require an operator because there was no ledger to ask when they were left, and now there is one.
func wake(ctx context.Context, placer *order.Placer, record record, log *slog.Logger) {
	if placer.Ledger == nil {
		return
	}
	for q := (lookup.Query{States: []order.State{order.InDoubt, order.Refunding}, Limit: purgeSize}); ; {
		found, next, err := record.List(ctx, q)
		if err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "orders to resume were not read", "error", err)
		}
		for _, o := range found {
			retry := order.Resolution{Kind: order.Retry, By: "checkout", Why: "the payment service can be asked now"}
			if _, err := placer.Resolve(ctx, o.ID, retry); err != nil && !errors.Is(err, order.ErrFenced) && ctx.Err() == nil {
				log.WarnContext(ctx, "order not resumed", "error", err, "order", string(o.ID))
			}
		}
		if next == "" {
			return
		}
		q.Before = next
	}
}

// every does act now, and then every d until ctx ends.
func every(ctx context.Context, d time.Duration, act func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for ctx.Err() == nil {
		act()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func purge(ctx context.Context, record record, log *slog.Logger) {
	for {
		n, err := record.Purge(ctx, purgeSize)
		if err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "expired orders were not deleted", "error", err)
		}
		if n < purgeSize {
			return
		}
	}
}

// readiness is whether new orders can be placed: whether they can be recorded. Other services may come and go. One slow
// flush of the disk is no reason to send the customers elsewhere, but an error that does not pass by itself is.
type readiness struct {
	record record
	health *health.Server
	log    *slog.Logger

	serving bool
	failed  int // probes since the last that succeeded
}

// probe asks the record once, and reports what has changed.
func (r *readiness) probe(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, readyEvery)
	defer cancel()
	err := r.record.Ready(asked)
	switch {
	case ctx.Err() != nil: // the service is ending
	case err == nil:
		if !r.serving && r.failed > 0 {
			r.log.InfoContext(ctx, "the record takes new orders again")
		}
		r.serving, r.failed = true, 0
		r.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	default:
		r.failed++
		passes := !errors.Is(err, order.ErrUnsent) // which says that orders are refused: the disk is full, the record is gone
		if r.serving && passes && r.failed < readyFailures {
			return
		}
		if r.serving || r.failed == 1 {
			r.log.ErrorContext(ctx, "the record takes no new orders", "error", err)
		}
		r.serving = false
		r.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	}
}
