package fair

import (
	"slices"
	"sort"
)

// Queue is a queue in the order of ranks. The zero value is empty. Its user guards it, often with a lock that every call takes, and so
// it reuses its memory: in a full heap an allocation waits for the garbage collector, and all calls would wait with it.
type Queue[T comparable] struct{ entries []entry[T] }

type entry[T comparable] struct {
	rank  float64
	value T
}

// Len is how many are in the queue.
func (q *Queue[T]) Len() int { return len(q.entries) }

// Ahead is how many would go before one of that rank.
func (q *Queue[T]) Ahead(rank float64) int {
	return sort.Search(len(q.entries), func(i int) bool { return q.entries[i].rank > rank })
}

// Add puts one into the queue, behind those of the same rank.
func (q *Queue[T]) Add(value T, rank float64) {
	at, one := q.Ahead(rank), entry[T]{rank, value}
	q.entries = append(q.entries, one) // slices.Insert would be 5 KB of code
	copy(q.entries[at+1:], q.entries[at:])
	q.entries[at] = one
}

// First is the first in the queue, which must not be empty.
func (q *Queue[T]) First() T { return q.entries[0].value }

// Last is the last in the queue, which must not be empty, with its rank.
func (q *Queue[T]) Last() (T, float64) {
	last := q.entries[len(q.entries)-1]
	return last.value, last.rank
}

// Remove takes one out of the queue, if it is in it.
func (q *Queue[T]) Remove(value T) bool {
	i := slices.IndexFunc(q.entries, func(e entry[T]) bool { return e.value == value })
	if i < 0 {
		return false
	}
	q.entries = slices.Delete(q.entries, i, i+1)
	return true
}
