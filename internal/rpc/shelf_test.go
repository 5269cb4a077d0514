package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

// shelf is a Record in memory.
type shelf struct {
	mu     sync.Mutex
	orders map[order.ID]order.Order
	away   error             // what every call returns, unless nil
	torn   map[order.ID]bool // what cannot be read
	read   int
}

func (s *shelf) put(orders ...order.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders == nil {
		s.orders = map[order.ID]order.Order{}
	}
	for _, o := range orders {
		s.orders[o.ID] = o
	}
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

// reads is how many orders have been read.
func (s *shelf) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

func (s *shelf) Get(_ context.Context, id order.ID) (*order.Order, error) {
	return s.first(func(o order.Order) bool { return o.ID == id })
}

func (s *shelf) Find(_ context.Context, userID, key string) (*order.Order, error) {
	return s.first(func(o order.Order) bool { return o.UserID == userID && o.Key == key })
}

func (s *shelf) first(is func(order.Order) bool) (*order.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return nil, s.away
	}
	for _, o := range s.orders {
		if is(o) {
			s.read++
			return &o, nil
		}
	}
	return nil, fmt.Errorf("looking: %w", order.ErrNotFound)
}

func (s *shelf) List(_ context.Context, q lookup.Query) (found []*order.Order, next order.ID, err error) {
	limit := q.Limit
	q.Limit++ // one more tells whether there is another page
	found, err = s.pick(q)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found, next = found[:limit], found[limit-1].ID
	}
	found, err = s.whole(found)
	return found, next, err
}

func (s *shelf) pick(q lookup.Query) (found []*order.Order, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return nil, s.away
	}
	for _, o := range s.orders {
		if q.Selects(&o) && (q.Before == "" || o.ID < q.Before) {
			found = append(found, &o)
		}
	}
	slices.SortFunc(found, func(a, b *order.Order) int { return -strings.Compare(string(a.ID), string(b.ID)) })
	found = found[:min(len(found), q.Limit)]
	s.read += len(found)
	return found, nil
}

// whole are the orders that can be read.
func (s *shelf) whole(found []*order.Order) ([]*order.Order, error) {
	whole := slices.DeleteFunc(slices.Clone(found), func(o *order.Order) bool { return s.torn[o.ID] })
	if len(whole) < len(found) {
		return whole, errors.New("some orders cannot be read")
	}
	return found, nil
}
