package store

import (
	"encoding/binary"
	"fmt"
	"net"
)

// maxMessage is how many bytes a message of the database has at most: a row is one.
const maxMessage = 4 << 20

// messages is a connection whose other end sends messages of PostgreSQL's protocol: a byte for the type, and four for the length,
// which the driver believes whatever it is.
type messages struct {
	net.Conn

	header [5]byte
	known  int // bytes of the header
	left   int // bytes of the message
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
	}
	return n, err
}
