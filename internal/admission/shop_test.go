package admission

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
)

// backend serves one call after the other, first come, first served. It does not know who has given up, and works for
// them, too.
type backend struct {
	mu      sync.Mutex
	service time.Duration // that a call takes
	free    time.Time     // when all calls so far are served
}

func (n *backend) set(perSecond float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.service = time.Duration(float64(time.Second) / perSecond)
}

// call is served, or given up after timeout.
func (n *backend) call(ctx context.Context, timeout time.Duration) error {
	n.mu.Lock()
	if now := time.Now(); n.free.Before(now) {
		n.free = now
	}
	n.free = n.free.Add(n.service)
	served := time.NewTimer(time.Until(n.free))
	n.mu.Unlock()
	defer served.Stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-served.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shop is a shop as admission sees it: something that takes an order's time. An order reads the cart, charges the card and
// ships the parcel. What was charged goes on whether the customer is still there or not.
type shop struct {
	*Limiter
	cart, payment backend
	deadline      time.Duration // of customers; 0: they wait for ever
	orders        sync.WaitGroup

	mu      sync.Mutex
	far     float64       // the share of parcels that go far,
	further time.Duration // and what their orders take on top
	pause   time.Duration // that the garbage collector takes in each second
	chance  *rand.Rand
	visits  []visit
}

// readTimeout is that of the cart; it is the target, too.
const readTimeout = 2 * time.Second

// visit is what a customer met with.
type visit struct {
	came    time.Time
	took    time.Duration
	refused bool
	failed  bool
	charged bool
}

// open opens a shop that finishes 100 orders a second, each within 130 ms.
func open(o Options) *shop {
	s := &shop{Limiter: New(o), deadline: 15 * time.Second, chance: rand.New(rand.NewPCG(1, 2))}
	s.cart.set(1000)
	s.payment.set(100)
	return s
}

// parcels go far in this share, and then take so much longer.
func (s *shop) parcels(far float64, further time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.far, s.further = far, further
}

// parcel is how long the parcel of the next order takes.
func (s *shop) parcel() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chance.Float64() < s.far {
		return 100*time.Millisecond + s.further
	}
	return 100 * time.Millisecond
}

// think takes the process's own time: none, unless the garbage collector has stopped it.
func (s *shop) think() {
	if since := time.Duration(time.Now().UnixNano()) % time.Second; since < s.pause {
		time.Sleep(s.pause - since)
	}
}

// come is a customer who comes now, and stays until the answer or their deadline.
func (s *shop) come() error {
	v := visit{came: time.Now()}
	ctx := context.Background()
	if s.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.deadline)
		defer cancel()
	}
	done, err := s.Admit(ctx)
	if err == nil {
		err = s.place(ctx, &v)
		done(err)
	}
	v.took = time.Since(v.came)
	v.refused = errors.Is(err, order.ErrOverloaded)
	v.failed = err != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, v)
	return err
}

func (s *shop) place(ctx context.Context, v *visit) error {
	s.think()
	if err := s.cart.call(ctx, readTimeout); err != nil {
		return &order.Error{Kind: order.ErrUnavailable, Step: order.StepCart, Err: err}
	}
	s.think()
	if err := ctx.Err(); err != nil {
		return &order.Error{Kind: order.ErrUnavailable, Step: order.StepCharge, Err: err}
	}
	v.charged = true
	if err := s.payment.call(context.WithoutCancel(ctx), 8*time.Second); err != nil {
		return &order.Error{Kind: order.ErrInDoubt, Err: err}
	}
	s.think()
	time.Sleep(s.parcel())
	return nil
}

// flow lets so many customers a second come, at random and without waiting for each other, for a time; it returns when
// that began and ended.
func (s *shop) flow(rate float64, lasts time.Duration) (from, to time.Time) {
	chance := rand.New(rand.NewPCG(3, 4))
	from = time.Now()
	for time.Since(from) < lasts {
		time.Sleep(time.Duration(chance.ExpFloat64() / rate * float64(time.Second)))
		s.orders.Go(func() { _ = s.come() }) // noted
	}
	return from, time.Now()
}

// summary is what happened within a time.
type summary struct {
	came, refused, failed, late int           // customers who came then; late: charged, and answered after the deadline
	refusal                     time.Duration // p99 of how long it took
	p99                         time.Duration // of what the orders took that succeeded
	goodput                     float64       // orders a second that succeeded then, and in time
}

func (s *shop) between(from, to time.Time, deadline time.Duration) summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum summary
	var took, refusals []time.Duration
	for _, v := range s.visits {
		if end := v.came.Add(v.took); !v.failed && v.took <= deadline && end.After(from) && end.Before(to) {
			sum.goodput += 1 / to.Sub(from).Seconds()
		}
		if v.came.Before(from) || !v.came.Before(to) {
			continue
		}
		sum.came++
		switch {
		case v.refused:
			sum.refused++
			refusals = append(refusals, v.took)
			continue
		case v.charged && v.took > deadline:
			sum.late++
		case v.failed:
			sum.failed++
			continue
		}
		took = append(took, v.took)
	}
	sum.p99, sum.refusal = p99(took), p99(refusals)
	return sum
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// wantRecovered fails unless at least 99 % of those who came within a time were served before the deadline.
func (s *shop) wantRecovered(t *testing.T, from, to time.Time, deadline time.Duration) {
	t.Helper()
	sum := s.between(from, to, deadline)
	if served := sum.came - sum.refused - sum.failed - sum.late; sum.came == 0 || float64(served) < 0.99*float64(sum.came) {
		t.Errorf("recovered: %d of %d served; %+v", served, sum.came, sum)
	}
}

// within is a context with that deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
