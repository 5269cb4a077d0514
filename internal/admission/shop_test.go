package admission

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// shop is a shop as admission sees it: something that takes an order's time. It has a neighbour with so many workers,
// who serve in the order of arrival and do not know who has given up.
type shop struct {
	*Limiter
	workers chan struct{}
	orders  sync.WaitGroup

	mu      sync.Mutex
	service time.Duration // that a worker takes
	far     float64       // the share of parcels that go far,
	further time.Duration // and what their orders take on top
	chance  *rand.Rand
	visits  []visit
}

// visit is what a customer met with.
type visit struct {
	came    time.Time
	refused bool
	took    time.Duration // unless refused
}

// open opens a shop that finishes 100 orders a second, each within 130 ms.
func open(o Options) *shop {
	return &shop{
		Limiter: New(calmly(o)),
		workers: make(chan struct{}, 10),
		service: 100 * time.Millisecond,
		chance:  rand.New(rand.NewPCG(1, 2)),
	}
}

func (s *shop) set(service time.Duration, far float64, further time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.service, s.far, s.further = service, far, further
}

// next is how long the work of an order takes the next worker, and the rest of the shop.
func (s *shop) next() (work, rest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest = 30 * time.Millisecond
	if s.chance.Float64() < s.far {
		rest += s.further
	}
	return s.service, rest
}

func (s *shop) note(v visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, v)
}

// come is a customer who comes now. It returns whether they were let in; their order then goes on.
func (s *shop) come() error {
	came := time.Now()
	release, err := s.Admit(context.Background())
	if err != nil {
		s.note(visit{came: came, refused: true})
		return err
	}
	s.orders.Go(func() {
		s.workers <- struct{}{}
		work, rest := s.next()
		time.Sleep(work)
		<-s.workers
		time.Sleep(rest)
		release()
		s.note(visit{came: came, took: time.Since(came)})
	})
	return nil
}

// flow lets so many customers a second come, at random and without waiting for each other, for a time; it returns when
// that began and ended.
func (s *shop) flow(rate float64, lasts time.Duration) (from, to time.Time) {
	chance := rand.New(rand.NewPCG(3, 4))
	from = time.Now()
	for time.Since(from) < lasts {
		time.Sleep(time.Duration(chance.ExpFloat64() / rate * float64(time.Second)))
		_ = s.come() // noted
	}
	return from, time.Now()
}

// summary is what happened within a time.
type summary struct {
	came, refused, late int           // customers who came then
	p99                 time.Duration // of what their orders took
	goodput             float64       // orders a second that were finished then, and not late
}

func (s *shop) between(from, to time.Time, deadline time.Duration) summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum summary
	var took []time.Duration
	for _, v := range s.visits {
		if end := v.came.Add(v.took); !v.refused && v.took <= deadline && end.After(from) && end.Before(to) {
			sum.goodput += 1 / to.Sub(from).Seconds()
		}
		switch {
		case v.came.Before(from) || !v.came.Before(to):
			continue
		case v.refused:
			sum.refused++
		case v.took > deadline:
			sum.late++
		}
		sum.came++
		if !v.refused {
			took = append(took, v.took)
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		sum.p99 = took[len(took)*99/100]
	}
	return sum
}

// wantRecovered fails unless at least 99 % of those who came within a time were served before the deadline.
func (s *shop) wantRecovered(t *testing.T, from, to time.Time, deadline time.Duration) {
	t.Helper()
	sum := s.between(from, to, deadline)
	if served := sum.came - sum.refused - sum.late; sum.came == 0 || float64(served) < 0.99*float64(sum.came) {
		t.Errorf("recovered: %d of %d served; %d refused, %d late", served, sum.came, sum.refused, sum.late)
	}
}
