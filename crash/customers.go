package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/demo"
	"checkout/internal/wait"
)

const (
	// retryTime is how long a customer retries: longer than a replica's lease on an order.
	retryTime = 60 * time.Second
	// activeTime is how long a customer counts as one of those at once.
	activeTime = time.Second
	// emptyTime is how long a customer waits for the cart to be emptied before the next purchase.
	emptyTime = 3 * time.Second
	// maxPurchases is how often a customer buys at most.
	maxPurchases = 3
)

// purchase is what a customer wants to have, and to pay, once.
type purchase struct {
	user    string
	number  int32  // of the user's purchases; also the quantity of each of its lines, so that its parcel tells it
	key     string // the idempotency key that it is asked for with; may be empty
	began   time.Time
	ended   time.Time // when the last answer was there
	answers []answer
}

// customers are all customers, also former ones.
type customers struct {
	shop         *demo.Shop
	clients      []client // one a replica
	seed         uint64
	retryUnknown bool // the payment service can be asked, so an unknown payment is not the final answer

	mu        sync.Mutex
	purchases []*purchase
	count     int
}

// start lets so many customers buy at once, until stop is called, which waits for their answers. Calls end with ctx.
func (m *customers) start(ctx context.Context, atOnce int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopping := make(chan struct{})
	places := make(chan struct{}, atOnce)
	var active sync.WaitGroup
	active.Go(func() {
		for {
			select {
			case places <- struct{}{}:
			case <-stopping:
				return
			}
			active.Go(func() { m.session(ctx, stopping, func() { <-places }) })
		}
	})
	return func() { close(stopping); active.Wait(); cancel() }
}

// session is a customer's purchases, one after the other, for as long as all goes well. leave frees the place.
func (m *customers) session(ctx context.Context, stopping <-chan struct{}, leave func()) {
	leave = sync.OnceFunc(leave)
	defer leave()
	user, rng := m.add()
	careful := rng.IntN(2) == 0 // uses idempotency keys
	for n := range 1 + rng.Int32N(maxPurchases) {
		select {
		case <-stopping:
			return
		default:
		}
		p := &purchase{user: user, number: n + 1, began: time.Now()}
		if careful {
			p.key = fmt.Sprintf("%s/%d", user, p.number)
		}
		waiting := time.AfterFunc(activeTime, leave)
		m.fill(p, rng)
		m.buy(ctx, p, rng)
		p.ended = time.Now()
		m.keep(p)
		waiting.Stop()
		if !p.served() || !m.emptied(ctx, user) {
			return
		}
	}
}

// add makes a new customer, whose choices depend on the seed and on how many came before.
func (m *customers) add() (user string, rng *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	return fmt.Sprintf("customer-%d", m.count), rand.New(rand.NewPCG(m.seed, uint64(m.count))) //nolint:gosec // rng, not a secret
}

func (m *customers) keep(p *purchase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.purchases = append(m.purchases, p)
}

// made are the purchases that were made until now.
func (m *customers) made() []*purchase {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.purchases)
}

// fill puts what the purchase is about into the cart: some products, as many pieces of each as its number says.
func (m *customers) fill(p *purchase, rng *rand.Rand) {
	products := []string{"OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O", "L9ECAV7KIM", "LS4PSXUNUM"}
	for _, i := range rng.Perm(len(products))[:1+rng.IntN(3)] {
		m.shop.Cart.Put(p.user, products[i], p.number)
	}
}

// buy places the order: once, or with a double click, and perhaps once more when it has been answered.
func (m *customers) buy(ctx context.Context, p *purchase, rng *rand.Rand) {
	first, clicks := rng.IntN(len(m.clients)), 1
	if rng.IntN(8) == 0 {
		clicks = 2
	}
	answers := make([]answer, clicks)
	var clicked sync.WaitGroup
	for i := range answers {
		clicked.Go(func() { answers[i] = m.ask(ctx, p, first+i) })
	}
	clicked.Wait()
	p.answers = answers
	if p.served() && rng.IntN(4) == 0 {
		p.answers = append(p.answers, m.ask(ctx, p, first+1))
	}
}

// ask retries until the answer is final, each time at another replica.
func (m *customers) ask(ctx context.Context, p *purchase, first int) answer {
	began := time.Now()
	for try := 0; ; try++ {
		a := m.clients[(first+try)%len(m.clients)].ask(ctx, p)
		a.tries = try + 1
		if !a.retryable(m.retryUnknown) || time.Since(began) > retryTime || !wait.For(ctx, time.Duration(20+10*min(try, 8))*time.Millisecond) {
			return a
		}
	}
}

// served reports whether an answer was an order.
func (p *purchase) served() bool {
	return slices.ContainsFunc(p.answers, func(a answer) bool { return a.code == codes.OK })
}

// emptied reports whether the customer's cart is empty, soon.
func (m *customers) emptied(ctx context.Context, user string) bool {
	ctx, cancel := context.WithTimeout(ctx, emptyTime)
	defer cancel()
	for len(m.shop.Cart.Items(user)) > 0 {
		if !wait.For(ctx, 10*time.Millisecond) {
			return false
		}
	}
	return true
}
