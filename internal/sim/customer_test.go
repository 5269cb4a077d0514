package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
)

// ask is one PlaceOrder: the request and the answer.
type ask struct {
	name     string
	basket   *basket
	request  order.Request
	answer   *order.Order // nil with err; both nil when the process died over it
	err      error
	asked    time.Time
	at       time.Time // when it was answered
	heard    bool      // the customer knows the answer
	patience time.Duration
}

// answered reports whether the service has answered.
func (a *ask) answered() bool { return a.answer != nil || a.err != nil }

// customer buys things, with retries, double clicks and hang-ups.
type customer struct {
	w     *world
	name  string
	dice  dice
	home  order.Address
	mail  order.EmailAddress
	pays  money.Currency
	card  string
	asked int // guarded by the world's lock
}

func newCustomer(w *world, n int) *customer {
	name := fmt.Sprintf("u%d", n)
	d := w.plan.hash("customer").text(name).dice()
	c := &customer{w: w, name: name, dice: d, pays: one(d, currencies()...), card: goodCard}
	c.home = order.Address{Street: name, City: "Town", Country: "UK", ZipCode: "N1"}
	if d.chance(0.1) {
		c.home.City = nowhere
	}
	if d.chance(0.06) {
		c.home.State = noEvent
	}
	c.mail = order.EmailAddress(name + "@example.com")
	if d.chance(0.1) {
		c.mail = order.EmailAddress(name + noMail)
	}
	if d.chance(0.1) {
		c.card = badCard
	}
	return c
}

// run is what the customer does in the schedule.
func (c *customer) run() {
	d := c.dice
	var lines []order.Line
	for n := range one(d, 1, 1, 1, 2, 2, 3) {
		if !c.w.sleep(d.between(0, one(d, 2*time.Second, 10*time.Second, 60*time.Second))) {
			return
		}
		if n == 0 || d.chance(0.8) { // else the same things once more
			lines = c.choose()
		}
		c.buy(c.w.fill(c.name, lines))
	}
}

// choose is what the customer wants: sometimes nothing, sometimes a product in two lines.
func (c *customer) choose() []order.Line {
	d := c.dice
	lines := make([]order.Line, one(d, 0, 1, 1, 1, 2, 2, 3, 4))
	for i := range lines {
		lines[i] = order.Line{ProductID: one(d, products()...), Quantity: 1 + d.Int32N(4)}
	}
	return lines
}

// keyless is for how long a request without a key is repeated.
const keyless = 10 * time.Minute

// buy orders a basket until there is an answer, or the customer gives up.
func (c *customer) buy(b *basket) {
	d := c.dice
	key := ""
	if d.chance(0.6) {
		key = b.name
	}
	var clicks sync.WaitGroup
	defer clicks.Wait()
	first := time.Now()
	if d.chance(0.25) {
		twin := b.dicer(c.w).dice()
		clicks.Go(func() {
			if c.w.sleep(twin.between(1, one(twin, time.Millisecond, 300*time.Millisecond, 5*time.Second))) {
				c.ask(twin, b, c.request(b, key))
			}
		})
	}
	for range 1 + d.IntN(8) {
		a := c.ask(d, b, c.request(b, key))
		if a.heard && !a.retryable() {
			break
		}
		pause := d.between(10*time.Millisecond, one(d, time.Second, time.Second, 8*time.Second, 8*time.Second, 20*time.Second, 3*time.Minute))
		if key == "" && time.Since(first)+pause > keyless || !c.w.sleep(pause) {
			return
		}
	}
	c.again(b, key, first)
}

// again repeats a request that was answered, to see whether the answer is the same.
func (c *customer) again(b *basket, key string, first time.Time) {
	d := c.dice
	later := d.between(0, one(d, time.Second, 20*time.Second, 3*time.Minute))
	if d.chance(0.6) || key == "" && time.Since(first)+later > keyless || !c.w.sleep(later) {
		return
	}
	r := c.request(b, key)
	if d.chance(0.3) {
		r.Address.City = "Elsewhere" // is another request
	}
	c.ask(d, b, r)
}

// dicer is the source of chance of a double click.
func (b *basket) dicer(w *world) hash { return w.plan.hash("twin").text(b.name) }

// request is for a basket. Sometimes the customer has agreed to a total that nothing costs.
func (c *customer) request(b *basket, key string) order.Request {
	r := order.Request{
		UserID: c.name, Key: key, Currency: c.pays, Address: c.home, Email: c.mail,
		Card: creditcard.New(c.card, 672, 2039, 1),
	}
	if c.w.plan.hash("agreed").text(b.name).dice().chance(0.03) {
		r.Expected, _ = money.New(c.pays, 1<<40, 0)
	}
	return r
}

// retryable reports whether the answer asks for another try.
func (a *ask) retryable() bool {
	return slices.ContainsFunc([]order.Kind{
		order.ErrUnavailable, order.ErrOverloaded, order.ErrPaymentUnreachable, order.ErrBusy, order.ErrInDoubt,
	}, func(k order.Kind) bool { return errors.Is(a.err, k) })
}

// ask asks one of the replicas.
func (c *customer) ask(d dice, b *basket, r order.Request) *ask {
	return c.askAt(d.IntN(len(c.w.replicas)), d, b, r)
}

func (c *customer) askAt(replica int, d dice, b *basket, r order.Request) *ask {
	w := c.w
	w.mu.Lock()
	c.asked++
	a := &ask{name: fmt.Sprintf("%s.%d", c.name, c.asked), basket: b, request: r, asked: time.Now()}
	a.request.Trace = map[string]string{"ask": a.name}
	w.asks = append(w.asks, a)
	p := w.replicas[replica].process
	if p == nil || p.closing || p.life.Err() != nil {
		w.trace.add(w.age(), c.name, "asks a dead process", a.name, b.name)
		w.mu.Unlock()
		return a
	}
	w.trace.add(w.age(), c.name, "asks "+p.name, a.name, b.name+" key="+r.Key)
	done := make(chan struct{})
	a.patience = one(d, 300*time.Millisecond, 3*time.Second, 10*time.Second, 15*time.Second, 28*time.Second) + d.between(0, time.Second)
	ctx, cancel := context.WithTimeout(context.WithValue(p.life, askKey{}, a.name), a.patience)
	p.work.Go(func() {
		defer close(done)
		o, err := p.placer.Place(ctx, a.request)
		p.answer(a, o, err)
	})
	w.mu.Unlock()
	defer cancel()
	hangUp := time.NewTimer(one(d, time.Hour, time.Hour, d.between(time.Millisecond, a.patience)))
	defer hangUp.Stop()
	select {
	case <-done:
		w.hear(c, d, a)
	case <-hangUp.C:
	case <-p.life.Done():
	}
	cancel()
	over := time.Now()
	if deadline, _ := ctx.Deadline(); deadline.Before(over) {
		over = deadline
	}
	<-done
	w.checkPrompt(p, a, over)
	return a
}

// checkPrompt wants a call to end soon after its time was over.
func (w *world) checkPrompt(p *process, a *ask, over time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if overdue := time.Since(over); overdue > 100*time.Millisecond && !p.dozed {
		w.violated("I8", a.name, "was answered %v after its time was over", overdue)
	}
}

// hear gives the customer the answer, unless it is lost on the way.
func (w *world) hear(c *customer, d dice, a *ask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	does := "hears"
	if a.heard = a.answered(); d.chance(w.plan.fault) && !w.healed() && !w.plan.without.has(unheard) {
		a.heard = false
		does = "does not hear"
		w.saw(unheard.String())
	}
	w.trace.add(w.age(), c.name, does, a.name, w.says(a))
}

// answer records what the process answers.
func (p *process) answer(a *ask, o *order.Order, err error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.life.Err() != nil {
		return // the answer is lost
	}
	a.at = time.Now()
	a.answer, a.err = o, err
	p.log("answers", a.name+" "+w.says(a), none, nil)
}

// says is an answer in short.
func (w *world) says(a *ask) string {
	if a.answer != nil {
		return "OK " + w.name(a.answer.ID) + " " + a.answer.State.String()
	}
	kind, id := a.kind()
	if id == "" {
		return string(kind)
	}
	return string(kind) + " " + w.name(id)
}

// kind is the kind of the failure, and the order that it is about.
func (a *ask) kind() (order.Kind, order.ID) {
	failure, _ := errors.AsType[*order.Error](a.err)
	if failure == nil {
		return "", ""
	}
	return failure.Kind, failure.OrderID
}
