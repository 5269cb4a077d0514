//go:build telemetry

package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"checkout/internal/demo"
)

const (
	// crowd is how many orders are placed at once, and many how many are while the collector is away: their spans are more
	// than the queue takes.
	crowd = 8
	many  = 100
	// lastWords is how long the service may take to end, whatever the collector does: 3.3 s by its own limit, and less than
	// the 10 s for which an export is tried, however busy the machine is.
	lastWords = 9 * time.Second
)

func TestOrdersGoOnWithoutACollector(t *testing.T) {
	t.Parallel()
	s := startService(t, free(t), nil)
	s.sell(t, "ada", many)
	s.close(t)
	if n := strings.Count(s.out.String(), "telemetry was lost"); n == 0 || n > 2 {
		t.Errorf("the log tells %d times that telemetry was lost, want it to, and not every time", n)
	}
}

// A collector that takes whatever it is sent and never answers.
func TestOrdersGoOnWithACollectorThatSwallowsEverything(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // the kernel accepts, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	s := startService(t, silent.Addr().String(), nil)
	s.sell(t, "ada", many)
	s.close(t)
}

// A real collector that hangs in the middle of things, with its connections open.
func TestOrdersGoOnWhileTheCollectorHangs(t *testing.T) {
	t.Parallel()
	c := startCollector(t, free(t))
	s := startService(t, c.otlp, nil)
	s.sell(t, "ada", crowd)
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.sell(t, "bea", many)
	s.close(t)
	_ = c.end(syscall.SIGKILL) // it cannot end in order
}

// A collector that dies and comes back: orders go on, and then it receives them again.
func TestTheCollectorMayDieAndComeBack(t *testing.T) {
	t.Parallel()
	c := startCollector(t, free(t))
	s := startService(t, c.otlp, nil)
	s.sell(t, "ada", crowd)
	_ = c.end(syscall.SIGKILL) // that is how it ends
	s.sell(t, "bea", many)
	c.start(t)
	n := 0
	await(t, "an order that the collector receives", func(context.Context) error {
		n++
		s.sell(t, fmt.Sprint("cia-", n), 1)
		return c.logged(`"cia-`)
	})
	s.close(t)
}

// sell has many customers place an order each, a crowd at a time, and looks whether each was charged once.
func (s *service) sell(t *testing.T, name string, orders int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	before := len(s.shop.Payment.Charges())
	users := make(chan string)
	var counters sync.WaitGroup
	for range crowd {
		counters.Go(func() {
			for user := range users {
				if _, err := s.buy(ctx, user, "USD", visa); err != nil {
					t.Errorf("%s's order: %v", user, err)
				}
			}
		})
	}
	for i := range orders {
		users <- fmt.Sprintf("%s-%d", name, i)
	}
	close(users)
	counters.Wait()
	if got := len(s.shop.Payment.Charges()) - before; got != orders {
		t.Errorf("%d orders were charged %d times", orders, got)
	}
}

// close ends the service in order and in time, with nothing pending.
func (s *service) close(t *testing.T) {
	t.Helper()
	n := len(s.shop.Payment.Charges())
	s.awaitLedgers(t, demo.Tally{Charges: n, Parcels: n, Emails: n, Events: n})
	begin := time.Now()
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > lastWords {
		t.Errorf("it took %v to end, want less than %v", took, lastWords)
	}
}
