package serve

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
)

const (
	// maxConns bounds the connections to a server: each costs some 20 KB, even if nothing is asked over it.
	maxConns = 256
	// reserve is how many more are open while every connection has a call under way. The oldest of them is closed for the
	// next, so that a health check always gets the moment that it needs.
	reserve = 16
)

// connections is a listener that accepts every connection. Beyond maxConns it closes the one that has been without a call
// for longest, whether it is idle or its handshake is not over. If all have calls, it closes the oldest of the reserve.
//
// It is also the server's stats handler, to know which connections have calls.
type connections struct {
	net.Listener
	evicted func(remote net.Addr, idle bool) // called for each connection that is closed to make room

	mu  sync.Mutex
	all map[string]*connection // by both its addresses
}

// connection is one of them. The fields below list are guarded by the list's mutex.
type connection struct {
	net.Conn
	list *connections

	calls    int
	since    time.Time // when it was accepted, or its last call ended
	ready    bool      // the handshakes of TLS and HTTP/2 are over
	reserved bool
}

func newConnections(evicted func(remote net.Addr, idle bool)) *connections {
	return &connections{evicted: evicted, all: make(map[string]*connection)}
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, list: l, since: time.Now()}
	if victim, idle := l.add(c); victim != nil {
		_ = victim.Conn.Close()
		l.evicted(victim.RemoteAddr(), idle)
	}
	return c, nil
}

// add adds a connection. If there are too many then, it returns the one to close, and whether that one is idle.
func (l *connections) add(c *connection) (victim *connection, idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= maxConns {
		victim = l.oldest(func(o *connection) bool { return o.calls == 0 })
		idle = victim != nil
		c.reserved = !idle
	}
	if c.reserved && len(l.all) >= maxConns+reserve {
		victim = l.oldest(func(o *connection) bool { return o.reserved })
	}
	if victim != nil {
		delete(l.all, victim.key())
	}
	l.all[c.key()] = c
	return victim, idle
}

// oldest is the connection with the earliest since, of those that match.
func (l *connections) oldest(match func(*connection) bool) (found *connection) {
	for _, c := range l.all {
		if match(c) && (found == nil || c.since.Before(found.since)) {
			found = c
		}
	}
	return found
}

// Close implements net.Listener. It also closes connections whose handshake is not over: grpc.Server waits for it, for
// seconds, before it sends GOAWAY to the others.
func (l *connections) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.all {
		if !c.ready {
			_ = c.Conn.Close()
		}
	}
	return err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.list.mu.Lock()
	if c.list.all[c.key()] == c {
		delete(c.list.all, c.key())
	}
	c.list.mu.Unlock()
	return c.Conn.Close()
}

func (c *connection) key() string { return key(c.RemoteAddr(), c.LocalAddr()) }

func key(remote, local net.Addr) string { return remote.String() + " " + local.String() }

// connectionKey is the key of a call's connection in its context.
type connectionKey struct{}

// TagConn implements stats.Handler.
func (l *connections) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.all[key(info.RemoteAddr, info.LocalAddr)]
	if c == nil {
		return ctx // it has been closed
	}
	c.ready = true
	return context.WithValue(ctx, connectionKey{}, c)
}

// HandleRPC implements stats.Handler.
func (l *connections) HandleRPC(ctx context.Context, s stats.RPCStats) {
	by := 0
	switch s.(type) {
	case *stats.Begin:
		by = 1
	case *stats.End:
		by = -1
	default:
		return
	}
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.calls += by; c.calls == 0 {
		c.since = time.Now()
	}
}

// TagRPC implements stats.Handler.
func (l *connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (l *connections) HandleConn(context.Context, stats.ConnStats) {}
