package demo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"checkout/gen/oteldemo"
)

const (
	// group is the stock accounting service's consumer group.
	group = "accounting"
	// maxEvents is how many events accounting remembers besides its database.
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

// Accounting reads the events of the topic as consumer group "accounting" and books them into a SQL database with the
// constraints of the stock shop's: an order once, a tracking id once among all orders, a product once in an order,
// nothing missing. What breaks them is rejected; what was booked before is a duplicate.
type Accounting struct {
	client  *kgo.Client
	db      *sql.DB
	changes *notifier

	mu         sync.Mutex
	events     tail[Event]
	copies     map[string]int // events by order id
	duplicates int
	differing  int // duplicates that are not byte for byte what was booked
	rejects    int
}

// newAccounting makes the database and joins the group. The database is in memory.
func newAccounting(ctx context.Context, broker string, b *notifier) (*Accounting, func() error, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, nil, fmt.Errorf("opening the database: %w", err)
	}
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	if _, err := db.ExecContext(ctx, tables); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("creating the tables: %w", err), db.Close())
	}
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
		return nil, nil, errors.Join(fmt.Errorf("joining group %s: %w", group, err), db.Close())
	}
	a := &Accounting{client: client, db: db, changes: b, events: tail[Event]{limit: maxEvents}, copies: make(map[string]int)}
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
		return a.db.Close()
	}
}

// poll books what has come. Offsets are committed after that: a crash in between makes duplicates, never losses.
func (a *Accounting) poll(ctx context.Context) {
	fetched := a.client.PollFetches(ctx)
	fetched.EachRecord(func(r *kgo.Record) { a.take(ctx, r) })
	if fetched.NumRecords() > 0 {
		a.changes.notify()
		// A commit that fails is made up for by the next one.
		_ = a.client.CommitUncommittedOffsets(ctx)
	}
}

func (a *Accounting) take(ctx context.Context, r *kgo.Record) {
	event := Event{Key: string(r.Key), Value: r.Value, Headers: make(map[string]string), Partition: r.Partition, Offset: r.Offset}
	for _, h := range r.Headers {
		event.Headers[h.Key] = string(h.Value)
	}
	var order oteldemo.OrderResult
	var before []byte
	err := proto.Unmarshal(r.Value, &order)
	if err == nil {
		event.Order = &order
		before, err = a.book(ctx, &order, r.Value)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
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
	counts := make(map[string]int, len(a.copies))
	for id, n := range a.copies {
		counts[id] = n
	}
	return counts
}
