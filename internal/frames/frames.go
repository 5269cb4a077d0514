// Package frames limits the HTTP/2 frames that a called service may send beside its answers. Each takes CPU and memory, even if it
// is empty or belongs to no call, and gRPC reads them without an end.
package frames

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"checkout/internal/wait"
)

const (
	// unasked is how many frames a service may send before it is called, perCall how many more with each call: an answer of
	// 64 KiB has 6, if it is not sent in morsels. No more than most are kept for later, and perSecond is for pings.
	unasked   = 1000
	perCall   = 200
	most      = 10_000
	perSecond = 10
	// pause is how long a service that sent too many is not connected to, and gap the time between two connections to any: gRPC
	// repeats a call at once that the service has not taken, and without an end.
	pause = time.Second
	gap   = 50 * time.Millisecond
)

// Limit returns credentials for one service whose connections are closed when it sends too many frames. For a second it is not
// connected to again. Calls then fail with an error that says so.
func Limit(next credentials.TransportCredentials) credentials.TransportCredentials {
	return limited{next, new(atomic.Int64)}
}

type limited struct {
	credentials.TransportCredentials
	until *atomic.Int64 // the end of the pause or gap, in Unix nanoseconds
}

// rest lets no connection be made for d.
func (l limited) rest(d time.Duration) { l.until.Store(time.Now().Add(d).UnixNano()) }

// ClientHandshake implements credentials.TransportCredentials.
func (l limited) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	rest := time.Until(time.Unix(0, l.until.Load()))
	if rest > gap {
		return nil, nil, fmt.Errorf("%w: the next connection is made after %v", errTooMany, pause)
	}
	if !wait.For(ctx, rest) {
		return nil, nil, ctx.Err()
	}
	secured, info, err := l.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	l.rest(gap)
	return newConn(secured, func() { l.rest(pause) }), info, nil
}

// Clone implements credentials.TransportCredentials.
func (l limited) Clone() credentials.TransportCredentials {
	return limited{l.TransportCredentials.Clone(), l.until}
}

// errTooMany is why a connection was closed.
var errTooMany = fmt.Errorf("the service sent %d HTTP/2 frames more than its answers need", unasked)

// conn is the client's end of a connection.
type conn struct {
	net.Conn
	flooded func()
	in, out parser

	mu     sync.Mutex
	left   float64   // frames that may be received
	filled time.Time // when left was
}

func newConn(raw net.Conn, flooded func()) *conn {
	return &conn{
		Conn: raw, flooded: flooded, left: unasked, filled: time.Now(),
		out: parser{left: len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
	}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	all, _ := c.in.count(p[:n])
	if c.add(-all) < 0 {
		c.flooded()
		return 0, errTooMany
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	_, headers := c.out.count(p)
	c.add(headers * perCall)
	return c.Conn.Write(p)
}

// add changes how many frames may be received, and returns it.
func (c *conn) add(frames int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.left = min(c.left+now.Sub(c.filled).Seconds()*perSecond+float64(frames), most)
	c.filled = now
	return c.left
}

// parser finds the frames in what is sent one way (RFC 9113, §4.1).
type parser struct {
	header [9]byte
	known  int // bytes of the header
	left   int // bytes before the next header
}

// count returns how many frames begin in data, and how many of them begin a header block, as a call does.
func (p *parser) count(data []byte) (all, headers int) {
	for len(data) > 0 {
		if passed := min(p.left, len(data)); passed > 0 {
			p.left -= passed
			data = data[passed:]
			continue
		}
		copied := copy(p.header[p.known:], data)
		data = data[copied:]
		if p.known += copied; p.known < len(p.header) {
			break
		}
		p.known = 0
		p.left = int(p.header[0])<<16 | int(p.header[1])<<8 | int(p.header[2])
		all++
		if p.header[3] == 1 { // HEADERS
			headers++
		}
	}
	return all, headers
}
