package serve

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"checkout/internal/fair"
)

// client is a connection as the server has accepted it, and what it does.
type client struct {
	net.Conn
	there net.Conn // its other end
	list  *connections
	ctx   context.Context
}

// peer is an end of a connection with a name.
type peer struct {
	net.Conn
	name   string
	closed *[]string
}

func (p peer) RemoteAddr() net.Addr { return &net.UnixAddr{Name: p.name} }
func (p peer) Close() error         { *p.closed = append(*p.closed, p.name); return p.Conn.Close() }

// queue is a listener that accepts what is put into it.
type queue struct {
	net.Listener
	next chan net.Conn
}

func (q queue) Accept() (net.Conn, error) { return <-q.next, nil }

// hall is a listener to try connections at.
type hall struct {
	*connections
	queue  queue
	closed []string // names of connections, in the order in which they were closed
	idle   []bool   // of those that had to make room, whether they were idle
}

func newHall() *hall {
	r := &hall{queue: queue{next: make(chan net.Conn, 1)}}
	r.connections = newConnections(func(_ net.Addr, idle bool) { r.idle = append(r.idle, idle) })
	r.Listener = r.queue
	return r
}

// accept lets a client of that name in.
func (r *hall) accept(t *testing.T, name string) *client {
	t.Helper()
	time.Sleep(time.Millisecond)
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	r.queue.next <- peer{here, name, &r.closed}
	conn, err := r.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return &client{Conn: conn, there: there, list: r.connections}
}

// ready is the end of the handshakes.
func (c *client) ready(t *testing.T) *client {
	t.Helper()
	c.ctx = c.list.TagConn(t.Context(), &stats.ConnTagInfo{RemoteAddr: c.RemoteAddr(), LocalAddr: c.LocalAddr()})
	return c
}

// call begins a call, or ends one.
func (c *client) call(s stats.RPCStats) { c.list.HandleRPC(c.ctx, s) }

func TestTheConnectionWithoutACallForLongestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		r.accept(t, "silent") // its handshake is not over
		busy := r.accept(t, "busy").ready(t)
		busy.call(&stats.Begin{})
		done := r.accept(t, "done").ready(t)
		done.call(&stats.Begin{})
		for i := range maxConns - 3 {
			r.accept(t, strconv.Itoa(i)).ready(t)
		}
		done.call(&stats.End{})
		for i, want := range []string{"silent", "0", "1"} {
			r.accept(t, "new "+want).ready(t)
			if len(r.closed) != i+1 || r.closed[i] != want {
				t.Fatalf("closed: %q, want %q next", r.closed, want)
			}
		}
		if err := busy.Close(); err != nil {
			t.Fatal(err)
		}
		if r.accept(t, "one more"); len(r.closed) != 4 || len(r.idle) != 3 {
			t.Errorf("closed: %q, to make room: %v; want nobody after one has gone", r.closed, r.idle)
		}
	})
}

func TestAPlaceIsFoundWhenEveryConnectionIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		for i := range maxConns + reserve {
			r.accept(t, strconv.Itoa(i)).ready(t).call(&stats.Begin{})
		}
		if len(r.closed) > 0 {
			t.Fatalf("closed: %q, before the reserve is full", r.closed)
		}
		r.accept(t, "probe").ready(t).call(&stats.Begin{})
		r.accept(t, "another").ready(t).call(&stats.Begin{})
		if len(r.closed) != 2 || r.closed[0] != strconv.Itoa(maxConns) || r.closed[1] != strconv.Itoa(maxConns+1) {
			t.Errorf("closed: %q, want the first two of the reserve", r.closed)
		}
		if len(r.idle) != 2 || r.idle[0] || r.idle[1] {
			t.Errorf("idle: %v, want that they were busy", r.idle)
		}
	})
}

// grpc.Server waits for every handshake before it sends GOAWAY, and a client may never begin with its own.
func TestTheEndDoesNotWaitForHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		r.accept(t, "ready").ready(t)
		r.accept(t, "silent")
		r.Listener = closable{r.queue}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if len(r.closed) != 1 || r.closed[0] != "silent" {
			t.Errorf("closed: %q, want the silent one alone", r.closed)
		}
	})
}

type closable struct{ queue }

func (closable) Close() error { return nil }

// reads reads what the other end of a connection sends, and tells when it may process that.
func (c *client) reads() <-chan time.Time {
	done := make(chan time.Time, 1)
	go func() {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			done <- time.Now()
		}
	}()
	return done
}

func TestFewConnectionsAreProcessedAtATimeUnlessThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		read := func(c *client) <-chan time.Time {
			done := c.reads()
			_, _ = c.there.Write([]byte("x"))
			synctest.Wait()
			return done
		}
		second, third := r.accept(t, "second"), r.accept(t, "third")
		others := make([]*client, turnsAtOnce)
		for i := range others {
			others[i] = r.accept(t, strconv.Itoa(i))
		}
		for _, c := range others {
			<-read(c)
		}
		first := others[0]
		began := time.Now()
		isSecond, isThird := read(second), read(third)
		first.reads() // it is done with the first byte
		defer func() { _ = first.there.Close(); time.Sleep(2 * turnTime) }()
		if at := <-isSecond; at.Sub(began) > 0 {
			t.Errorf("the next one is processed after %v, want at once when one is done", at.Sub(began))
		}
		if at := <-isThird; at.Sub(began) != turnTime {
			t.Errorf("the one after it is processed after %v, want %v: nobody else ends a turn", at.Sub(began), turnTime)
		}
	})
}

func TestNothingIsReadFromAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHall().accept(t, "deaf")
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("answer"))
			wrote <- err
		}()
		synctest.Wait()
		read := c.reads()
		sent := make(chan error, 1)
		go func() {
			_, err := c.there.Write([]byte("x"))
			sent <- err
		}()
		synctest.Wait()
		select {
		case <-read:
			t.Error("it was read")
		default:
		}
		began := time.Now()
		if err := <-wrote; err == nil || time.Since(began) != writeTime {
			t.Errorf("writing ended with %v after %v, want an error after %v", err, time.Since(began), writeTime)
		}
		<-read
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestAConnectionThatIsReadForNothingMakesRoomFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		shop := r.accept(t, "shop").ready(t)
		fair.Of(shop.ctx).End(true)
		r.accept(t, "stranger").ready(t)
		for name, reads := range map[string]int{"greedy": 3 * fewReads, "greedier": 4 * fewReads} {
			c := r.accept(t, name).ready(t)
			c.call(&stats.Begin{})
			for range reads {
				r.readAgain(c.Conn.(*connection))
			}
		}
		for i := range maxConns - 4 {
			r.accept(t, strconv.Itoa(i)).ready(t).call(&stats.Begin{})
		}
		for i := range 3 {
			r.accept(t, "new "+strconv.Itoa(i)).ready(t).call(&stats.Begin{})
		}
		if want := []string{"greedier", "greedy", "stranger"}; !slices.Equal(r.closed, want) {
			t.Errorf("closed: %q, want %q", r.closed, want)
		}
		if r.accept(t, "another"); r.closed[3] != "shop" {
			t.Errorf("closed: %q, want the shop's connection when all others are busy", r.closed)
		}
	})
}

func TestWhoWasReadForNothingWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		read := func(c *client) <-chan time.Time {
			done := c.reads()
			_, _ = c.there.Write([]byte("x"))
			synctest.Wait()
			return done
		}
		var first *client
		for i := range turnsAtOnce {
			c := r.accept(t, strconv.Itoa(i))
			<-read(c)
			if i == 0 {
				first = c
			}
		}
		greedy, shop, stranger := r.accept(t, "greedy"), r.accept(t, "shop").ready(t), r.accept(t, "stranger")
		for range 5 {
			r.readAgain(greedy.Conn.(*connection))
			r.readAgain(shop.Conn.(*connection))
		}
		shop.call(&stats.Begin{})
		shop.call(&stats.End{})
		shop.call(&stats.Begin{})
		shop.call(&stats.End{})
		last, second, third := read(greedy), read(stranger), read(shop)
		_ = first.there.Close() // its turn is over
		first.reads()
		synctest.Wait()
		time.Sleep(turnTime)
		synctest.Wait()
		if at := []time.Time{<-third, <-second, <-last}; at[0].After(at[1]) || at[1].After(at[2]) {
			t.Errorf("read at %v: want the shop's, the stranger's, and the greedy one's", at)
		}
	})
}

func TestHealthChecksOverAKeptConnectionAreNotForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		probe, flood := r.accept(t, "probe").ready(t), r.accept(t, "flood").ready(t)
		check := func(c *client) float64 {
			c.ctx = r.TagRPC(c.ctx, &stats.RPCTagInfo{FullMethodName: grpc_health_v1.Health_Check_FullMethodName})
			c.call(&stats.Begin{})
			reads, _ := r.readAgain(c.Conn.(*connection))
			c.call(&stats.End{})
			return reads
		}
		for range 100 {
			if reads := check(probe); reads > fewReads {
				t.Fatalf("a check each %v counts as %v reads for nothing", checkEvery, reads)
			}
			time.Sleep(checkEvery)
		}
		for range 100 {
			check(flood)
		}
		if reads := check(flood); reads < 90 {
			t.Errorf("a flood of checks counts as %v reads for nothing", reads)
		}
	})
}

func TestFromWhomMuchWasReadForNothingLittleIsReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		c := r.accept(t, "greedy")
		go func() {
			for err := error(nil); err == nil; {
				_, err = c.there.Write(make([]byte, turnBytes))
			}
		}()
		defer func() { _ = c.Close() }()
		read := func() int {
			n, err := c.Read(make([]byte, 2*turnBytes))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := read(); n != turnBytes {
			t.Errorf("%d bytes are read at once, want %d", n, turnBytes)
		}
		for range 2 * fewReads {
			r.readAgain(c.Conn.(*connection))
		}
		read() // of which is known only then that it was one too many
		if n := read(); n != greedyBytes {
			t.Errorf("%d bytes are read at once of a greedy one, want %d", n, greedyBytes)
		}
	})
}

func TestWhileTheServerIsBusyAGreedyConnectionWaitsAlsoAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		r.PauseWhile(func() bool { return true })
		c := r.accept(t, "greedy")
		read := func() time.Duration {
			began, done := time.Now(), c.reads()
			_, _ = c.there.Write([]byte("x"))
			return (<-done).Sub(began)
		}
		if took := read(); took > 0 {
			t.Errorf("its first call waited for %v", took)
		}
		for range 2 * fewReads {
			r.readAgain(c.Conn.(*connection))
		}
		if took := read(); took < busyTime-busyEvery {
			t.Errorf("it was read after %v, want %v", took, busyTime)
		}
		c.Conn.(*connection).client.End(true)
		if took := read(); took > 0 {
			t.Errorf("when it has proven itself, it waited for %v", took)
		}
	})
}

func TestAClosedConnectionDoesNotWaitForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHall()
		r.PauseWhile(func() bool { return true })
		began := time.Now()
		ended := make(chan time.Duration, 1)
		for i := range turnsAtOnce + 1 {
			c := r.accept(t, strconv.Itoa(i))
			for range i / turnsAtOnce * 2 * fewReads { // of the last one
				r.readAgain(c.Conn.(*connection))
			}
			go func() {
				_, _ = c.Read(make([]byte, 1))
				if i == turnsAtOnce {
					ended <- time.Since(began)
				}
			}()
			_, _ = c.there.Write([]byte("x"))
			synctest.Wait()
			if i == turnsAtOnce {
				began = time.Now()
				_ = c.Close()
			}
		}
		if waited := <-ended; waited > 0 {
			t.Errorf("it waited for %v more", waited)
		}
	})
}

// The room closes a client's connection with its own lock held, which the turns of connections take as well.
func TestClosingAClientsConnectionTakesNoLockOfTheTurns(t *testing.T) {
	t.Parallel()
	r := newHall()
	var room sync.Mutex
	asked := make(chan struct{}, 1)
	r.PauseWhile(func() bool {
		select {
		case asked <- struct{}{}:
		default:
		}
		room.Lock()
		defer room.Unlock()
		return true
	})
	room.Lock()
	var last *client
	for i := range turnsAtOnce + 1 {
		last = r.accept(t, strconv.Itoa(i)).ready(t)
		for range i / turnsAtOnce * 2 * fewReads { // of the last one
			r.readAgain(last.Conn.(*connection))
		}
		last.reads()
		_, _ = last.there.Write([]byte("x"))
	}
	<-asked
	hungUp := make(chan struct{})
	go func() {
		defer close(hungUp)
		for range 10 {
			fair.Of(last.ctx).Stuck()
		}
	}()
	select {
	case <-hungUp:
		room.Unlock()
	case <-time.After(time.Minute):
		t.Fatal("deadlock: closing the connection waits for the turns, and they wait for the room")
	}
}
