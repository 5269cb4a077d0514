package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"checkout/internal/order"
)

// maxBatch is how many requests share a transaction at most. It bounds how long the first of them waits for the others.
const maxBatch = 64

// probeEvery is how often a database that has failed is asked whether it works again.
const probeEvery = time.Second

var errClosed = errors.New("the store is closed")

// owner has the connection to itself: its goroutine alone uses it. Requests that have arrived while it was busy are
// carried out in one transaction, because the wait for the disk at its end is most of what a write costs.
type owner struct {
	conn     *conn
	requests chan *request // without a buffer: a received request is answered
	between  chan between
	quit     chan struct{}
	stopped  chan struct{}

	failure error                 // why new orders are refused, or nil
	probed  time.Time             // when the database was last found to fail
	lost    atomic.Pointer[error] // why they are refused although the database works; nil: they are not
}

// kind is whether a request opens an order. Only that can be refused without harm.
type kind bool

const (
	opening kind = true
	other   kind = false
)

// between is something to be done with the connection between two transactions.
type between struct {
	work func(*conn) error
	done chan error // holds one
}

// request is something to be done in a transaction.
type request struct {
	ctx  context.Context
	kind kind
	work func(context.Context, session) error // by the owner's goroutine; once more when the transaction failed for another's fault
	done chan error                           // holds one, so that the writer does not wait for a caller that has left
}

func own(c *conn) *owner {
	o := &owner{conn: c, requests: make(chan *request), between: make(chan between), quit: make(chan struct{}), stopped: make(chan struct{})}
	go o.run()
	return o
}

// stop waits for the transaction under way. Requests that have not been received fail with errClosed.
func (o *owner) stop() {
	close(o.quit)
	<-o.stopped
}

// do has work done and waits until the disk has it. It may leave work behind, to be done later, when ctx ends: what work
// sets may be read after nil only.
func (o *owner) do(ctx context.Context, k kind, work func(context.Context, session) error) error {
	r := &request{ctx, k, work, make(chan error, 1)}
	return send(ctx, o, o.requests, r, r.done)
}

// send has the owner carry out work, and waits for that until ctx ends.
func send[W any](ctx context.Context, o *owner, to chan<- W, work W, done <-chan error) error {
	select {
	case to <- work:
	case <-ctx.Done():
		return ctx.Err()
	case <-o.quit:
		return errClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *owner) run() {
	defer close(o.stopped)
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case r := <-o.requests:
			runtime.Gosched() // while others have something to do, it may well be a request that can come along
			batch = o.gather(append(batch[:0], r))
			o.serve(batch)
			clear(batch)
		case b := <-o.between:
			b.done <- b.work(o.conn)
		case <-o.quit:
			return
		}
	}
}

// interpose has work done between two transactions. When ctx ends, it may still be done.
func (o *owner) interpose(ctx context.Context, work func(*conn) error) error {
	b := between{work, make(chan error, 1)}
	return send(ctx, o, o.between, b, b.done)
}

// gather adds the requests that are waiting already.
func (o *owner) gather(batch []*request) []*request {
	for len(batch) < maxBatch {
		select {
		case r := <-o.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// serve carries out the batch and answers each of its requests.
func (o *owner) serve(batch []*request) {
	batch = o.admit(batch)
	err := o.transact(batch)
	if err == nil || failed(err) || len(batch) == 1 {
		answer(batch, err)
		return
	}
	for i := range batch { // one of them is at fault, and the others shall not suffer for it
		alone := o.admit(batch[i : i+1])
		answer(alone, o.transact(alone))
	}
}

// admit answers the requests that are not to be carried out, and returns the others.
func (o *owner) admit(batch []*request) []*request {
	admitted := batch[:0]
	for _, r := range batch {
		failure := o.fit()
		err := r.ctx.Err()
		if err == nil && r.kind == opening {
			err = failure
		}
		if err != nil {
			r.done <- err
			continue
		}
		admitted = append(admitted, r)
	}
	return admitted
}

func answer(batch []*request, err error) {
	for _, r := range batch {
		r.done <- err
	}
}

// transact carries out the batch in one transaction, entirely or not at all.
func (o *owner) transact(batch []*request) error {
	if len(batch) == 0 {
		return nil
	}
	err := o.conn.run("BEGIN IMMEDIATE")
	for i := 0; err == nil && i < len(batch); i++ {
		err = batch[i].work(batch[i].ctx, o.conn)
	}
	if err == nil {
		err = o.conn.run("COMMIT")
	}
	if err != nil {
		_ = o.conn.run("ROLLBACK") // fails when SQLite has rolled back by itself, as it does when the disk fails
	}
	if failed(err) {
		o.failure, o.probed = err, time.Now()
	}
	return err
}

// fit is nil when new orders can be taken. After a failure it tries the disk, now and then. That is enough, because
// nothing depends on a write that has failed: SQLite forgets it and writes anew where it stood, which a kernel needs that
// takes pages for clean after a failed fsync. So the connection must outlive the failure: a new one would find the failed
// write in the kernel's memory and believe it.
func (o *owner) fit() error {
	if lost := o.lost.Load(); lost != nil {
		return *lost
	}
	if o.failure == nil {
		return nil
	}
	if damaged(o.failure) { // a write may succeed all the same, elsewhere in the file
		return fmt.Errorf("%w: the database is damaged; stop the service and restore a backup: %w", order.ErrUnsent, o.failure)
	}
	if time.Since(o.probed) >= probeEvery {
		o.failure, o.probed = o.conn.probe(), time.Now()
	}
	if o.failure != nil {
		return fmt.Errorf("%w: no new orders since a write failed: %w", order.ErrUnsent, o.failure)
	}
	return nil
}
