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
	// busyEvery; firstTime the same if there are some of which little was read in vain.
	busyTime  = 50 * time.Millisecond
	firstTime = 4 * time.Millisecond
	busyEvery = 200 * time.Microsecond
)

// turns let a few connections at a time be read, and no more of them while the server is busy. So a client that sends much over
// many connections cannot keep the processors from calls that are in the server already, nor from other connections. Connections
// of which the least was read without use go first.
type turns struct {
	busy func() bool // nil: it never is

	mu      sync.Mutex
	reading list.List   // of *connection: those whose turn it is
	waiting list.List   // of *connection: those that wait for their turn, by their greed
	given   time.Time   // when the latest turn was
	timer   *time.Timer // sees to those who wait
}

// begin waits for the connection's turn, and tells whether that took some time.
func (t *turns) begin(c *connection) (waited bool) {
	c.greed, c.begins = c.list.readAgain(c)
	t.mu.Lock()
	if t.waiting.Len() == 0 && t.reading.Len() < turnsAtOnce {
		t.give(c)
		t.mu.Unlock()
		return false
	}
	if t.waiting.Len() == 0 {
		if t.timer == nil {
			t.timer = time.AfterFunc(turnTime, t.over)
		} else {
			t.timer.Reset(turnTime)
		}
	}
	after := t.waiting.Back()
	for after != nil && after.Value.(*connection).greed > c.greed {
		after = after.Prev()
	}
	if after == nil {
		t.waiting.PushFront(c)
	} else {
		t.waiting.InsertAfter(c, after)
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

// over ends the turns that took too long.
func (t *turns) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.reading.Len() > 0 && time.Since(t.reading.Front().Value.(*connection).given) >= turnTime {
		t.take(t.reading.Front().Value.(*connection))
	}
	t.next()
}

func (t *turns) give(c *connection) {
	t.given = time.Now()
	c.given, c.reading = t.given, t.reading.PushBack(c)
}

func (t *turns) take(c *connection) {
	t.reading.Remove(c.reading)
	c.reading = nil
}

// next gives the next turns. Connections that the client has closed need none: nothing of theirs is read.
func (t *turns) next() {
	for t.waiting.Len() > 0 {
		c := t.waiting.Front().Value.(*connection)
		if !gone(c.Conn) {
			if t.reading.Len() >= turnsAtOnce {
				t.timer.Reset(max(turnTime-time.Since(t.reading.Front().Value.(*connection).given), 0))
				return
			}
			if t.mayWait() {
				t.timer.Reset(busyEvery)
				return
			}
			t.give(c)
		}
		t.waiting.Remove(t.waiting.Front())
		c.turn <- struct{}{} // it has room for one
	}
}

// mayWait tells whether the next turn may wait, for what is in the server already.
func (t *turns) mayWait() bool {
	most := busyTime
	switch next := t.waiting.Front().Value.(*connection); {
	case next.begins:
		return false
	case next.greed <= fewReads:
		most = firstTime
	}
	return t.busy != nil && time.Since(t.given) < most && t.busy()
}
