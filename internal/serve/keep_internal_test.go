package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/order"
)

// answering is a record that answers probes with one error after the other, and the last one for ever.
type answering struct {
	record

	errs []error
}

func (r *answering) Ready(context.Context) error {
	err := r.errs[0]
	if len(r.errs) > 1 {
		r.errs = r.errs[1:]
	}
	return err
}

func TestOneSlowFlushDoesNotMakeTheServiceUnready(t *testing.T) {
	t.Parallel()
	slow, gone := context.DeadlineExceeded, fmt.Errorf("%w: orders.db was deleted", order.ErrUnsent)
	away := errors.New("connection refused")
	for name, test := range map[string]struct {
		probes []error
		want   string // a character a second: ready or not
		logged string // what, so often
		times  int
	}{
		"works":                        {[]error{nil}, "rrr", "record takes", 0},
		"slow once":                    {[]error{nil, slow, nil}, "rrr", "record takes", 0},
		"slow now and then":            {[]error{nil, slow, slow, nil, slow, slow, nil}, "rrrrrrr", "record takes", 0},
		"slow for long":                {[]error{nil, slow, slow, slow, slow, nil}, "rrr--r", "takes no new orders", 1},
		"away, and back":               {[]error{nil, away, away, away, nil}, "rrr-r", "takes new orders again", 1},
		"deleted":                      {[]error{nil, gone}, "r----", "orders.db was deleted", 1},
		"deleted, and put back":        {[]error{nil, gone, nil, slow, nil}, "r-rrr", "takes new orders again", 1},
		"not there at the start":       {[]error{away, away, nil}, "--r", "takes no new orders", 1},
		"deleted after it became slow": {[]error{nil, slow, gone, gone}, "rr--", "takes no new orders", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				h := health.NewServer()
				defer h.Shutdown()
				r := readiness{record: &answering{errs: test.probes}, health: h, log: slog.New(slog.NewTextHandler(&log, nil))}
				ctx, cancel := context.WithCancel(t.Context())
				go every(ctx, readyEvery, func() { r.probe(ctx) })
				var got strings.Builder
				for range test.want {
					synctest.Wait()
					answer, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
					if err != nil {
						t.Fatal(err)
					}
					got.WriteByte("-r"[min(int(answer.GetStatus())%2, 1)])
					time.Sleep(readyEvery)
				}
				cancel()
				synctest.Wait()
				if got.String() != test.want {
					t.Errorf("it was ready %s, want %s", got.String(), test.want)
				}
				if n := strings.Count(log.String(), test.logged); n != test.times {
					t.Errorf("%q was logged %d times, want %d:\n%s", test.logged, n, test.times, &log)
				}
			})
		})
	}
}
