package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
)

const (
	// group is the stock accounting service's consumer group.
	group = "accounting"
	// maxEvents is how many events accounting remembers besides those that it has booked.
	maxEvents = 1024
)

// Event is a record of the topic.
type Event struct {
	Key       string
	Value     []byte
	Headers   map[string]string
	Partition int32
	Offset    int64
	Order     *oteldemo.OrderResult // the value, read; nil when it is no order
	Problem   string                // why it could not be booked; empty for a duplicate
}

// Accounting reads the events of the topic as consumer group "accounting" and books them under the constraints of the stock
// shop's database: an order once, a tracking id once among all orders, a product once in an order, nothing missing. What
// breaks them is rejected; what was booked before is a duplicate.
type Accounting struct {
	client  *kgo.Client
	changes *notifier

	mu         sync.Mutex
	booked     map[string][]byte // events by order id
	parcels    map[string]bool   // their tracking ids
	events     tail[Event]
	copies     map[string]int // events by order id
	duplicates int
	differing  int // duplicates that are not byte for byte what was booked
	rejects    int
}

// newAccounting joins the group.
func newAccounting(broker string, b *notifier) (*Accounting, func() error, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(250*time.Millisecond), // a broker that returns is noticed soon
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("joining group %s: %w", group, err)
	}
	a := &Accounting{
		client: client, changes: b, booked: make(map[string][]byte), parcels: make(map[string]bool),
		events: tail[Event]{limit: maxEvents}, copies: make(map[string]int),
	}
	return a, a.start(), nil
}

// start reads events until the returned function is called.
func (a *Accounting) start() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			a.poll(ctx)
		}
	})
	return func() error {
		cancel()
		reading.Wait()
		a.client.CloseAllowingRebalance()
		return nil
	}
}

// poll books what has come. Offsets are committed after that: a crash in between makes duplicates, never losses.
func (a *Accounting) poll(ctx context.Context) {
	fetched := a.client.PollFetches(ctx)
	fetched.EachRecord(a.take)
	if fetched.NumRecords() > 0 {
		a.changes.notify()
		// A commit that fails is made up for by the next one.
		_ = a.client.CommitUncommittedOffsets(ctx)
	}
}

func (a *Accounting) take(r *kgo.Record) {
	event := Event{Key: string(r.Key), Value: r.Value, Headers: make(map[string]string), Partition: r.Partition, Offset: r.Offset}
	for _, h := range r.Headers {
		event.Headers[h.Key] = string(h.Value)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var order oteldemo.OrderResult
	var before []byte
	err := proto.Unmarshal(r.Value, &order)
	if err == nil {
		event.Order = &order
		before, err = a.book(&order, r.Value)
	}
	a.copies[order.GetOrderId()]++
	switch {
	case err != nil:
		event.Problem = err.Error()
		a.rejects++
	case before != nil:
		a.duplicates++
		if !bytes.Equal(before, r.Value) {
			a.differing++
		}
	}
	a.events.add(event)
}

// book books an order, or returns the event that it was booked by before. The caller holds mu.
func (a *Accounting) book(o *oteldemo.OrderResult, event []byte) (before []byte, err error) {
	id, tracking := o.GetOrderId(), o.GetShippingTrackingId()
	switch {
	case a.booked[id] != nil:
		return a.booked[id], nil
	case id == "" || o.GetShippingCost() == nil || o.GetShippingAddress() == nil || len(o.GetItems()) == 0:
		return nil, errors.New("order id, shipping cost, address or items are missing")
	case a.parcels[tracking]:
		return nil, fmt.Errorf("tracking id %q is another order's", tracking)
	}
	products := make(map[string]bool)
	for _, line := range o.GetItems() {
		product := line.GetItem().GetProductId()
		switch {
		case line.GetItem() == nil || line.GetCost() == nil:
			return nil, errors.New("an item or its cost is missing")
		case products[product]:
			return nil, fmt.Errorf("product %q is in the order twice", product)
		}
		products[product] = true
	}
	a.booked[id], a.parcels[tracking] = event, true
	return nil, nil
}

// Entry is an order as it was booked, or nil.
func (a *Accounting) Entry(orderID string) *oteldemo.OrderResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	var order oteldemo.OrderResult
	if event := a.booked[orderID]; event == nil || proto.Unmarshal(event, &order) != nil {
		return nil
	}
	return &order
}

// Booked is how many orders are booked.
func (a *Accounting) Booked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.booked)
}

// Events are the last events, oldest first: at most 1024.
func (a *Accounting) Events() []Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.events.last()
}

// Duplicates is how many events came for orders that were booked already, and how many of those were not copies.
func (a *Accounting) Duplicates() (all, differing int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.duplicates, a.differing
}

// Rejects is how many events could not be booked.
func (a *Accounting) Rejects() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rejects
}

// count is how many events came for each order.
func (a *Accounting) count() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.copies)
}
