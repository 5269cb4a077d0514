//go:build !planted

package sim

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/store"
)

// The process dies before, and after, each single call of an order, with the real store on a disk.

func TestCrashAtEveryCall(t *testing.T) {
	t.Parallel()
	for _, c := range []crash{
		{keyed: true, pays: "USD", orders: 1},
		{keyed: true, pays: "EUR", orders: 1},
		{keyed: false, pays: "USD", orders: 1},
		{keyed: false, pays: "EUR", orders: 1},
		{keyed: true, pays: "USD", orders: 2},
		{keyed: false, attempts: 3, pays: "USD", orders: 1},
		{keyed: true, attempts: 1, pays: "USD", orders: 1},
		{keyed: false, attempts: 2, pays: "EUR", orders: 2},
	} {
		t.Run(fmt.Sprintf("keyed=%t/attempts=%d/%s/%d", c.keyed, c.attempts, c.pays, c.orders), func(t *testing.T) {
			t.Parallel()
			calls := c.run(t, 0, none)
			if calls < 15 {
				t.Fatalf("an order makes %d calls only", calls)
			}
			for n := 1; n <= calls; n++ {
				c.run(t, n, crashBefore)
				c.run(t, n, crashAfter)
			}
		})
	}
}

// crash is a course of orders to be interrupted.
type crash struct {
	keyed    bool
	attempts int
	pays     money.Currency
	orders   int
}

// run lets the process die at its n-th call, or never. It returns how many calls there were until all orders were final.
func (c crash) run(t *testing.T, n int, how fault) (calls int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders")
	var lines []string
	died := false
	synctest.Test(t, func(t *testing.T) {
		p := plan{seed: 1, keyed: c.keyed, attempts: c.attempts, broker: true}
		p.kill = func(call int) fault {
			if call != n {
				return none
			}
			died = true
			return how
		}
		p.print = func(line string) { lines = append(lines, line) }
		w := newWorld(p, nil)
		disk := &disk{path: path}
		w.reopen = func() recordStore { return disk.open(t) }
		w.record = w.reopen()
		var others sync.WaitGroup
		others.Go(func() { w.supervise(0) })
		others.Go(newOperator(w, "mary").run)
		calls = c.shop(w)
		w.settle()
		close(w.over)
		others.Wait()
		w.dead.Wait()
		w.check()
		w.checkSold(c)
		if len(w.wrong) > 0 || died != (n > 0) {
			t.Errorf("%s call %d (died: %t):\n  %s\n\n%s", how, n, died, strings.Join(w.wrong, "\n  "), strings.Join(lines, "\n"))
		}
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	return calls
}

// disk is the file of a store.
type disk struct {
	path string
	*store.SQLite
}

// open opens the file as the next process does. What the last one has committed is there; nothing else is.
func (d *disk) open(t *testing.T) recordStore {
	if d.SQLite != nil {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	s, err := store.Open(d.path)
	if err != nil {
		t.Fatal(err)
	}
	d.SQLite = s
	return s
}

// shop buys so many baskets, each until the answer is final, and returns how many calls that and the deliveries took.
func (c crash) shop(w *world) (calls int) {
	buyer := newCustomer(w, 1)
	buyer.pays, buyer.card, buyer.home.City, buyer.home.State, buyer.mail = c.pays, goodCard, "Town", "", "u1@example.com"
	w.sleep(time.Millisecond) // until the process has started
	for n := range c.orders {
		b := w.fill(buyer.name, []order.Line{{ProductID: "telescope", Quantity: int32(n + 1)}, {ProductID: "lens", Quantity: 3}})
		for try := range 40 {
			a := buyer.askAt(0, w.plan.hash("crash").number(int64(try)).dice(), b, buyer.request(b, b.name))
			if a.heard && !a.retryable() {
				break
			}
			w.sleep(5 * time.Second)
		}
	}
	w.until("final", time.Hour, func(o *order.Order) bool { return o.State.Final() })
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// checkSold wants all orders to be completed in the end, except those that an operator has refunded.
func (w *world) checkSold(c crash) {
	sold := 0
	for _, o := range w.orders() {
		if o.State == order.Completed || w.refunded(o) || w.account(o.ID).returned > 0 {
			sold++
		}
	}
	if sold != c.orders {
		w.violated("I3", "the shop", "has sold %d baskets of %d", sold, c.orders)
	}
}
