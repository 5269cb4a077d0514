package serve

import (
	"container/list"
	"sync"
	"time"
)

const (
	// turnBytes is how much a connection may read in its turn: one call, or a few.
	turnBytes = 1 << 10
	// turnsAtOnce is how many connections are read at once: as many as a shop's frontends have.
	turnsAtOnce = 8
	// turnTime is how long a turn lasts at most. That much is processed in less; whose turn takes longer waits for something.
	turnTime = 2 * time.Millisecond
	// busyTime is how long all connections wait for the next turn, at most, while the server is busy, which is looked at every
	// busyEvery; firstTime the same if useful ones are among them.
	busyTime  = 50 * time.Millisecond
	firstTime = 4 * time.Millisecond
	busyEvery = 200 * time.Microsecond
)

// turns let a few connections at a time be read, and no more of them while the server is busy. So whoever sends much over many
// connections cannot keep the processors from the calls that are in the server already, nor from other connections. Useful
// connections go first.
type turns struct {
	busy func() bool // nil: it never is

	mu      sync.Mutex
	reading list.List   // of *connection: those whose turn it is
	first   list.List   // of *connection: those that wait for their turn and go first
	waiting list.List   // of *connection: the others
	given   time.Time   // when the latest turn was
	timer   *time.Timer // sees to those who wait
}

// begin waits for the connection's turn, and tells whether that took some time.
func (t *turns) begin(c *connection, useful bool) (waited bool) {
	t.mu.Lock()
	if t.len() == 0 && t.reading.Len() < turnsAtOnce {
		t.give(c)
		t.mu.Unlock()
		return false
	}
	if t.len() == 0 {
		if t.timer == nil {
			t.timer = time.AfterFunc(turnTime, t.over)
		} else {
			t.timer.Reset(turnTime)
		}
	}
	if useful {
		t.first.PushBack(c)
	} else {
		t.waiting.PushBack(c)
	}
	t.mu.Unlock()
	<-c.turn
	return true
}

// end ends the connection's turn, if it still is.
func (t *turns) end(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.reading != nil {
		t.take(c)
		t.next()
	}
}

// over ends a turn that took too long.
func (t *turns) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reading.Len() >= turnsAtOnce {
		t.take(t.reading.Front().Value.(*connection))
	}
	t.next()
}

func (t *turns) give(c *connection) { c.reading, t.given = t.reading.PushBack(c), time.Now() }

func (t *turns) take(c *connection) {
	t.reading.Remove(c.reading)
	c.reading = nil
}

// next gives the next turn.
func (t *turns) next() {
	switch {
	case t.len() == 0:
		return
	case t.mayWait():
		t.timer.Reset(busyEvery)
		return
	}
	from := &t.first
	if from.Len() == 0 {
		from = &t.waiting
	}
	c := from.Remove(from.Front()).(*connection)
	t.give(c)
	c.turn <- struct{}{} // it has room for one
	t.timer.Reset(turnTime)
}

func (t *turns) len() int { return t.first.Len() + t.waiting.Len() }

// mayWait tells whether the next turn may wait, for what is in the server already.
func (t *turns) mayWait() bool {
	most := busyTime
	if t.first.Len() > 0 {
		most = firstTime
	}
	return t.busy != nil && time.Since(t.given) < most && t.busy()
}
