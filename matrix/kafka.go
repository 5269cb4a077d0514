package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The keys of the requests that a producer makes of a broker.
const (
	produceKey  = 0
	metadataKey = 3
	versionsKey = 18
)

// kafka is what is done with the requests of one kind, and with their answers.
type kafka struct {
	key int16
	// instead answers a request that the broker never sees; nil: the broker answers it.
	instead func(req kmsg.Request) kmsg.Response
	// alter changes an answer.
	alter func(resp kmsg.Response)
	// send sends an answer, with its size before it, in its own way; nil: as it is. False ends the connection.
	send func(f *front, c net.Conn, framed []byte) bool
}

// mostFrame is how large a request or an answer may be.
const mostFrame = 16 << 20

// relay makes a mode of it: a connection on which all is passed on, but for these requests.
func (k kafka) relay(name string) mode {
	return mode{name: name, relayed: true, conn: func(f *front, c net.Conn) {
		broker, err := (&net.Dialer{Timeout: time.Second}).DialContext(f.life, "tcp", f.to)
		if err != nil {
			return
		}
		l := &link{kafka: k, front: f, client: c, broker: broker, asked: make(map[int32]kmsg.Request)}
		var both sync.WaitGroup
		for _, way := range []func() error{l.requests, l.answers} {
			both.Go(func() {
				_ = way()          // it ends when either side does
				_ = c.Close()      // likewise
				_ = broker.Close() // likewise
			})
		}
		both.Wait()
	}}
}

// link is a connection with the broker.
type link struct {
	kafka
	front          *front
	client, broker net.Conn

	mu    sync.Mutex
	asked map[int32]kmsg.Request // by correlation id
}

// requests passes on what the client asks.
func (l *link) requests() error {
	for {
		framed, err := readFrame(l.client)
		if err != nil {
			return err
		}
		req, id, err := readRequest(framed[4:])
		if err != nil {
			return err
		}
		if req.Key() == l.key && l.instead != nil {
			resp := l.instead(req)
			resp.SetVersion(req.GetVersion())
			if !l.answer(appendAnswer(resp, id)) {
				return io.EOF
			}
			continue
		}
		l.mu.Lock()
		l.asked[id] = req
		l.mu.Unlock()
		if _, err := l.broker.Write(framed); err != nil {
			return err
		}
	}
}

// answers passes on what the broker answers. Its address becomes the front's, so that all goes through it.
func (l *link) answers() error {
	host, port, err := net.SplitHostPort(l.front.addr)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return err
	}
	for {
		framed, err := readFrame(l.broker)
		if err != nil {
			return err
		}
		id := int32(binary.BigEndian.Uint32(framed[4:])) //nolint:gosec // the same bits
		l.mu.Lock()
		req := l.asked[id]
		delete(l.asked, id)
		l.mu.Unlock()
		if req == nil {
			return fmt.Errorf("an answer to nothing: %d", id)
		}
		resp, err := readAnswer(req, framed[8:])
		if err != nil {
			return err
		}
		if m, ok := resp.(*kmsg.MetadataResponse); ok {
			for i := range m.Brokers {
				m.Brokers[i].Host, m.Brokers[i].Port = host, int32(number)
			}
		}
		mine := req.Key() == l.key
		if mine && l.alter != nil {
			l.alter(resp)
		}
		framed = appendAnswer(resp, id)
		if mine && !l.answer(framed) {
			return io.EOF
		}
		if !mine {
			if _, err := l.client.Write(framed); err != nil {
				return err
			}
		}
	}
}

func (l *link) answer(framed []byte) bool {
	l.front.hits.Add(1)
	if l.send != nil {
		return l.send(l.front, l.client, framed)
	}
	_, err := l.client.Write(framed)
	return err == nil
}

// readFrame reads a request or an answer with its size.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > mostFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	framed := make([]byte, 4+n)
	copy(framed, size[:])
	_, err := io.ReadFull(r, framed[4:])
	return framed, err
}

// readRequest reads a request and its correlation id.
func readRequest(text []byte) (kmsg.Request, int32, error) {
	if len(text) < 10 {
		return nil, 0, io.ErrUnexpectedEOF
	}
	key, version := int16(binary.BigEndian.Uint16(text)), int16(binary.BigEndian.Uint16(text[2:])) //nolint:gosec // the same bits
	id, name := int32(binary.BigEndian.Uint32(text[4:])), int16(binary.BigEndian.Uint16(text[8:])) //nolint:gosec // likewise
	req := kmsg.RequestForKey(key)
	if req == nil {
		return nil, 0, fmt.Errorf("a request with the unknown key %d", key)
	}
	req.SetVersion(version)
	body := 10 + max(int(name), 0)
	if req.IsFlexible() {
		body++ // no tags
	}
	if len(text) < body {
		return nil, 0, io.ErrUnexpectedEOF
	}
	return req, id, req.ReadFrom(text[body:])
}

// readAnswer reads the answer to a request, from behind the correlation id.
func readAnswer(req kmsg.Request, text []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if tagged(resp) {
		text = text[min(1, len(text)):] // no tags
	}
	return resp, resp.ReadFrom(text)
}

// appendAnswer is an answer as it is sent.
func appendAnswer(resp kmsg.Response, id int32) []byte {
	framed := binary.BigEndian.AppendUint32(make([]byte, 4, 256), uint32(id)) //nolint:gosec // the same bits
	if tagged(resp) {
		framed = append(framed, 0)
	}
	framed = resp.AppendTo(framed)
	binary.BigEndian.PutUint32(framed, uint32(len(framed)-4)) //nolint:gosec // it is small
	return framed
}

// tagged reports whether an answer's header may have tags: never that of ApiVersions.
func tagged(resp kmsg.Response) bool { return resp.IsFlexible() && resp.Key() != versionsKey }

// kafkaModes misbehave in Kafka's protocol.
func kafkaModes() []mode {
	var modes []mode
	for _, code := range []int16{-1, 2, 3, 5, 6, 7, 9, 10, 17, 18, 19, 20, 21, 29, 31, 35, 42, 43, 44, 45, 47, 56, 74, 76, 87, 89, 9999} {
		modes = append(modes, kafka{key: produceKey, instead: func(req kmsg.Request) kmsg.Response { return refused(req, code) }}.
			relay(fmt.Sprintf("produce code %d, not done", code)))
	}
	for _, code := range []int16{6, 7, 19, 20, 46} { // 46 says that it was done before
		modes = append(modes, kafka{key: produceKey, alter: func(resp kmsg.Response) { refuseAll(resp, code) }}.relay(fmt.Sprintf("produce code %d, done", code)))
	}
	for _, code := range []int16{3, 5, 17, 29, -1} {
		modes = append(modes, kafka{key: metadataKey, alter: func(resp kmsg.Response) {
			if m, ok := resp.(*kmsg.MetadataResponse); ok {
				for i := range m.Topics {
					m.Topics[i].ErrorCode, m.Topics[i].Partitions = code, nil
				}
			}
		}}.relay(fmt.Sprintf("topic code %d", code)))
	}
	for name, alter := range map[string]func(m *kmsg.MetadataResponse){
		"no brokers":             func(m *kmsg.MetadataResponse) { m.Brokers = nil },
		"no topics":              func(m *kmsg.MetadataResponse) { m.Topics = nil },
		"a broker of port 1":     func(m *kmsg.MetadataResponse) { m.Brokers[0].Port = 1 },
		"a broker nowhere":       func(m *kmsg.MetadataResponse) { m.Brokers[0].Host = "nowhere.invalid" },
		"partitions, no leaders": func(m *kmsg.MetadataResponse) { leaders(m, -1) },
		"an unknown leader":      func(m *kmsg.MetadataResponse) { leaders(m, 99) },
		"40,000 brokers": func(m *kmsg.MetadataResponse) {
			for i := range int32(40_000) {
				broker := m.Brokers[0]
				broker.NodeID = 100 + i
				m.Brokers = append(m.Brokers, broker)
			}
		},
		"40,000 partitions": func(m *kmsg.MetadataResponse) {
			for i := range m.Topics {
				for j := range int32(40_000) {
					p := kmsg.NewMetadataResponseTopicPartition()
					p.Partition = j
					m.Topics[i].Partitions = append(m.Topics[i].Partitions, p)
				}
			}
		},
		"30,000 topics": func(m *kmsg.MetadataResponse) {
			m.Topics = append(m.Topics, make([]kmsg.MetadataResponseTopic, 30_000)...)
		},
	} {
		modes = append(modes, kafka{key: metadataKey, alter: func(resp kmsg.Response) {
			if m, ok := resp.(*kmsg.MetadataResponse); ok && len(m.Brokers) > 0 {
				alter(m)
			}
		}}.relay("metadata: "+name))
	}
	modes = append(modes, kafka{key: versionsKey, alter: func(resp kmsg.Response) {
		if v, ok := resp.(*kmsg.ApiVersionsResponse); ok {
			v.ApiKeys = nil
		}
	}}.relay("no versions"))
	return append(modes, badFrames()...)
}

// badFrames are answers to Produce that are framed wrongly, or come late or never.
func badFrames() []mode {
	var modes []mode
	for name, send := range map[string]func(f *front, c net.Conn, framed []byte) bool{
		"never comes":               func(f *front, c net.Conn, _ []byte) bool { drain(f, c); return false },
		"never comes: it is closed": func(*front, net.Conn, []byte) bool { return false },
		"is slow": func(_ *front, c net.Conn, framed []byte) bool {
			time.Sleep(400 * time.Millisecond) //nolint:forbidigo // a slow broker does not know whether a client waits
			return sent(c, framed)
		},
		"comes twice": func(_ *front, c net.Conn, framed []byte) bool { return sent(c, framed, framed) },
		"is cut":      func(_ *front, c net.Conn, framed []byte) bool { sent(c, framed[:len(framed)/2]); return false },
		"stops half-way": func(f *front, c net.Conn, framed []byte) bool {
			sent(c, framed[:len(framed)/2])
			drain(f, c)
			return false
		},
		"is of another call": func(_ *front, c net.Conn, framed []byte) bool { framed[7]++; return sent(c, framed) },
		"is zeros":           func(_ *front, c net.Conn, framed []byte) bool { clear(framed[8:]); return sent(c, framed) },
		"is garbage": func(_ *front, c net.Conn, framed []byte) bool {
			return sent(c, framed[:8], bytes.Repeat([]byte{0xff}, len(framed)-8))
		},
		"says 2 GiB": func(f *front, c net.Conn, _ []byte) bool {
			sent(c, []byte{0x7f, 0xff, 0xff, 0xff, 0})
			drain(f, c)
			return false
		},
		"says less than 0": func(_ *front, c net.Conn, _ []byte) bool { return sent(c, []byte{0xff, 0xff, 0xff, 0xff, 0}) },
		"is 8 MiB":         func(_ *front, c net.Conn, _ []byte) bool { return sent(c, []byte{0, 0x80, 0, 0}, make([]byte, 8<<20)) },
	} {
		modes = append(modes, kafka{key: produceKey, send: send}.relay("the answer "+name+", done"))
	}
	return modes
}

func sent(c net.Conn, parts ...[]byte) bool {
	for _, p := range parts {
		if _, err := c.Write(p); err != nil {
			return false
		}
	}
	return true
}

func leaders(m *kmsg.MetadataResponse, leader int32) {
	for i := range m.Topics {
		for j := range m.Topics[i].Partitions {
			m.Topics[i].Partitions[j].Leader = leader
		}
	}
}

// refused is the answer to a Produce that was not done.
func refused(req kmsg.Request, code int16) kmsg.Response {
	resp := kmsg.NewPtrProduceResponse()
	asked, ok := req.(*kmsg.ProduceRequest)
	if !ok {
		return resp
	}
	for _, t := range asked.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode, partition.BaseOffset = p.Partition, code, -1
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// refuseAll makes a refusal of what was done.
func refuseAll(resp kmsg.Response, code int16) {
	if r, ok := resp.(*kmsg.ProduceResponse); ok {
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				r.Topics[i].Partitions[j].ErrorCode = code
			}
		}
	}
}
