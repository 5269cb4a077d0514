package sim

import (
	"context"
	"errors"
	"time"

	"checkout/internal/order"
)

// The record, as a process sees it.

// none of T.
type nothing struct{}

// Open records a new order.
func (p *process) Open(ctx context.Context, opening order.Opening) (*order.Order, error) {
	w, o, opened := p.w, opening.Order, *opening.Order
	opening.Order = &opened
	w.mu.Lock()
	w.register(o)
	w.mu.Unlock()
	return invoke(ctx, p, call[*order.Order]{
		to: theStore, name: "open", about: p.nameOf(o.ID) + " over " + p.nameOf(opening.Supersede), limit: storeLimit,
		act: func() (*order.Order, error) {
			known := w.on(opened.ID) != nil
			conflict, err := w.record.Open(context.Background(), opening)
			switch {
			case conflict != nil:
				w.saw("a conflict")
			case err == nil && !known:
				w.owners[opened.ID] = p
				w.uncharged[opened.ID] = p // until it charges
				w.saw(opened.State.String())
				w.checkOpened(&opened)
			}
			return conflict, err
		},
	})
}

// Save records an order.
func (p *process) Save(ctx context.Context, o *order.Order, from order.State, hold time.Duration) error {
	w, saved := p.w, *o
	_, err := invoke(ctx, p, call[nothing]{
		to: theStore, name: "save " + o.State.String(), about: p.nameOf(o.ID), limit: storeLimit,
		act: func() (nothing, error) {
			before := w.on(saved.ID)
			err := w.record.Save(context.Background(), &saved, from, hold)
			switch {
			case errors.Is(err, order.ErrFenced):
				w.saw("fenced")
			case err == nil:
				if q := w.owners[saved.ID]; q != p && !alike(before, &saved) {
					w.violated("I1", w.name(saved.ID), "saved by %s, after it was taken over by %s", p.name, q.name)
				}
				w.checkSaved(before, &saved, hold)
			}
			return nothing{}, err
		},
	})
	return err
}

// Cancel records that an order was never charged.
func (p *process) Cancel(ctx context.Context, o *order.Order, hold time.Duration) error {
	w, cancelled := p.w, *o
	_, err := invoke(ctx, p, call[nothing]{
		to: theStore, name: "cancel", about: p.nameOf(o.ID), limit: storeLimit,
		act: func() (nothing, error) {
			before := w.on(cancelled.ID)
			err := w.record.Cancel(context.Background(), &cancelled, hold)
			switch {
			case errors.Is(err, order.ErrFenced):
				w.saw("fenced")
			case err == nil && before == nil:
				w.owners[cancelled.ID] = p
			case err == nil:
				w.checkSaved(before, &cancelled, hold)
			}
			return nothing{}, err
		},
	})
	return err
}

// Claim takes over orders that are due.
func (p *process) Claim(ctx context.Context, queue order.Queue, limit int, hold time.Duration) ([]*order.Order, error) {
	w := p.w
	return invoke(ctx, p, call[[]*order.Order]{
		to: theStore, name: "claim", about: []string{"", "unshipped", "undelivered"}[queue], limit: storeLimit,
		quiet: func(claimed []*order.Order) bool { return len(claimed) == 0 },
		act: func() ([]*order.Order, error) {
			claimed, err := w.record.Claim(context.Background(), queue, limit, hold)
			for _, o := range claimed {
				if before := w.owners[o.ID]; before != nil && before.replica != p.replica {
					w.saw("taken over by the other replica")
				}
				w.owners[o.ID] = p
				if s := w.shipment(o.ID); s.leased {
					s.interrupted++
				}
				p.log("takes over", w.name(o.ID), none, nil)
			}
			return claimed, err
		},
	})
}

// Take takes over an order that waits for an operator.
func (p *process) Take(ctx context.Context, id order.ID) (*order.Order, error) {
	w := p.w
	return invoke(ctx, p, call[*order.Order]{
		to: theStore, name: "take", about: p.nameOf(id), limit: storeLimit,
		act: func() (*order.Order, error) {
			before := w.on(id)
			o, err := w.record.Take(context.Background(), id)
			if err == nil {
				w.owners[id] = p
				if !w.waitsForOperator(before.State) && before.State != order.Completed {
					w.violated("I3", w.name(id), "was taken while it was %s", before.State)
				}
			}
			return o, err
		},
	})
}

// Get reads an order.
func (p *process) Get(ctx context.Context, id order.ID) (*order.Order, error) {
	return invoke(ctx, p, call[*order.Order]{
		to: theStore, name: "get", about: p.nameOf(id) + " " + askOf(ctx), limit: storeLimit,
		act: func() (*order.Order, error) { return p.w.record.Get(context.Background(), id) },
	})
}

// Find reads the order of a key, or the latest.
func (p *process) Find(ctx context.Context, user, key string) (*order.Order, error) {
	return invoke(ctx, p, call[*order.Order]{
		to: theStore, name: "find", about: user + "/" + key + " " + askOf(ctx), limit: storeLimit,
		act: func() (*order.Order, error) { return p.w.record.Find(context.Background(), user, key) },
	})
}

// alike reports whether two records of an order say the same of what was done.
func alike(a, b *order.Order) bool {
	return a.State == b.State && a.Epoch == b.Epoch && a.Attempts == b.Attempts && a.Delivered == b.Delivered &&
		a.ShipAttempts == b.ShipAttempts &&
		a.Undeliverable == b.Undeliverable && a.TransactionID == b.TransactionID && a.TrackingID == b.TrackingID
}
