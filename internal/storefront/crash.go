package storefront

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/storefront/child"
	"checkout/internal/wait"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// inFlight is how many orders in progress are counted, shown how many of them are named, and followed how many are
	// followed through a crash.
	inFlight, shown, followed = 200, 8, 40
	// followEvery is how often they are asked for, and followTime for how long.
	followEvery = 100 * time.Millisecond
	followTime  = 2 * time.Minute
	// slowShipping is how long shipping takes with the order that is to be killed, chargedTime how long its charge may take,
	// and chargedEvery how often that is looked at.
	slowShipping = 2 * time.Second
	chargedTime  = 10 * time.Second
	chargedEvery = 10 * time.Millisecond
)

// crash is a requested kill of the process, and the outcome of the orders in progress.
type crash struct {
	mu sync.Mutex
	crashView
}

type crashView struct {
	At      time.Time
	Outage  child.Outage
	Orders  []followedOrder // at most so many as are followed
	More    bool            // there were more than that
	Unknown string          // why it is not known what was in progress
	Words   string          // what the customer of the order that was to be killed got as the answer; empty when there is none
	Open    int             // of the orders, those that are not settled
}

// followedOrder is an order in progress at the time of a crash.
type followedOrder struct {
	ID               string
	ByPreset         bool // it was placed to be killed
	Before, Now      checkoutv1.OrderState
	Settled          time.Time // when it was finished, or needed an operator
	RequiresOperator bool
}

// checkoutView is how checkout does.
type checkoutView struct {
	child.Status

	Path    string
	Known   bool // checkout reports its orders
	Silence string
	States  []stateCount
	More    bool                // there are more orders in progress than were counted
	Orders  []*checkoutv1.Order // the newest of them
	Console string
	Crash   *crashView
}

type stateCount struct {
	State  checkoutv1.OrderState
	Orders int
}

// lookAtCheckout is the process, and the orders that are in progress.
func (s *Storefront) lookAtCheckout(ctx context.Context) checkoutView {
	v := checkoutView{Status: s.Child.Status(), Console: s.Console}
	s.mu.Lock()
	if s.crash != nil {
		v.Crash = s.crash.view()
	}
	s.mu.Unlock()
	if !v.Serving {
		v.Silence = "the process does not serve"
		return v
	}
	orders, more, err := s.list(ctx, inFlight, wire.UnfinishedStates()...)
	if err != nil {
		v.Silence = status.Convert(err).Message()
		return v
	}
	v.Known, v.More, v.Orders = true, more, orders[:min(len(orders), shown)]
	for _, state := range wire.UnfinishedStates() {
		n := 0
		for _, o := range orders {
			if o.GetState() == state {
				n++
			}
		}
		v.States = append(v.States, stateCount{state, n})
	}
	return v
}

// view is the crash as it is shown.
func (c *crash) view() *crashView {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.crashView
	v.Orders = slices.Clone(c.Orders)
	for _, f := range v.Orders {
		if f.Settled.IsZero() {
			v.Open++
		}
	}
	return &v
}

// crashWith kills the serving process, as kill -9 does, and follows the orders that were in progress. mine is the order that was
// placed for that, if there is one.
func (s *Storefront) crashWith(ctx context.Context, mine string) (*crash, error) {
	c := &crash{}
	under, more, err := s.list(ctx, inFlight, wire.UnfinishedStates()...)
	if err != nil {
		c.Unknown = status.Convert(err).Message()
	}
	c.More = more || len(under) > followed
	if i := slices.IndexFunc(under, func(o *checkoutv1.Order) bool { return o.GetOrderId() == mine }); i > 0 {
		under[0], under[i] = under[i], under[0] // it is shown in any case
	}
	for _, o := range under[:min(len(under), followed)] {
		c.Orders = append(c.Orders, followedOrder{ID: o.GetOrderId(), ByPreset: o.GetOrderId() == mine, Before: o.GetState(), Now: o.GetState()})
	}
	c.At = time.Now()
	pid, err := s.Child.Kill()
	switch {
	case err != nil:
		return nil, err
	case pid == 0:
		return nil, &problem{http.StatusConflict, "There is no process to kill", "It is being started again."}
	}
	s.mu.Lock()
	s.crash = c
	s.mu.Unlock()
	s.begin(func() { s.follow(c, pid) }) // or the site is being closed
	return c, nil
}

// follow sees what becomes of the orders, until all are finished or need an operator, or it has taken too long.
func (s *Storefront) follow(c *crash, pid int) {
	ctx, cancel := context.WithTimeout(s.life, followTime)
	defer cancel()
	for {
		if o := s.Child.Status().Outage; o.PID == pid {
			c.mu.Lock()
			c.Outage = o
			c.mu.Unlock()
		}
		open := s.ask(ctx, c)
		c.mu.Lock()
		served := !c.Outage.Served.IsZero()
		c.mu.Unlock()
		if open == 0 && served || !wait.For(ctx, followEvery) {
			return
		}
	}
}

// ask asks for the orders that are not settled, and returns how many those are still.
func (s *Storefront) ask(ctx context.Context, c *crash) (open int) {
	for _, f := range c.view().Orders {
		if !f.Settled.IsZero() {
			continue
		}
		o, err := s.get(ctx, &checkoutv1.GetOrderRequest{OrderId: f.ID})
		c.mu.Lock()
		i := slices.IndexFunc(c.Orders, func(one followedOrder) bool { return one.ID == f.ID })
		if err == nil {
			c.Orders[i].Now, c.Orders[i].RequiresOperator = o.GetState(), o.GetRequiresOperator()
			if o.GetRequiresOperator() || !slices.Contains(wire.UnfinishedStates(), o.GetState()) {
				c.Orders[i].Settled = time.Now()
			}
		}
		if c.Orders[i].Settled.IsZero() {
			open++
		}
		c.mu.Unlock()
		if status.Code(err) == codes.Unavailable {
			return max(open, 1) // no process serves: the others need not be asked now
		}
	}
	return open
}

// killDuringCheckout places an order with slow shipping and kills the process between charge and parcel. Its customer asks
// again with the same key, as they would. Shipping stays slow for that long, so that the order is seen to finish.
func (s *Storefront) killDuringCheckout(ctx context.Context) error {
	user, key := "crash-"+rand.Text(), rand.Text()
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := s.put(asking, user, &oteldemo.CartItem{ProductId: s.Shop.Catalog.Products()[0].GetId(), Quantity: 1}); err != nil {
		return err
	}
	slow := s.Shop.Shipping.Injected(ShipOrder)
	slow.Latency = slowShipping
	defer inject(s.Shop.Shipping, slow, ShipOrder)()
	var customer sync.WaitGroup
	var words string
	customer.Go(func() { words = s.customerAnswer(ctx, user, key) })
	id, err := s.awaitCharged(ctx, user, key)
	var c *crash
	if err == nil {
		c, err = s.crashWith(ctx, id)
	}
	customer.Wait()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Words = words
	return nil
}

// customerAnswer is the last message to a customer who repeats the question.
func (s *Storefront) customerAnswer(ctx context.Context, user, key string) string {
	ctx, cancel := context.WithTimeout(ctx, OrderTime)
	defer cancel()
	start := time.Now()
	got, asked := s.placeUntilAnswered(ctx, demo.Order(user, "USD"), key)
	after := fmt.Sprintf("after %s, asked %d times with the same key", web.Took(time.Since(start)), asked)
	if got.refused != nil {
		return fmt.Sprintf("%s (%s)", got.refused.Title, after)
	}
	return fmt.Sprintf("order %s is on its way (%s)", got.order.GetOrderId(), after)
}

// awaitCharged waits until the order of that key is charged, and returns its id.
func (s *Storefront) awaitCharged(ctx context.Context, user, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, chargedTime)
	defer cancel()
	for {
		o, err := s.get(ctx, &checkoutv1.GetOrderRequest{UserId: user, IdempotencyKey: key})
		if err == nil && o.GetState() == checkoutv1.OrderState_CHARGED {
			return o.GetOrderId(), nil
		}
		if !wait.For(ctx, chargedEvery) {
			return "", fmt.Errorf("the order was not charged within %v; nothing was killed", chargedTime)
		}
	}
}
