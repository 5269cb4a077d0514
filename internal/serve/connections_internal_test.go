package serve

import (
	"context"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/stats"
)

// client is a connection as the server has accepted it, and what it does.
type client struct {
	net.Conn
	list *connections
	ctx  context.Context
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
	return &client{Conn: conn, list: r.connections}
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
