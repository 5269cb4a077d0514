package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

const (
	// holdPart is how many orders are held at a time.
	holdPart = 200
	// heldRetention is how long an order is kept of which only the cart was left to do.
	heldRetention = 7 * 24 * time.Hour

	heldBy  = "checkout record"
	heldWhy = "restored from a backup; it may have been charged, shipped, refunded or delivered since"
)

// Hold makes the orders that are not finished require an operator, and returns how many do: in a restored
// backup, their outcome is unknown, and to go on could charge, ship or mail again. The record must not be in use meanwhile. Orders
// that are held already stay as they are.
func (s orders) Hold(ctx context.Context) (held int, err error) {
	waiting := []order.State{order.Parked, order.Undelivered}
	q := lookup.Query{
		States: append(waiting, order.Charging, order.Charged, order.Placed, order.InDoubt, order.Refunding), Limit: holdPart,
	}
	for {
		found, next, unread := s.List(ctx, q)
		err = errors.Join(err, unread)
		for _, o := range found {
			from := o.State
			if slices.Contains(waiting, from) {
				held++
				continue
			}
			hold(o)
			keep := order.UntilResolved
			if o.State.Final() {
				keep = heldRetention
			}
			if err := s.Save(ctx, o, from, keep); err != nil {
				return held, fmt.Errorf("hold orders: %w", err)
			}
			if !o.State.Final() {
				held++
			}
		}
		if next == "" {
			return held, err
		}
		q.Before = next
	}
}

// hold brings o into the state in which recovery would leave it to an operator. Its cart is left as it is: it may be another
// one by now.
func hold(o *order.Order) {
	switch pending := (order.EmailSent | order.EventPublished) &^ (o.Delivered | o.Skipped); {
	case o.State != order.Placed:
		o.State, o.ShipAttempts = order.Parked, order.UnknownShipments
	case pending != 0:
		o.State, o.Undeliverable = order.Undelivered, pending
	default:
		o.State = order.Completed
	}
	if o.State != order.Parked {
		o.Delivered |= order.CartSettled
	}
	o.Reason, o.Changed, o.Attempts = heldWhy, time.Now(), 0
	o.History = append(o.History[:len(o.History):len(o.History)], order.HistoryEntry{At: o.Changed, State: o.State, Problem: heldWhy, By: heldBy})
}
