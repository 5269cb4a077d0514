package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// listener is a TCP listener that can be taken offline and brought back on the same port. While it is offline the port
// refuses connections, as it does when a process has died; the server behind it keeps its state and only gets no calls.
type listener struct {
	addr string
	held []net.Conn // both ends of a connection: while it is open, the system gives the port to no other process

	switched *notifier // wakes Accept

	mu      sync.Mutex
	current net.Listener // nil while offline
	conns   map[net.Conn]struct{}
	closed  bool
}

// listen listens on address, "127.0.0.1:0" for any free port.
func listen(ctx context.Context, address string) (*listener, error) {
	current, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	held, err := hold(ctx, current)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keeping %s: %w", current.Addr(), err), current.Close())
	}
	return &listener{
		addr:     current.Addr().String(),
		held:     held,
		current:  current,
		switched: newNotifier(),
		conns:    make(map[net.Conn]struct{}),
	}, nil
}

// hold connects a listener with itself, and returns both ends.
func hold(ctx context.Context, listener net.Listener) ([]net.Conn, error) {
	ours, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	for {
		theirs, err := listener.Accept()
		if err != nil {
			return nil, errors.Join(err, ours.Close())
		}
		if theirs.RemoteAddr().String() == ours.LocalAddr().String() {
			return []net.Conn{ours, theirs}, nil
		}
		_ = theirs.Close() // of another process, before the server listens
	}
}

// Address is host:port. It never changes.
func (l *listener) Address() string { return l.addr }

// TakeOffline breaks open connections and refuses new ones until BringOnline.
func (l *listener) TakeOffline() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
}

// BringOnline listens again, at the same address. It fails when the port was taken in the meantime.
func (l *listener) BringOnline() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if l.current != nil {
		return nil
	}
	current, err := new(net.ListenConfig).Listen(context.Background(), "tcp", l.addr)
	if err != nil {
		return fmt.Errorf("listening on %s again: %w", l.addr, err)
	}
	l.current = current
	l.switched.notify()
	return nil
}

// Offline reports whether connections are refused.
func (l *listener) Offline() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current == nil
}

// Accept implements net.Listener. It waits while the listener is offline.
func (l *listener) Accept() (net.Conn, error) {
	for {
		current, err := l.online()
		if err != nil {
			return nil, err
		}
		conn, err := current.Accept()
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return nil, fmt.Errorf("accepting on %s: %w", l.addr, err)
		}
		if err == nil {
			if tracked := l.track(current, conn); tracked != nil {
				return tracked, nil
			}
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.stop()
		for _, conn := range l.held {
			_ = conn.Close() // it is not used
		}
		l.switched.notify()
	}
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", l.addr)
	if err != nil { // it came from a listener, so it has the right form
		return &net.TCPAddr{}
	}
	return addr
}

// online waits until there is a current listener.
func (l *listener) online() (current net.Listener, err error) {
	closed := false
	_ = l.switched.await(context.Background(), func() bool { // Close ends it
		l.mu.Lock()
		defer l.mu.Unlock()
		current, closed = l.current, l.closed
		return closed || current != nil
	})
	if closed {
		return nil, net.ErrClosed
	}
	return current, nil
}

// track keeps a connection, so that TakeOffline breaks it. It returns nil when that has happened already.
func (l *listener) track(from net.Listener, conn net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != from {
		_ = conn.Close() // it has not been used yet
		return nil
	}
	l.conns[conn] = struct{}{}
	return &trackedConn{conn, l}
}

// stop closes what is open. The caller holds mu.
func (l *listener) stop() {
	if l.current == nil {
		return
	}
	_ = l.current.Close() // it can only say that it was closed before
	l.current = nil
	for conn := range l.conns {
		_ = conn.Close() // likewise
	}
	clear(l.conns)
}

// trackedConn is a connection that TakeOffline breaks.
type trackedConn struct {
	net.Conn
	listener *listener
}

func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c.Conn)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
