package rawgrpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

const (
	// initialWindow is how many bytes either side may send before the other has to agree to more (RFC 9113, 6.9.2).
	initialWindow = 65_535
	// received is how much of what was received is agreed to at once.
	received = 1 << 20
	// unlimited stands for the streams that a server allows which names no number.
	unlimited = 1 << 30
	// redial is how long a broken connection stays broken at least.
	redial = 20 * time.Millisecond
)

// Answer is the outcome of a call.
type Answer struct {
	Tag     int // the call's
	Code    codes.Code
	Text    string
	Details []byte        // google.rpc.Status, if there is one
	Message []byte        // the response; valid until Done returns
	Latency time.Duration // from the time when it was due
	Sent    bool          // it has left the client
}

// Caller makes unary calls of one method over one connection, cheaply: header and message are encoded beforehand, and
// there is no goroutine a call. It behaves as gRPC's own clients do where that matters: a call over the server's number of
// streams waits here, and its deadline is counted from when it was due. A broken connection is made anew.
type Caller struct {
	// Addr is host:port.
	Addr string
	// Header is the calls' header block. It should have a grpc-timeout of Deadline.
	Header []byte
	// Body is the framed message of a call. It may return the same memory each time.
	Body func(tag int) []byte
	// Deadline is how long after its due time a call is given up.
	Deadline time.Duration
	// Done is called with the answer of every call, by one goroutine at a time, which must not call the Caller.
	Done func(Answer)

	mu         sync.Mutex
	conn       *Conn // nil while broken
	next       uint32
	streams    map[uint32]*call
	waiting    []*call // not sent yet, in order
	order      []*call // all, in order of their deadlines
	maxStreams int     // the server's number of streams
	window     int64   // what may be sent over the connection
}

type call struct {
	tag      int
	due      time.Time
	id       uint32 // 0: not sent
	over     bool
	code     codes.Code
	text     string
	details  []byte
	message  []byte
	answered bool // its code is known
}

// Run keeps the connection until ctx ends, and ends the calls that are under way then.
func (c *Caller) Run(ctx context.Context) {
	for ctx.Err() == nil {
		c.session(ctx)
		timer := time.NewTimer(redial)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.order {
		c.finish(one, codes.Canceled, "the load has ended")
	}
	c.order, c.waiting = nil, nil
}

// session makes a connection and reads from it until it breaks.
func (c *Caller) session(ctx context.Context) {
	conn, err := Dial(ctx, c.Addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: received})
	if err == nil {
		err = errors.Join(conn.WriteWindowUpdate(0, 2*received-initialWindow), conn.Flush())
	}
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c.mu.Lock()
	c.conn, c.next, c.maxStreams, c.window, c.streams = conn, 1, unlimited, initialWindow, make(map[uint32]*call)
	c.mu.Unlock()
	err = c.read(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = nil
	for _, one := range c.streams {
		c.finish(one, codes.Unavailable, fmt.Sprintf("the connection broke: %v", err))
	}
	_ = conn.Close() // it is broken
}

// Call begins a call that is due now or was due before. It is sent with the next Tick.
func (c *Caller) Call(tag int, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &call{tag: tag, due: due}
	c.waiting, c.order = append(c.waiting, one), append(c.order, one)
}

// Tick ends calls whose time is over and sends those that may be sent. The load generator calls it every millisecond
// or so.
func (c *Caller) Tick(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := now.Add(-c.Deadline)
	for len(c.order) > 0 && (c.order[0].over || c.order[0].due.Before(late)) {
		one := c.order[0]
		c.order[0], c.order = nil, c.order[1:]
		if one.over {
			continue
		}
		if one.id != 0 && c.conn != nil {
			_ = c.conn.WriteRSTStream(one.id, http2.ErrCodeCancel) // reading tells when it is broken
		}
		c.finish(one, codes.DeadlineExceeded, "no answer in time")
	}
	for len(c.waiting) > 0 && c.waiting[0].over {
		c.waiting[0], c.waiting = nil, c.waiting[1:]
	}
	for c.conn != nil && len(c.waiting) > 0 && len(c.streams) < c.maxStreams && c.window >= initialWindow/4 {
		one := c.waiting[0]
		c.waiting[0], c.waiting = nil, c.waiting[1:]
		if one.over {
			continue
		}
		one.id = c.next
		c.next += 2
		c.streams[one.id] = one
		body := c.Body(one.tag)
		c.window -= int64(len(body))
		_ = errors.Join( // likewise
			c.conn.WriteHeaders(http2.HeadersFrameParam{StreamID: one.id, BlockFragment: c.Header, EndHeaders: true}),
			c.conn.WriteData(one.id, true, body),
		)
	}
	if c.conn != nil {
		_ = c.conn.Flush() // likewise
	}
}

// read reads frames until the connection breaks.
func (c *Caller) read(conn *Conn) error {
	conn.SetReuseFrames()
	var fields []hpack.HeaderField
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) { fields = append(fields, f) })
	taken := 0
	for {
		frame, err := conn.ReadFrame()
		if err != nil {
			return err
		}
		c.mu.Lock()
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			fields = fields[:0]
			if _, err = decoder.Write(f.HeaderBlockFragment()); err == nil && !f.HeadersEnded() {
				err = errors.New("a header list in several frames")
			}
			c.header(f.StreamID, fields, f.StreamEnded())
		case *http2.DataFrame:
			taken += int(f.Length)
			if one := c.streams[f.StreamID]; one != nil {
				one.message = append(one.message, f.Data()...)
			}
			if taken > received/2 {
				err = errors.Join(conn.WriteWindowUpdate(0, uint32(taken)), conn.Flush()) //nolint:gosec // at most received
				taken = 0
			}
		default:
			err = c.control(conn, frame)
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// control obeys a frame that is not of a call's answer. The caller holds mu.
func (c *Caller) control(conn *Conn, frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if n, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
			c.maxStreams = int(n)
		}
		return errors.Join(conn.WriteSettingsAck(), conn.Flush())
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return errors.Join(conn.WritePing(true, f.Data), conn.Flush())
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		}
	case *http2.RSTStreamFrame:
		if one := c.streams[f.StreamID]; one != nil {
			code := codes.Internal
			if f.ErrCode == http2.ErrCodeRefusedStream {
				code = codes.Unavailable
			}
			c.finish(one, code, "the stream was reset: "+f.ErrCode.String())
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %v %q", f.ErrCode, f.DebugData())
	}
	return nil
}

// header takes the fields of an answer. The caller holds mu.
func (c *Caller) header(id uint32, fields []hpack.HeaderField, last bool) {
	one := c.streams[id]
	if one == nil {
		return
	}
	for _, f := range fields {
		switch f.Name {
		case ":status":
			if f.Value != "200" {
				one.answered, one.code, one.text = true, codes.Unknown, "HTTP status "+f.Value
			}
		case "grpc-status":
			code, err := strconv.ParseUint(f.Value, 10, 32)
			if err != nil {
				code = uint64(codes.Unknown)
			}
			one.answered, one.code = true, codes.Code(code)
		case "grpc-message":
			one.text = f.Value
		case "grpc-status-details-bin":
			one.details, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(f.Value, "=")) // what cannot be read is none
		}
	}
	if !last {
		return
	}
	if !one.answered {
		one.code, one.text = codes.Internal, "an answer without a status"
	}
	c.finish(one, one.code, one.text)
}

// finish ends a call. The caller holds mu.
func (c *Caller) finish(one *call, code codes.Code, text string) {
	if one.over {
		return
	}
	one.over = true
	delete(c.streams, one.id)
	a := Answer{Tag: one.tag, Code: code, Text: text, Details: one.details, Latency: time.Since(one.due), Sent: one.id != 0}
	if code == codes.OK && len(one.message) >= 5 {
		a.Message = one.message[5:]
	}
	one.message = nil
	c.Done(a)
}
