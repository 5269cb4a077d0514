package serve

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"checkout/internal/fair"
)

const (
	// maxConns bounds the connections to a server: each costs some 20 KB, even if nothing is asked over it.
	maxConns = 256
	// reserve is how many more are open while every connection has a call under way. The oldest of them is closed for the
	// next, so that a health check always gets the moment that it needs.
	reserve = 16
	// socketBuffer is how much the kernel keeps of what is sent and received over a connection, and writeTime how long a client
	// may take to receive something.
	socketBuffer = 32 << 10
	writeTime    = 5 * time.Second
	// handshake is how often a connection is read until its first call has arrived.
	handshake = 4
	// readsPerCall is how often a connection is read for a call that is served, at most. What is read more often than fewReads
	// for nothing, is greedy. One read is forgotten every forgetEvery. Of health checks, one counts as served every checkEvery.
	readsPerCall = 4
	fewReads     = 8
	forgetEvery  = 10 * time.Second
	checkEvery   = 250 * time.Millisecond
)

// connections is a listener that accepts every connection. Beyond maxConns it closes the one that has been without a call
// for longest, whether it is idle or its handshake is not over. If all have calls, it closes the oldest of the reserve.
//
// It is also the server's stats handler, to know which connections have calls.
type connections struct {
	net.Listener
	evicted func(remote net.Addr, idle bool) // called for each connection that is closed to make room

	turns   turns
	clients fair.Clients

	mu  sync.Mutex
	all map[net.Addr]*connection // by the addresses of the clients, which are pointers
}

// connection is one of them. The fields below list are guarded by the list's mutex.
type connection struct {
	net.Conn
	list    *connections
	remote  net.Addr
	turn    chan struct{} // holds one when it has waited for its turn
	writing chan struct{} // holds one while something is sent
	given   time.Time     // when its turn was
	greed   float64       // when it was read last
	begins  bool          // likewise
	client  *fair.Client

	calls    int
	begun    bool      // it has had a call
	reads    float64   // that came to nothing
	read     time.Time // when it was, last
	checked  time.Time // when a health check was served, last
	since    time.Time // when it was accepted, or its last call ended
	ready    bool      // the handshakes of TLS and HTTP/2 are over
	reserved bool
}

func newConnections(evicted func(remote net.Addr, idle bool)) *connections {
	return &connections{evicted: evicted, all: make(map[net.Addr]*connection)}
}

// Gone implements rpc.Connections.
func (l *connections) Gone(ctx context.Context) bool {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	return ok && gone(c.Conn)
}

// PauseWhile implements rpc.Connections.
func (l *connections) PauseWhile(busy func() bool) { l.turns.busy = busy }

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer)  // the kernel's own size does too
		_ = tcp.SetWriteBuffer(socketBuffer) // likewise
	}
	c := &connection{
		Conn: conn, list: l, remote: conn.RemoteAddr(), since: time.Now(), turn: make(chan struct{}, 1), writing: make(chan struct{}, 1),
	}
	c.client = l.clients.New(func() { _ = conn.Close() }) // without locks: the room calls this with its own held
	if victim, idle := l.add(c); victim != nil {
		_ = victim.Close()
		l.evicted(victim.RemoteAddr(), idle)
	}
	return c, nil
}

// add adds a connection. If there are too many then, it returns the one to close, and whether that one is idle.
func (l *connections) add(c *connection) (victim *connection, idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= maxConns {
		victim = l.useless()
		idle = victim != nil && victim.calls == 0
		c.reserved = victim == nil
	}
	if c.reserved && len(l.all) >= maxConns+reserve {
		victim = l.oldest(func(o *connection) bool { return o.reserved })
	}
	if victim != nil {
		delete(l.all, victim.remote)
	}
	l.all[c.remote] = c
	return victim, idle
}

// readAgain counts that a connection is read, and returns how much more often it was than its served calls account for, and
// whether it has just begun.
func (l *connections) readAgain(c *connection) (greed float64, begins bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	c.reads = max(c.reads-float64(now.Sub(c.read))/float64(forgetEvery), min(c.reads, 0)) + 1
	c.read = now
	return c.reads, !c.begun && c.reads <= handshake
}

// useless is the connection that can be spared most easily: one that the client has closed, or else the one that was read most
// often for nothing, or else the one that has been without a call for longest.
func (l *connections) useless() (found *connection) {
	for _, c := range l.all {
		switch {
		case gone(c.Conn):
			return c
		case c.reads > fewReads && !c.client.Proven() && (found == nil || c.reads > found.reads):
			found = c
		}
	}
	if found == nil {
		found = l.oldest(func(o *connection) bool { return o.calls == 0 && !o.client.Proven() })
	}
	if found == nil {
		found = l.oldest(func(o *connection) bool { return o.calls == 0 })
	}
	return found
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

// Read implements net.Conn. Nothing is read from a client that does not receive our answers, nor what is left of one that has
// closed the connection while it waited for its turn.
func (c *connection) Read(p []byte) (int, error) {
	c.list.turns.end(c)
	c.writing <- struct{}{}
	<-c.writing
	most := turnBytes
	if c.isGreedy() {
		most = greedyBytes
	}
	n, err := c.Conn.Read(p[:min(len(p), most)])
	if err != nil {
		return n, err
	}
	if c.list.turns.begin(c) && gone(c.Conn) {
		return 0, io.EOF
	}
	return n, nil
}

// isGreedy reports whether the connection was read often for nothing.
func (c *connection) isGreedy() bool { return c.greed > fewReads && !c.client.Proven() }

// Write implements net.Conn.
func (c *connection) Write(p []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.list.mu.Lock()
	delete(c.list.all, c.remote)
	c.list.mu.Unlock()
	err := c.Conn.Close()
	c.list.turns.leave(c)
	return err
}

// RemoteAddr implements net.Conn. It always returns the same pointer, by which the connection is known.
func (c *connection) RemoteAddr() net.Addr { return c.remote }

// connectionKey is the key of a call's connection in its context.
type connectionKey struct{}

// TagConn implements stats.Handler.
func (l *connections) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	c := l.begins(info.RemoteAddr)
	if c == nil {
		return ctx // it has been closed
	}
	return fair.With(context.WithValue(ctx, connectionKey{}, c), c.client)
}

// begins notes that the handshakes of a connection are over.
func (l *connections) begins(remote net.Addr) *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.all[remote]
	if c != nil {
		c.ready = true
	}
	return c
}

// checkKey marks the contexts of health checks.
type checkKey struct{}

// TagRPC implements stats.Handler.
func (l *connections) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if strings.HasPrefix(info.FullMethodName, "/"+grpc_health_v1.Health_ServiceDesc.ServiceName+"/") {
		return context.WithValue(ctx, checkKey{}, true)
	}
	return ctx
}

// HandleRPC implements stats.Handler.
func (l *connections) HandleRPC(ctx context.Context, s stats.RPCStats) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		c.calls++
		c.begun = true
	case *stats.End:
		if c.calls--; c.calls == 0 {
			c.since = time.Now()
		}
		if s.Error == nil && (ctx.Value(checkKey{}) == nil || c.countCheck()) {
			c.reads = max(c.reads-readsPerCall, -fewReads)
		}
	}
}

// countCheck notes a health check, and reports whether it counts as served.
func (c *connection) countCheck() bool {
	now := time.Now()
	if now.Sub(c.checked) < checkEvery {
		return false
	}
	c.checked = now
	return true
}

// HandleConn implements stats.Handler.
func (l *connections) HandleConn(context.Context, stats.ConnStats) {}
