package store

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"
)

const (
	// maxMessage is how many bytes a message of the database has at most: a row is one.
	maxMessage = 4 << 20
	// maxAnswer is how many bytes a statement's answer has at most, each message counting as messageCost more: a page of orders
	// has 500.
	maxAnswer   = 16 << 20
	messageCost = 1 << 10
)

// messages is a connection whose other end sends messages of PostgreSQL's protocol: a byte for the type, and four for the length.
// The driver believes any length, and reads notices without an end.
type messages struct {
	net.Conn

	header [5]byte
	known  int          // bytes of the header
	left   int          // bytes of the message
	answer atomic.Int64 // bytes of the answer
}

// Write implements net.Conn.
func (m *messages) Write(p []byte) (int, error) {
	m.answer.Store(0)
	return m.Conn.Write(p)
}

// Read implements net.Conn.
func (m *messages) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	for data := p[:n]; len(data) > 0; {
		if m.left > 0 {
			passed := min(m.left, len(data))
			m.left -= passed
			data = data[passed:]
			continue
		}
		copied := copy(m.header[m.known:], data)
		data = data[copied:]
		if m.known += copied; m.known < len(m.header) {
			break
		}
		m.known = 0
		length := binary.BigEndian.Uint32(m.header[1:])
		if length < 4 || length > maxMessage {
			return 0, fmt.Errorf("the database sent a message of %d bytes, which is none of PostgreSQL's", length)
		}
		m.left = int(length) - 4
		if m.answer.Add(int64(length)+messageCost) > maxAnswer {
			return 0, fmt.Errorf("the database's answer to a statement is larger than %d bytes, of which each message counts as %d", maxAnswer, messageCost)
		}
	}
	return n, err
}
