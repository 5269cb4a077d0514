package order

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/wait"
)

// answers are what several calls got.
type answers struct {
	mu       sync.Mutex
	orders   map[ID]int
	own      int // answers that are no repetitions
	failures map[Kind]int
}

func (a *answers) note(o *Order, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var kind Kind
	switch {
	case err == nil:
		a.orders[o.ID]++
		if !o.Repeated {
			a.own++
		}
	case errors.As(err, &kind):
		a.failures[kind]++
	}
}

func newAnswers() *answers { return &answers{orders: map[ID]int{}, failures: map[Kind]int{}} }

// slowly has every call of the shop take a while.
func slowly(ctx context.Context, _ Step) error {
	if !wait.For(ctx, 50*time.Millisecond) {
		return ctx.Err()
	}
	return nil
}

func TestManyClicksAreOneOrderThatIsPricedOnce(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = slowly
		p := s.open(t)
		got := newAnswers()
		var clicks sync.WaitGroup
		for range 200 {
			clicks.Go(func() { got.note(p.Place(t.Context(), request())) })
		}
		clicks.Wait()
		if len(got.orders) != 1 || got.own != 1 {
			t.Errorf("the calls are answered with %v, of which %d are no repetitions; want one order", got.orders, got.own)
		}
		if n := got.failures[ErrOverloaded]; n != 200-1-maxWaiters || len(got.failures) != 1 {
			t.Errorf("%v fail; want %d refused", got.failures, 200-1-maxWaiters)
		}
		time.Sleep(time.Minute) // deliveries look at the cart, too
		if n := s.count(StepCart); n > 2 {
			t.Errorf("the cart was read %d times for one order", n)
		}
		if n := s.count(StepQuote); n != 1 {
			t.Errorf("shipping was quoted %d times for one order", n)
		}
	})
}

func TestCallsThatWaitForOthersAreBounded(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = slowly
		p := s.open(t)
		p.MaxJoined = 50
		got := newAnswers()
		var clicks sync.WaitGroup
		for i := range 100 {
			clicks.Go(func() {
				req := request()
				req.UserID = fmt.Sprint(i % 4)
				got.note(p.Place(t.Context(), req))
			})
		}
		synctest.Wait()
		if n := p.Joined(); n != p.MaxJoined {
			t.Errorf("%d calls wait for others, want %d", n, p.MaxJoined)
		}
		clicks.Wait()
		if n := got.failures[ErrOverloaded]; n != 100-4-p.MaxJoined {
			t.Errorf("%d calls are refused, want %d", n, 100-4-p.MaxJoined)
		}
		if n := p.Joined(); n != 0 {
			t.Errorf("%d calls wait when all are answered", n)
		}
	})
}

func TestOrdersOfAUserTakeTurnsWithoutHoldingPlaces(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = slowly
		counted := &places{Admission: s}
		p := s.open(t)
		p.Admission = counted
		var calls sync.WaitGroup
		for name, call := range map[string]func(context.Context, Request) (*Order, error){"orders": p.Place, "quotes": p.Quote} {
			counted.most = 0
			for _, city := range []string{"Paris", "Rome", "Oslo", "Bonn"} {
				calls.Go(func() {
					req := request()
					req.Address.City = city
					_, _ = call(t.Context(), req)
				})
			}
			calls.Wait()
			if counted.most != 1 {
				t.Errorf("%s: one user held %d places at once, want 1", name, counted.most)
			}
		}
	})
}

// places are an Admission that counts.
type places struct {
	Admission
	mu        sync.Mutex
	now, most int
}

func (p *places) Admit(context.Context) (func(error), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.most = max(p.most, p.now)
	return func(error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.now--
	}, nil
}

func TestWhenACallerHangsUpTheNextClickPlacesTheOrder(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = slowly
		p := s.open(t)
		first, hangUp := context.WithCancel(t.Context())
		var clicks sync.WaitGroup
		clicks.Go(func() {
			if o, err := p.Place(first, request()); err == nil {
				t.Errorf("who has hung up gets %v", o.ID)
			}
		})
		synctest.Wait()
		got := newAnswers()
		for range 3 {
			clicks.Go(func() { got.note(p.Place(t.Context(), request())) })
		}
		synctest.Wait()
		hangUp() // during the reads
		clicks.Wait()
		if len(got.orders) != 1 || len(got.failures) > 0 {
			t.Errorf("the other clicks are answered with %v and %v; want one order", got.orders, got.failures)
		}
	})
}

func TestARequestAtItsDeadlineIsAnsweredFromTheRecord(t *testing.T) {
	t.Parallel()
	for step, want := range map[Step]Kind{StepCart: ErrBusy, StepCharge: ErrInDoubt, StepShip: ""} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			inShop(t, func(t *testing.T, s *shop) {
				s.before = func(ctx context.Context, is Step) error {
					if is == step && !wait.For(ctx, 5*time.Second) {
						return ctx.Err()
					}
					return nil
				}
				p := s.open(t)
				var clicks sync.WaitGroup
				clicks.Go(func() { _, _ = p.Place(t.Context(), request()) })
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				o, err := p.Place(ctx, request())
				var kind Kind
				if errors.As(err, &kind); kind != want || err == nil && (o.State != Charged || !o.Repeated) {
					t.Errorf("answered with %v, %v; want %q", o, err, want)
				}
				clicks.Wait()
			})
		})
	}
}

func TestALateClickIsAnOrderOfItsOwn(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = func(ctx context.Context, step Step) error {
			if step == StepShip && !wait.For(ctx, 5*time.Second) {
				return ctx.Err()
			}
			return nil
		}
		p := s.open(t)
		got := newAnswers()
		var clicks sync.WaitGroup
		clicks.Go(func() { got.note(p.Place(t.Context(), request())) })
		time.Sleep(4 * time.Second)
		s.mu.Lock()
		s.carts["ada"] = []Line{{"lens", 3}} // they went on shopping
		s.mu.Unlock()
		clicks.Go(func() { got.note(p.Place(t.Context(), request())) })
		clicks.Wait()
		if len(got.orders) != 2 {
			t.Errorf("two carts made the orders %v, with failures %v", got.orders, got.failures)
		}
	})
}

// strict is an Admission that counts declines.
type strict struct {
	Admission
	declines, limit int
}

func (s *strict) Allow(Request) (func(), error) {
	if s.declines >= s.limit {
		return nil, &Error{Kind: ErrOverloaded, RetryAfter: time.Minute}
	}
	return func() { s.declines++ }, nil
}

func TestWhoseCardsAreDeclinedTooOftenIsRefusedUnasked(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepCharge, 1000, ErrRefused)
		p := s.open(t)
		p.Admission = &strict{Admission: s, limit: 3}
		for i := range 5 {
			want := ErrDeclined
			if i >= 3 {
				want = ErrOverloaded
			}
			if _, err := p.Place(t.Context(), keyed(fmt.Sprint(i))); !errors.Is(err, want) {
				t.Errorf("order %d: %v, want %v", i+1, err, want)
			}
		}
		if n := s.count(StepCharge); n != 3 {
			t.Errorf("%d charges were tried, want 3", n)
		}
	})
}
