package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/demo"
	"checkout/internal/wait"
)

const (
	// stubbornness is how long a customer asks for an answer, which is longer than a replica's lease on an order.
	stubbornness = 60 * time.Second
	// atCounter is how long a customer keeps others from coming in.
	atCounter = time.Second
	// glance is how long a customer who has bought waits for the cart to be empty before buying more.
	glance = 3 * time.Second
	// mostPurchases is how often a customer buys at most.
	mostPurchases = 3
)

// purchase is what a customer wants to have, and to pay for, once.
type purchase struct {
	user    string
	number  int32  // of the user's purchases; also the quantity of each of its lines, so that its parcel tells it
	key     string // the idempotency key that it is asked for with; may be empty
	began   time.Time
	ended   time.Time // when the last answer was there
	answers []answer
}

// market is the customers, those who have gone included.
type market struct {
	shop     *demo.Shop
	counters []counter // one a replica
	seed     uint64
	patient  bool // an answer that money may have moved is not the last: somebody can find out

	mu        sync.Mutex
	purchases []*purchase
	customers int
}

// open lets customers in, so many at once, until close is called, which waits until those inside have their answers.
// Their calls end with ctx.
func (m *market) open(ctx context.Context, atOnce int) (closeDoors func()) {
	ctx, cancel := context.WithCancel(ctx)
	closing := make(chan struct{})
	places := make(chan struct{}, atOnce)
	var inside sync.WaitGroup
	inside.Go(func() {
		for {
			select {
			case places <- struct{}{}:
			case <-closing:
				return
			}
			inside.Go(func() { m.visit(ctx, closing, func() { <-places }) })
		}
	})
	return func() { close(closing); inside.Wait(); cancel() }
}

// visit is a customer's stay: some purchases, one after the other, for as long as all goes well. leave frees the place.
func (m *market) visit(ctx context.Context, closing <-chan struct{}, leave func()) {
	leave = sync.OnceFunc(leave)
	defer leave()
	user, luck := m.enter()
	careful := luck.IntN(2) == 0 // uses idempotency keys
	for n := range 1 + luck.Int32N(mostPurchases) {
		select {
		case <-closing:
			return
		default:
		}
		p := &purchase{user: user, number: n + 1, began: time.Now()}
		if careful {
			p.key = fmt.Sprintf("%s/%d", user, p.number)
		}
		waiting := time.AfterFunc(atCounter, leave)
		m.fill(p, luck)
		m.buy(ctx, p, luck)
		p.ended = time.Now()
		m.keep(p)
		waiting.Stop()
		if !p.served() || !m.emptied(ctx, user) {
			return
		}
	}
}

// enter makes a new customer, whose doings depend on the seed and on how many came before.
func (m *market) enter() (user string, luck *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.customers++
	return fmt.Sprintf("customer-%d", m.customers), rand.New(rand.NewPCG(m.seed, uint64(m.customers))) //nolint:gosec // luck, not a secret
}

func (m *market) keep(p *purchase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.purchases = append(m.purchases, p)
}

// made are the purchases that were made until now.
func (m *market) made() []*purchase {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*purchase(nil), m.purchases...)
}

// fill puts what the purchase is about into the cart: some products, as many pieces of each as its number says.
func (m *market) fill(p *purchase, luck *rand.Rand) {
	shelf := []string{"OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O", "L9ECAV7KIM", "LS4PSXUNUM"}
	for _, i := range luck.Perm(len(shelf))[:1+luck.IntN(3)] {
		m.shop.Cart.Put(p.user, shelf[i], p.number)
	}
}

// buy asks for the purchase: once, or with a double click, and perhaps once more when it has been answered.
func (m *market) buy(ctx context.Context, p *purchase, luck *rand.Rand) {
	first, clicks := luck.IntN(len(m.counters)), 1
	if luck.IntN(8) == 0 {
		clicks = 2
	}
	answers := make([]answer, clicks)
	var clicked sync.WaitGroup
	for i := range answers {
		clicked.Go(func() { answers[i] = m.ask(ctx, p, first+i) })
	}
	clicked.Wait()
	p.answers = answers
	if p.served() && luck.IntN(4) == 0 {
		p.answers = append(p.answers, m.ask(ctx, p, first+1))
	}
}

// ask asks until there is an answer that lasts, each time at another counter.
func (m *market) ask(ctx context.Context, p *purchase, first int) answer {
	began := time.Now()
	for try := 0; ; try++ {
		a := m.counters[(first+try)%len(m.counters)].ask(ctx, p)
		a.tries = try + 1
		if !a.passing(m.patient) || time.Since(began) > stubbornness || !wait.For(ctx, time.Duration(20+10*min(try, 8))*time.Millisecond) {
			return a
		}
	}
}

// served tells whether the customer knows of an order on its way.
func (p *purchase) served() bool {
	for _, a := range p.answers {
		if a.code == codes.OK {
			return true
		}
	}
	return false
}

// emptied tells whether the customer's cart is empty, soon.
func (m *market) emptied(ctx context.Context, user string) bool {
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	for len(m.shop.Cart.Items(user)) > 0 {
		if !wait.For(ctx, 10*time.Millisecond) {
			return false
		}
	}
	return true
}
