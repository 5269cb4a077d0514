package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/money"
	"checkout/internal/order"
)

// recordStore is the record of orders, as the checks see it.
type recordStore interface {
	order.Store
	List(ctx context.Context, q lookup.Query) ([]*order.Order, order.ID, error)
}

// world is what survives a crash: the other services with their ledgers, the record, and what customers and operators know.
type world struct {
	plan plan
	born time.Time

	mu         sync.Mutex
	record     recordStore
	reopen     func() recordStore  // what a process does with the record when it starts; nil: nothing
	names      map[order.ID]string // stable ones, because ids are random
	opened     map[string]int      // orders opened for an ask
	owners     map[order.ID]*process
	accounts   map[order.ID]*account
	parcels    map[order.ID][]string       // tracking ids
	shipments  map[order.ID][]*shipment    // one more each time that an operator has it shipped again
	refusals   map[order.ID]order.Delivery // deliveries that were refused for good
	uncharged  map[order.ID]*process       // which process knows that the order was not charged
	skipped    map[order.ID]order.Delivery // by operators
	emails     map[order.ID]int
	events     map[order.ID][]string // what they say
	carts      map[string]*cart
	quotes     map[string][]int64 // by user, in nanodollars
	placed     map[order.ID]time.Time
	decisions  map[order.ID]order.ResolutionKind // what operators do about a charge that is in force
	refunds    map[order.ID]bool                 // that operators have asked for
	asks       []*ask
	replicas   [2]replica
	lastEffect time.Time // when the last late effect happens

	calls int
	trace trace
	seen  map[string]int // what has happened, how often
	wrong []string       // violations found
	over  chan struct{}  // closed when the schedule ends
	dead  sync.WaitGroup // processes that have died, until their goroutines have ended
}

func newWorld(p plan, record recordStore) *world {
	return &world{
		plan: p, born: time.Now(), record: record,
		names: map[order.ID]string{}, opened: map[string]int{}, owners: map[order.ID]*process{},
		accounts: map[order.ID]*account{}, parcels: map[order.ID][]string{}, emails: map[order.ID]int{},
		events: map[order.ID][]string{}, carts: map[string]*cart{}, quotes: map[string][]int64{}, placed: map[order.ID]time.Time{},
		decisions: map[order.ID]order.ResolutionKind{}, refunds: map[order.ID]bool{}, shipments: map[order.ID][]*shipment{}, refusals: map[order.ID]order.Delivery{}, uncharged: map[order.ID]*process{}, skipped: map[order.ID]order.Delivery{},
		seen: map[string]int{}, over: make(chan struct{}), trace: trace{print: p.print},
	}
}

// age is how long the world has existed.
func (w *world) age() time.Duration { return time.Since(w.born) }

func (w *world) healed() bool { return w.age() >= w.plan.heal }

// saw counts something that the schedules are meant to reach.
func (w *world) saw(what string) { w.seen[what]++ }

// violated adds a violation.
func (w *world) violated(invariant, about, format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf("%s %s: %s", invariant, about, fmt.Sprintf(format, args...)))
}

// name is the order's name in traces: that of the request that opened it.
func (w *world) name(id order.ID) string {
	if name, ok := w.names[id]; ok {
		return name
	}
	return "an order never opened"
}

// register names a new order.
func (w *world) register(o *order.Order) {
	if _, known := w.names[o.ID]; !known {
		ask := o.Trace["ask"]
		w.opened[ask]++
		w.names[o.ID] = fmt.Sprintf("%s#%d", ask, w.opened[ask])
	}
}

// orders are all that are on record, oldest first.
func (w *world) orders() []*order.Order {
	all, _, err := w.record.List(context.Background(), lookup.Query{Limit: 1000})
	if err != nil {
		w.violated("I8", "the record", "cannot be listed: %v", err)
	}
	slices.SortFunc(all, func(a, b *order.Order) int { return a.Created.Compare(b.Created) })
	return all
}

// on is the order as it is on record; nil if it is not.
func (w *world) on(id order.ID) *order.Order {
	o, err := w.record.Get(context.Background(), id)
	if err != nil {
		return nil
	}
	return o
}

// account is what the payment service knows of an order.
type account struct {
	sent     int // charges that left a replica
	taken    []money.Amount
	since    time.Time // of the first of them
	tx       string
	reversed bool         // by the service, for ever
	returned int          // by operators
	refunded money.Amount // of the charge, in part
}

// net is how many charges are in force.
func (a *account) net() int {
	if a.reversed {
		return 0
	}
	return len(a.taken) - a.returned
}

// refunded reports whether an order was placed, and refunded later because an operator asked for it; or will be, if the time of
// the schedule ended before.
func (w *world) refunded(o *order.Order) bool {
	return (o.State == order.Refunded || o.State == order.Refunding) && o.TrackingID != "" && w.refunds[o.ID]
}

func (w *world) account(id order.ID) *account {
	a, ok := w.accounts[id]
	if !ok {
		a = &account{}
		w.accounts[id] = a
	}
	return a
}

// basket is what a customer has put together to buy once.
type basket struct {
	name   string
	lines  []order.Line
	filled time.Time
	gone   bool // by a request to empty the cart that left before it was filled
}

// pieces are the quantities by product.
func pieces(lines []order.Line) map[string]int32 {
	n := make(map[string]int32, len(lines))
	for _, l := range lines {
		n[l.ProductID] += l.Quantity
	}
	return n
}

// cart is what the cart service keeps of a user.
type cart struct {
	basket  *basket // nil when it is empty
	history []*basket
	faulty  bool // a call of it has met a fault
}

func (w *world) cart(user string) *cart {
	c, ok := w.carts[user]
	if !ok {
		c = &cart{}
		w.carts[user] = c
	}
	return c
}

// fill replaces what the user has in the cart.
func (w *world) fill(user string, lines []order.Line) *basket {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.cart(user)
	b := &basket{name: fmt.Sprintf("%s basket %d", user, len(c.history)+1), lines: lines, filled: time.Now()}
	c.history = append(c.history, b)
	if c.basket = b; len(lines) == 0 {
		c.basket = nil
	}
	w.trace.add(w.age(), user, "fills the cart", b.name, fmt.Sprint(lines))
	return b
}

// trace is what happens, in order: as a hash, and as text if it is printed. What happens in the same moment has no
// order: it makes no difference, or the traces would differ later.
type trace struct {
	before hash // of the moments before the last
	last   time.Duration
	moment hash // the sum of the last moment's lines
	print  func(line string)
}

func (t *trace) add(at time.Duration, who, does, about, how string) {
	if at != t.last {
		t.before, t.last, t.moment = t.hash(), at, 0
	}
	t.moment += empty.text(who).text(does).text(about).text(how)
	if t.print != nil {
		t.print(fmt.Sprintf("%12.6f  %-9s %-22s %-26s %s", at.Seconds(), who, does, about, how))
	}
}

func (t *trace) hash() hash { return t.before.number(int64(t.last)).number(int64(t.moment)) }
