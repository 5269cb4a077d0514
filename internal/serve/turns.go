package serve

import (
	"slices"
	"sync"
	"time"

	"checkout/internal/fair"
)

const (
	// turnBytes is how much a connection may read in its turn: one call, or a few.
	turnBytes   = 1 << 10
	greedyBytes = 1 << 8 // of a greedy one
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
	reading []*connection           // those whose turn it is, the first to get it first
	waiting fair.Queue[*connection] // by their greed
	given   time.Time               // when the latest turn was
	timer   *time.Timer             // sees to those who wait
}

// begin waits for the connection's turn, and reports whether that took some time.
func (t *turns) begin(c *connection) (waited bool) {
	c.greed, c.begins = c.list.readAgain(c)
	if t.atOnce(c) {
		return false
	}
	<-c.turn
	return true
}

// atOnce gives the connection its turn, or has it wait.
func (t *turns) atOnce(c *connection) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting.Len() == 0 && len(t.reading) < turnsAtOnce && (!c.isGreedy() || !t.isBusy()) {
		t.give(c)
		return true
	}
	if t.waiting.Len() == 0 {
		if t.timer == nil {
			t.timer = time.AfterFunc(turnTime, t.over)
		} else {
			t.timer.Reset(turnTime)
		}
	}
	t.waiting.Add(c, c.greed)
	return false
}

// end ends the connection's turn, if it still is.
func (t *turns) end(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.reading, c); i >= 0 {
		t.reading = slices.Delete(t.reading, i, i+1)
		t.next()
	}
}

// leave ends the wait of a connection that has been closed.
func (t *turns) leave(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting.Remove(c) {
		c.turn <- struct{}{} // it has room for one
	}
}

// over ends the turns that took too long.
func (t *turns) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.reading) > 0 && time.Since(t.reading[0].given) >= turnTime {
		t.reading = slices.Delete(t.reading, 0, 1)
	}
	t.next()
}

func (t *turns) give(c *connection) {
	t.given = time.Now()
	c.given = t.given
	t.reading = append(t.reading, c)
}

// next gives the next turns. Connections that the client has closed need none: nothing of theirs is read.
func (t *turns) next() {
	for t.waiting.Len() > 0 {
		c := t.waiting.First()
		if !gone(c.Conn) {
			if len(t.reading) >= turnsAtOnce {
				t.timer.Reset(max(turnTime-time.Since(t.reading[0].given), 0))
				return
			}
			if t.mayWait() {
				t.timer.Reset(busyEvery)
				return
			}
			t.give(c)
		}
		t.waiting.Remove(c)
		c.turn <- struct{}{} // it has room for one
	}
}

// mayWait reports whether the next turn may wait, for what is in the server already.
func (t *turns) mayWait() bool {
	most := busyTime
	switch next := t.waiting.First(); {
	case next.begins:
		return false
	case !next.isGreedy():
		most = firstTime
	}
	return time.Since(t.given) < most && t.isBusy()
}

func (t *turns) isBusy() bool { return t.busy != nil && t.busy() }
