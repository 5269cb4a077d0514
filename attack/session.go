package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"checkout/internal/test/rawgrpc"
	"checkout/internal/wait"
)

// Whether an attacker reads what the server sends.
const (
	reading = true
	deaf    = false
)

// victim is the service as one attacker sees it.
type victim struct {
	addr      string
	number    int // the attacker's
	perSecond int // frames it may send
	frames    *atomic.Int64
}

// raw connects and sends bytes, so many every 100 ms; then it waits.
func (v *victim) raw(ctx context.Context, text []byte, atOnce int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", v.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		buffer := make([]byte, 4<<10)
		for err := error(nil); err == nil; {
			_, err = conn.Read(buffer)
		}
	}()
	defer func() { _ = conn.Close(); <-broken }()
	for len(text) > 0 {
		n := min(atOnce, len(text))
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // a connection has deadlines
		if _, err := conn.Write(text[:n]); err != nil {
			return err
		}
		v.frames.Add(1)
		text = text[n:]
		if !wait.For(ctx, 100*time.Millisecond) {
			return nil
		}
	}
	select {
	case <-broken:
	case <-ctx.Done():
	}
	return nil
}

// session is an attacker's connection in HTTP/2.
type session struct {
	*rawgrpc.Conn

	mu      sync.Mutex    // held while something is written
	window  atomic.Int64  // what may be sent over the connection
	initial atomic.Int64  // what may be sent of a new request
	broken  chan struct{} // closed when nothing more can be read
}

// speak connects, and takes a step as often as the attacker may send something, until that fails or the connection breaks.
// Without a step it only listens.
func (v *victim) speak(ctx context.Context, listens bool, step func(c *session, n int) error, settings ...http2.Setting) error {
	conn, err := rawgrpc.Dial(ctx, v.addr, settings...)
	if err != nil {
		return err
	}
	c := &session{Conn: conn, broken: make(chan struct{})}
	const standard = 65_535 // RFC 9113, 6.9.2
	c.window.Store(standard)
	c.initial.Store(standard)
	if listens {
		go c.listen()
	} else if tcp, ok := conn.Conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10) // what is not read is the server's to keep
		close(c.broken)
	}
	defer func() { _ = conn.Close(); <-c.broken }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := c.flush(); err != nil {
		return err
	}
	return v.steps(ctx, c, listens, step)
}

func (v *victim) steps(ctx context.Context, c *session, listens bool, step func(c *session, n int) error) error {
	broken := c.broken
	if !listens {
		broken = nil
	}
	share := max(1, v.perSecond/int(time.Second/tick))
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ; {
		select {
		case <-ticker.C:
		case <-broken:
			return nil
		case <-ctx.Done():
			return nil
		}
		for range share {
			if step == nil || ctx.Err() != nil {
				break
			}
			_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a connection has deadlines
			c.mu.Lock()
			err := step(c, n)
			c.mu.Unlock()
			if err != nil {
				return err
			}
			v.frames.Add(1)
			n++
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
}

func (c *session) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Flush()
}

// listen reads what the server sends, and agrees to what it must agree to.
func (c *session) listen() {
	defer close(c.broken)
	c.SetReuseFrames()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
			if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
				c.initial.Store(int64(size))
			}
			c.mu.Lock()
			_ = c.WriteSettingsAck() // reading tells when it is broken
			_ = c.Flush()            // likewise
			c.mu.Unlock()
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				c.window.Add(int64(f.Increment))
			}
		default:
		}
	}
}

// headers writes a header block, in as many frames as it takes.
func (c *session) headers(id uint32, block []byte, last bool) error {
	const most = 16 << 10 // of a frame
	parts := (len(block) + most - 1) / most
	if parts <= 1 {
		return c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: last})
	}
	for part := range parts {
		if err := c.part(id, block, part, parts); err != nil {
			return err
		}
	}
	return nil
}

// part writes one of the frames of a header block.
func (c *session) part(id uint32, block []byte, part, parts int) error {
	size := (len(block) + parts - 1) / parts
	fragment := block[min(part*size, len(block)):min((part+1)*size, len(block))]
	if part == 0 {
		return c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fragment, EndHeaders: parts == 1})
	}
	return c.WriteContinuation(id, part == parts-1, fragment)
}

// data writes as much of a request's data as the server takes of a new request, as soon as the connection may carry it. The
// caller holds mu, which is let go of meanwhile.
func (c *session) data(ctx context.Context, id uint32, data []byte) error {
	data = data[:min(int64(len(data)), c.initial.Load())]
	for len(data) > 0 {
		n := min(int64(len(data)), 16<<10, c.window.Load())
		if n <= 0 {
			if err := c.Flush(); err != nil {
				return err
			}
			c.mu.Unlock()
			ok := wait.For(ctx, time.Millisecond)
			c.mu.Lock()
			if !ok {
				return nil
			}
			continue
		}
		if err := c.WriteData(id, false, data[:n]); err != nil {
			return err
		}
		c.window.Add(-n)
		data = data[n:]
	}
	return nil
}
