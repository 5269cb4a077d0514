package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// mode is a way to misbehave: with a connection, or with a call.
type mode struct {
	name string
	conn func(f *front, c net.Conn)
	call func(x *exchange)
	disk disk          // of the record, while the rest goes well
	lag  time.Duration // of what is passed on
	// relayed tells that connections are passed on, and only some of what goes over them goes wrong.
	relayed bool
	// effect tells that the call does what it was asked for, so that it must be answered for.
	effect bool
	// late tells that the effect comes when the caller may have left.
	late bool
}

// both are a mode before the call has an effect, and one after it.
func both(name string, call func(x *exchange)) []mode {
	return []mode{
		{name: name + ", not done", call: call},
		{name: name + ", done", call: func(x *exchange) { x.forward(); call(x) }, effect: true},
	}
}

// done is a mode in which the service has done what it was asked for, and its answer is made wrong.
func done(name string, alter func(x *exchange, a *answer)) mode {
	return mode{name: name, effect: true, call: func(x *exchange) { alter(x, x.answer()) }}
}

// connModes misbehave below any protocol.
func connModes() []mode {
	greeting := []byte(http2.ClientPreface)
	repeat := func(f *front, c net.Conn, text []byte) {
		for err := error(nil); err == nil && f.life.Err() == nil; {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a connection has deadlines
			_, err = c.Write(text)
		}
	}
	write := func(text []byte, forever bool) func(*front, net.Conn) {
		return func(f *front, c net.Conn) {
			if forever {
				repeat(f, c, text)
			} else {
				_, _ = c.Write(text) // the other side may have left
			}
			drain(f, c)
		}
	}
	modes := []mode{
		{name: "connection closed at once", conn: func(*front, net.Conn) {}},
		{name: "connection reset", conn: func(_ *front, c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // closing it resets it
			}
		}},
		{name: "silence", conn: func(f *front, c net.Conn) { drain(f, c) }},
		{name: "closed when something is said", conn: func(_ *front, c net.Conn) {
			_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // likewise
			_, _ = c.Read(make([]byte, 1))                     // or nothing is said
		}},
		{name: "garbage", conn: write(bytes.Repeat([]byte{0xde, 0xad, 0, 0xbe}, 1<<10), false)},
		{name: "endless garbage", conn: write(bytes.Repeat([]byte{0xff, 0x00, 0x7f}, 1<<10), true)},
		{name: "zeros", conn: write(make([]byte, 4<<10), true)},
		{name: "HTTP/1 refusal", conn: write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), false)},
		{name: "endless header", conn: write([]byte("HTTP/1.1 200 OK\r\nX-Filler: "+strings.Repeat("x", 4<<10)), true)},
		{name: "TLS alert", conn: write([]byte{21, 3, 3, 0, 2, 2, 40}, false)},
		{name: "its own greeting back", conn: write(greeting, false)},
		{name: "settings, and then silence", conn: write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}, false)},
		{name: "endless settings", conn: write(bytes.Repeat([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}, 64), true)},
		{name: "goes away at once", conn: write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false)},
	}
	for name, frame := range map[string][]byte{
		"empty data":                  {0, 0, 0, 0, 0, 0, 0, 0, 1},
		"priorities":                  {0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0},
		"resets of no call":           {0, 0, 4, 3, 0, 0, 0, 0, 99, 0, 0, 0, 8},
		"new settings":                {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 99},
		"acknowledgements":            {0, 0, 0, 4, 1, 0, 0, 0, 0},
		"pings":                       {0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8},
		"farewells":                   {0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"window updates":              {0, 0, 4, 8, 0, 0, 0, 0, 99, 0, 0, 0, 1},
		"continuations":               {0, 0, 0, 9, 0, 0, 0, 0, 1},
		"frames of an unknown type":   {0, 0, 0, 0x77, 0, 0, 0, 0, 0},
		"early hints":                 {0, 0, 5, 1, 4, 0, 0, 0, 1, 0x08, 3, '1', '0', '3'},
		"frames of 16 KiB, no call's": append([]byte{0, 0x40, 0, 0, 0, 0, 0, 0, 99}, make([]byte, 16<<10)...),
	} {
		modes = append(modes, mode{name: "endless " + name, conn: func(f *front, c net.Conn) {
			var reading sync.WaitGroup
			reading.Go(func() { drain(f, c) })
			_, _ = c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // the other side may have left
			repeat(f, c, bytes.Repeat(frame, max(1, 1024/len(frame))))
			_ = c.Close() // it was misused
			reading.Wait()
		}})
	}
	return modes
}

// drain reads until the other side leaves.
func drain(f *front, c net.Conn) {
	buffer := make([]byte, 4<<10)
	for f.life.Err() == nil && !f.healed.Load() {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second)) // a connection has deadlines
		if _, err := c.Read(buffer); err != nil {
			return
		}
	}
}

// timeModes take their time, over gRPC and HTTP alike.
func timeModes() []mode {
	modes := both("hangs", (*exchange).hang)
	modes = append(modes, both("is cut", (*exchange).cut)...)
	modes = append(modes, both("connection breaks", (*exchange).breakOff)...)
	return append(modes,
		mode{name: "is slow", effect: true, call: func(x *exchange) {
			hold(x, 400*time.Millisecond)
			x.write(x.answer())
		}},
		mode{name: "comes when the caller has left", effect: true, late: true, call: func(x *exchange) {
			x.untilLeft()
			x.forward()
			x.cut()
		}},
		done("is cut in the middle of the answer", func(x *exchange, a *answer) {
			half(x, a)
			x.cut()
		}),
		done("hangs in the middle of the answer", func(x *exchange, a *answer) {
			half(x, a)
			x.hang()
		}),
		done("answers byte by byte", func(x *exchange, a *answer) {
			begin(x, a)
			for i := range a.body {
				_, _ = x.Write(a.body[i : i+1]) // the caller may have left
				x.flush()
				if !hold(x, 100*time.Millisecond) {
					return
				}
			}
		}),
	)
}

// begin writes the header of an answer.
func begin(x *exchange, a *answer) {
	for name, values := range a.header {
		if name != "Trailer" {
			x.Header()[name] = values
		}
	}
	x.WriteHeader(a.status)
}

// half writes the first half of an answer.
func half(x *exchange, a *answer) {
	begin(x, a)
	_, _ = x.Write(a.body[:len(a.body)/2]) // the caller may have left
	x.flush()
}

func hold(x *exchange, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-x.Context().Done():
	case <-x.front.life.Done():
	}
	return false
}

// grpcModes misbehave in gRPC.
func grpcModes() []mode {
	var modes []mode
	for code := 1; code <= 16; code++ {
		modes = append(modes, mode{name: fmt.Sprintf("code %d, not done", code), call: func(x *exchange) { trailersOnly(x, strconv.Itoa(code), "no") }})
	}
	for _, code := range []int{1, 2, 4, 8, 13, 14} {
		modes = append(modes, mode{name: fmt.Sprintf("code %d, done", code), effect: true, call: func(x *exchange) { x.forward(); trailersOnly(x, strconv.Itoa(code), "no") }})
	}
	for _, code := range []string{"17", "-1", "", "ok", "99999999999999999999"} {
		modes = append(modes, both(fmt.Sprintf("code %q", code), func(x *exchange) { trailersOnly(x, code, "no") })...)
	}
	for _, code := range []int{301, 400, 401, 404, 429, 500, 502, 503, 504} {
		modes = append(modes, mode{name: fmt.Sprintf("HTTP %d, a page", code), call: func(x *exchange) { page(x, code) }})
	}
	modes = append(modes, both("a page instead of an answer", func(x *exchange) { page(x, http.StatusOK) })...)
	// altered is the right answer, with its body and its trailers made wrong.
	altered := func(name string, alter func(x *exchange, body []byte)) mode {
		return done(name, func(x *exchange, a *answer) {
			x.Header().Set("Content-Type", "application/grpc")
			alter(x, a.body)
		})
	}
	over := func(x *exchange, code string) { x.Header().Set(http.TrailerPrefix+"Grpc-Status", code) }
	send := func(x *exchange, parts ...[]byte) {
		for _, p := range parts {
			_, _ = x.Write(p) // the caller may have left
		}
	}
	return append(modes,
		altered("no status at the end", func(x *exchange, body []byte) { send(x, body) }),
		altered("no message", func(x *exchange, _ []byte) { trailersOnly(x, "0", "") }),
		altered("an answer and a failure", func(x *exchange, body []byte) { send(x, body); over(x, "13") }),
		altered("two answers", func(x *exchange, body []byte) { send(x, body, body); over(x, "0") }),
		altered("message is no protobuf", func(x *exchange, _ []byte) { send(x, frame(bytes.Repeat([]byte{0xff}, 64))); over(x, "0") }),
		altered("message is cut", func(x *exchange, body []byte) { send(x, body[:len(body)/2]); over(x, "0") }),
		altered("message has unknown fields of 1 MiB", func(x *exchange, body []byte) {
			more := append([]byte{0xfa, 0x3f, 0x80, 0x80, 0x40}, make([]byte, 1<<20)...) // field 1023, 2^20 bytes
			send(x, frame(append(bytes.Clone(body[min(5, len(body)):]), more...)))
			over(x, "0")
		}),
		altered("message of 64 MiB", func(x *exchange, _ []byte) { x.endless(frame(make([]byte, 64<<20))); over(x, "0") }),
		altered("message that never ends", func(x *exchange, _ []byte) {
			send(x, []byte{0, 0xff, 0xff, 0xff, 0xff})
			x.endless(make([]byte, 64<<10))
		}),
		altered("message says it is compressed", func(x *exchange, body []byte) { send(x, append([]byte{1}, body[min(1, len(body)):]...)); over(x, "0") }),
		altered("unknown compression", func(x *exchange, body []byte) {
			x.Header().Set("Grpc-Encoding", "zip")
			send(x, append([]byte{1}, body[min(1, len(body)):]...))
			over(x, "0")
		}),
		altered("trailing bytes", func(x *exchange, body []byte) { send(x, body, []byte{0, 0}); over(x, "0") }),
		altered("metadata of 64 KiB", func(x *exchange, body []byte) {
			x.Header().Set("X-Filler", strings.Repeat("x", 64<<10))
			send(x, body)
			over(x, "0")
		}),
		altered("trailers of 64 KiB", func(x *exchange, body []byte) {
			x.Header().Set(http.TrailerPrefix+"X-Filler", strings.Repeat("x", 64<<10))
			send(x, body)
			over(x, "0")
		}),
		altered("goes away after the answer", func(x *exchange, body []byte) {
			x.Header().Set("Connection", "close")
			send(x, body)
			over(x, "0")
		}),
		mode{name: "code 13 with a text of 8 KiB", call: func(x *exchange) { trailersOnly(x, "13", strings.Repeat("x", 8<<10)) }},
		mode{name: "code 2 with line breaks and markup", call: func(x *exchange) { trailersOnly(x, "2", "%0a%0d<script>%00%ff") }},
		mode{name: "code 14, again in a year", call: func(x *exchange) {
			x.Header().Set("Grpc-Retry-Pushback-Ms", "31536000000")
			trailersOnly(x, "14", "no")
		}},
	)
}

// trailersOnly answers with a status and no message.
func trailersOnly(x *exchange, code, text string) {
	x.Header().Set("Content-Type", "application/grpc")
	x.Header().Set("Grpc-Status", code)
	if text != "" {
		x.Header().Set("Grpc-Message", text)
	}
	x.WriteHeader(http.StatusOK)
}

func page(x *exchange, code int) {
	x.Header().Set("Content-Type", "text/html")
	x.Header().Set("Location", "http://127.0.0.1:1/")
	x.WriteHeader(code)
	_, _ = io.WriteString(x, "<html><body>something went wrong</body></html>") // the caller may have left
}

func frame(message []byte) []byte {
	framed := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message))) //nolint:gosec // below 2³²
	return append(framed, message...)
}

// httpModes misbehave in HTTP.
func httpModes() []mode {
	var modes []mode
	for _, code := range []int{
		300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 421, 422, 425, 429, 431, 451,
		500, 501, 502, 503, 504, 507, 508, 511, 599, 999,
	} {
		modes = append(modes, mode{name: fmt.Sprintf("status %d, not done", code), call: func(x *exchange) { refuse(x, code) }})
	}
	for _, code := range []int{302, 408, 500, 501, 502, 504, 508, 599} { // the others say that nothing was done
		modes = append(modes, mode{name: fmt.Sprintf("status %d, done", code), effect: true, call: func(x *exchange) { x.forward(); refuse(x, code) }})
	}
	for _, code := range []int{200, 201, 202, 203, 204, 205, 206, 226, 299} {
		modes = append(modes, done(fmt.Sprintf("status %d with the right answer", code), func(x *exchange, a *answer) { a.status = code; x.write(a) }))
	}
	for name, body := range map[string]string{
		"nothing": "", "an empty object": "{}", "null": "null", "an array": "[]", "a number": "7", "a text": `"T-1"`, "no JSON": "yes, of course",
		"a page": "<html></html>", "a BOM": "\ufeff{}", "bytes that are no UTF-8": "{\"tracking_id\":\"\xff\xfe\"}", "an error inside": `{"error":"no"}`,
		"10,000 brackets": strings.Repeat("[", 10_000), "a text that does not end": `{"tracking_id":"T`, "zeros": strings.Repeat("\x00", 64),
	} {
		modes = append(modes, done("200 with "+name, func(x *exchange, _ *answer) { text(x, body) }))
	}
	return append(modes,
		done("200 with the answer twice", func(x *exchange, a *answer) { text(x, string(a.body)+string(a.body)) }),
		done("200 with half of the answer", func(x *exchange, a *answer) { text(x, string(a.body[:len(a.body)/2])) }),
		done("200 with something after the answer", func(x *exchange, a *answer) { text(x, string(a.body)+"</html>") }),
		done("200 with 1 MiB of blanks before the answer", func(x *exchange, a *answer) { text(x, strings.Repeat(" ", 1<<20)+string(a.body)) }),
		done("200 that is said to be HTML", func(x *exchange, a *answer) { a.header.Set("Content-Type", "text/html"); x.write(a) }),
		done("200 that is said to be compressed", func(x *exchange, a *answer) { a.header.Set("Content-Encoding", "gzip"); x.write(a) }),
		done("200 that is said to be longer", func(x *exchange, a *answer) {
			x.Header().Set("Content-Length", "100000")
			x.WriteHeader(a.status)
			_, _ = x.Write(a.body) // the caller may have left
		}),
		done("200 with 64 MiB", func(x *exchange, _ *answer) { x.endless(bytes.Repeat([]byte("x"), 64<<10)) }),
		done("200 with a header of 1 MiB", func(x *exchange, a *answer) { x.Header().Set("X-Filler", strings.Repeat("x", 1<<20)); x.write(a) }),
		done("200 with 1,000 headers", func(x *exchange, a *answer) {
			for i := range 1000 {
				x.Header().Set("X-"+strconv.Itoa(i), "x")
			}
			x.write(a)
		}),
		done("1,000 answers before the answer", func(x *exchange, a *answer) {
			for range 1000 {
				x.WriteHeader(http.StatusEarlyHints)
			}
			x.write(a)
		}),
		mode{name: "redirect to itself", call: func(x *exchange) {
			x.Header().Set("Location", x.URL.Path)
			x.WriteHeader(http.StatusTemporaryRedirect)
		}},
		mode{name: "429, again in a year", call: func(x *exchange) {
			x.Header().Set("Retry-After", "31536000")
			x.WriteHeader(http.StatusTooManyRequests)
		}},
	)
}

func refuse(x *exchange, code int) {
	x.Header().Set("Location", "http://127.0.0.1:1/")
	x.WriteHeader(code)
	if code != http.StatusNotModified {
		_, _ = io.WriteString(x, "no") // the caller may have left
	}
}

func text(x *exchange, body string) {
	x.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(x, body) // likewise
}
