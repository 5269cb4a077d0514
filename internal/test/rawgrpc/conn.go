// Package rawgrpc speaks gRPC frame by frame (RFC 9113), for load generators that must use little CPU and for attackers that
// violate the protocol.
package rawgrpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Conn is a client's end of an HTTP/2 connection whose frames are chosen one by one. What is written waits for Flush.
type Conn struct {
	net.Conn
	*http2.Framer

	out *bufio.Writer
}

// Dial connects to a server without TLS. It writes the client's preface and settings, but does not flush them.
func Dial(ctx context.Context, addr string, settings ...http2.Setting) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(conn, 32<<10)
	c := &Conn{Conn: conn, Framer: http2.NewFramer(out, bufio.NewReaderSize(conn, 16<<10)), out: out}
	c.AllowIllegalWrites = true
	_, err = out.WriteString(http2.ClientPreface)
	if err = errors.Join(err, c.WriteSettings(settings...)); err != nil {
		return nil, errors.Join(fmt.Errorf("greeting %s: %w", addr, err), conn.Close())
	}
	return c, nil
}

// Flush sends what was written.
func (c *Conn) Flush() error { return c.out.Flush() }

// Field is a header field.
type Field struct{ Name, Value string }

// Block is a header block of a gRPC request (RFC 7541), which leaves the connection's table of fields as it is: it may be
// sent any number of times, over any connection.
func Block(authority, method string, more ...Field) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	for _, f := range append([]Field{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", method},
		{":authority", authority},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	}, more...) {
		_ = encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f.Name), Value: f.Value}) // a buffer takes everything
	}
	return block.Bytes()
}

// Frame is a gRPC message as it is sent: not compressed, its length before it.
func Frame(message []byte) []byte {
	framed := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message))) //nolint:gosec // messages are small
	return append(framed, message...)
}
