package admission

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/order"
)

func request(user, card string) order.Request {
	return order.Request{UserID: user, Card: creditcard.New(card, 123, 2039, 1)}
}

// try has so many orders of a user's placed, all of which are declined, and returns how many are allowed, and the last error.
func try(c *Customers, times int, next func(i int) order.Request) (allowed int, err error) {
	for i := range times {
		var declined func()
		if declined, err = c.Allow(next(i)); err == nil {
			allowed++
			declined()
		}
	}
	return allowed, err
}

func TestAUserWhoTriesManyCardsIsRefusedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCustomers(0, 20)
		thief := func(i int) order.Request { return request("thief", fmt.Sprintf("4000 0000 0000 %04d", i)) }
		allowed, err := try(c, 100, thief)
		var refusal *order.Error
		if allowed != 20 || !errors.As(err, &refusal) || refusal.Kind != order.ErrOverloaded {
			t.Fatalf("%d of 100 cards are tried, and then %v; want 20, and overloaded", allowed, err)
		}
		if limit := order.Limit("too many declined charges of one user"); refusal.Err != limit {
			t.Errorf("the cause is %v, want %v", refusal.Err, limit)
		}
		if refusal.RetryAfter <= 0 || refusal.RetryAfter > declineWindow || refusal.RetryAfter%time.Second != 0 {
			t.Errorf("they are asked to come back after %v, want whole seconds", refusal.RetryAfter)
		}
		if _, err := c.Allow(request("ada", "4111 1111 1111 1111")); err != nil {
			t.Errorf("another user: %v", err)
		}
		time.Sleep(2 * declineWindow)
		if _, err := c.Allow(thief(0)); err != nil {
			t.Errorf("much later: %v", err)
		}
	})
}

func TestACardThatManyUsersTryIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCustomers(0, 2)
		allowed, _ := try(c, 100, func(i int) order.Request { return request(fmt.Sprint("thief ", i), "4111-1111-1111-1111") })
		if want := 2 * cardDeclines; allowed != want {
			t.Errorf("one card is tried %d times by many users, want %d", allowed, want)
		}
		if _, err := c.Allow(request("ada", "4111111111111111")); err == nil {
			t.Error("the same card, typed without dashes, is another one")
		}
	})
}

func TestACallerThatRetriesInTimeIsAdmitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]*Customers{"declines": NewCustomers(0, 5), "orders": NewCustomers(5, 0)} {
			next := func(int) order.Request { return request("ada", "4111 1111 1111 1111") }
			for range 5 { // windows begin and end meanwhile
				_, err := try(c, 20, next)
				var refusal *order.Error
				if !errors.As(err, &refusal) {
					t.Fatalf("%s: 20 at once: %v", name, err)
				}
				for tries := 0; errors.As(err, &refusal); tries++ {
					if tries == 3 {
						t.Fatalf("%s: told to come back in vain %d times", name, tries)
					}
					time.Sleep(refusal.RetryAfter)
					_, err = c.Allow(next(0))
				}
			}
		}
	})
}

func TestAUserPlacesSoManyOrdersAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCustomers(6, 0)
		placed := 0
		for range 600 { // ten minutes
			if _, err := c.Allow(request("eager", "4111 1111 1111 1111")); err == nil {
				placed++
			}
			time.Sleep(time.Second)
		}
		if placed < 50 || placed > 70 {
			t.Errorf("%d orders in ten minutes, want about 60", placed)
		}
	})
}

func TestNothingIsBoundedUnlessItIsSet(t *testing.T) {
	t.Parallel()
	c := NewCustomers(0, 0)
	if allowed, err := try(c, 1000, func(int) order.Request { return request("ada", "4111 1111 1111 1111") }); allowed != 1000 {
		t.Errorf("%d of 1000 are allowed: %v", allowed, err)
	}
}

func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	c := NewCustomers(1000, 1000)
	_, _ = try(c, 5*tableSize, func(i int) order.Request { return request(fmt.Sprint(i), fmt.Sprintf("%016d", i)) })
	for name, w := range map[string]*window{"orders": &c.orders, "users": &c.users, "cards": &c.cards} {
		if n := len(w.recent.counts) + len(w.older.counts); n > 2*tableSize {
			t.Errorf("%d %s are remembered, want at most %d", n, name, 2*tableSize)
		}
	}
}

// Not in parallel: it looks at the heap. A user id has 128 characters at most, which may be 512 bytes.
func TestAFloodOfNewUsersTakesLittleMemory(t *testing.T) {
	heap := func() uint64 {
		var is runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&is)
		return is.HeapAlloc
	}
	before := heap()
	c := NewCustomers(1000, 1000)
	_, _ = try(c, 5*tableSize, func(i int) order.Request {
		return request(strings.Repeat("𝒶", 120)+fmt.Sprintf("%08d", i), fmt.Sprintf("%016d", i))
	})
	if grown := int64(heap() - before); grown > 4<<20 {
		t.Errorf("%d KiB are held of %d users, want 4 MiB at most", grown>>10, 5*tableSize)
	}
	runtime.KeepAlive(c)
}

func TestAFloodOfNewUsersDoesNotLetAGreedyOneIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCustomers(20, 20)
		greedy := func(int) order.Request { return request("greedy", "4111 1111 1111 1111") }
		if allowed, _ := try(c, 40, greedy); allowed != 20 {
			t.Errorf("%d orders are allowed, want 20", allowed)
		}
		_, _ = try(c, 5*tableSize, func(i int) order.Request { return request(fmt.Sprint(i), fmt.Sprintf("%016d", i)) })
		if allowed, _ := try(c, 40, greedy); allowed != 0 {
			t.Errorf("%d orders more are allowed after %d new users", allowed, 5*tableSize)
		}
	})
}

func TestUsersWhoseNamesLookAlikeAreOthers(t *testing.T) {
	t.Parallel()
	c := NewCustomers(1, 0)
	for _, user := range []string{"", "ada", "Ada", "аda", "ada\u200b", "ａｄａ", " ada", "ada\x00", "\xff", strings.Repeat("a", 1<<20)} {
		if _, err := c.Allow(request(user, "4111 1111 1111 1111")); err != nil {
			t.Errorf("%.20q is taken for another user: %v", user, err)
		}
		if _, err := c.Allow(request(user, "4111 1111 1111 1111")); err == nil {
			t.Errorf("%.20q is not recognized", user)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	c := NewCustomers(1<<30, 1<<20)
	req := request("ada", "4111 1111 1111 1111")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Allow(req); err != nil {
			b.Fatal(err)
		}
	}
}
