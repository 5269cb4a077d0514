package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// door is where a server of the shop is reached: a TCP listener that can be shut and opened again on the same port.
// While it is shut the port refuses connections, as it does when a process has died; the server behind it keeps what
// it knows and only notices that nobody calls.
type door struct {
	addr string
	held []net.Conn // a connection's ends: as long as it is open, the system gives the port to nobody else

	mu       sync.Mutex
	listener net.Listener  // nil while shut
	changed  chan struct{} // closed when listener or closed is about to have changed
	conns    map[net.Conn]struct{}
	closed   bool
}

// newDoor opens a door at address, "127.0.0.1:0" for any free port.
func newDoor(ctx context.Context, address string) (*door, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	held, err := hold(ctx, listener)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keeping %s: %w", listener.Addr(), err), listener.Close())
	}
	return &door{
		addr:     listener.Addr().String(),
		held:     held,
		listener: listener,
		changed:  make(chan struct{}),
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
		_ = theirs.Close() // a stranger's, and nobody serves yet
	}
}

// Address is host:port. It stays the same for the door's life.
func (d *door) Address() string { return d.addr }

// Leave shuts the door: open connections break and new ones are refused until Return.
func (d *door) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut()
}

// Return opens the door again, at the same address. It fails when the port was taken in the meantime.
func (d *door) Return() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	if d.listener != nil {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", d.addr)
	if err != nil {
		return fmt.Errorf("listening on %s again: %w", d.addr, err)
	}
	d.listener = listener
	d.tell()
	return nil
}

// Away tells whether the door is shut.
func (d *door) Away() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.listener == nil
}

// Accept implements net.Listener. It waits while the door is shut.
func (d *door) Accept() (net.Conn, error) {
	for {
		listener, err := d.open()
		if err != nil {
			return nil, err
		}
		conn, err := listener.Accept()
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return nil, fmt.Errorf("accepting on %s: %w", d.addr, err)
		}
		if err == nil {
			if guest := d.admit(listener, conn); guest != nil {
				return guest, nil
			}
		}
	}
}

// Close implements net.Listener: it shuts the door for good.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		d.shut()
		for _, conn := range d.held {
			_ = conn.Close() // likewise
		}
		d.tell()
	}
	return nil
}

// Addr implements net.Listener.
func (d *door) Addr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", d.addr)
	if err != nil { // it came from a listener, so it has the right form
		return &net.TCPAddr{}
	}
	return addr
}

// open waits until the door is open.
func (d *door) open() (net.Listener, error) {
	for {
		d.mu.Lock()
		listener, changed, closed := d.listener, d.changed, d.closed
		d.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case listener != nil:
			return listener, nil
		}
		<-changed
	}
}

// admit keeps track of a connection, so that it breaks when the door is shut. It returns nil when that has happened.
func (d *door) admit(from net.Listener, conn net.Conn) net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != from {
		_ = conn.Close() // nobody has used it yet
		return nil
	}
	d.conns[conn] = struct{}{}
	return &guest{conn, d}
}

func (d *door) shut() {
	if d.listener == nil {
		return
	}
	_ = d.listener.Close() // it can only say that it was closed before
	d.listener = nil
	for conn := range d.conns {
		_ = conn.Close() // likewise
	}
	clear(d.conns)
}

func (d *door) tell() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// guest is a connection that came through a door.
type guest struct {
	net.Conn
	door *door
}

func (g *guest) Close() error {
	g.door.mu.Lock()
	delete(g.door.conns, g.Conn)
	g.door.mu.Unlock()
	return g.Conn.Close()
}
