package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/rawgrpc"
	"checkout/internal/wait"
)

const (
	// none is the attack that honest customers are compared with.
	none = "none"
	// streams is how many requests an attacker begins over a connection, whatever the server allows.
	streams = 128
	// tick is how often an attacker sends something.
	tick = 10 * time.Millisecond
)

// attack is a way to harm the service.
type attack struct {
	name string
	// run attacks over one connection until that breaks or ctx ends.
	run func(ctx context.Context, v *victim) error
}

// attacks are all of them.
func attacks() []attack {
	place := oteldemo.CheckoutService_PlaceOrder_FullMethodName
	whole := func(v *victim, n int) []byte {
		message, _ := proto.Marshal(demo.Order("attacker-"+strconv.Itoa(v.number)+"-"+strconv.Itoa(n), "USD")) // text and numbers can always be written
		return rawgrpc.Frame(message)
	}
	return []attack{
		{none, func(ctx context.Context, _ *victim) error { <-ctx.Done(); return nil }},
		// Connections that ask for nothing.
		{"half-open connections", func(ctx context.Context, v *victim) error { return v.raw(ctx, nil, 0) }},
		{"idle connections", func(ctx context.Context, v *victim) error { return v.speak(ctx, reading, nil) }},
		{"connections come and go", func(ctx context.Context, v *victim) error {
			short, cancel := context.WithTimeout(ctx, tick)
			defer cancel()
			return v.speak(short, reading, nil)
		}},
		{"preface byte by byte", func(ctx context.Context, v *victim) error { return v.raw(ctx, []byte(http2.ClientPreface), 1) }},
		{"frame byte by byte", func(ctx context.Context, v *victim) error { return v.raw(ctx, requestBytes(v.addr), 1) }},
		{"garbage", func(ctx context.Context, v *victim) error {
			return v.raw(ctx, bytes.Repeat([]byte{0xff, 0, 'x'}, 1<<16), 1<<16)
		}},
		{"HTTP/1", func(ctx context.Context, v *victim) error {
			return v.raw(ctx, []byte(strings.Repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1000)), 1<<16)
		}},
		// Requests that are begun and not finished.
		{"headers only", holding(place, nil)},
		{"partial messages", holding(place, unfinished(60<<10, 60<<10+100))},
		{"huge messages", holding(place, unfinished(60<<10, 1<<30))},
		{"message byte by byte", func(ctx context.Context, v *victim) error {
			block, message := rawgrpc.Block(v.addr, place), whole(v, 0)
			return v.speak(ctx, reading, func(c *session, n int) error {
				if n < streams {
					return c.headers(stream(n), block, false)
				}
				if n%streams == 0 && !wait.For(ctx, 100*time.Millisecond) {
					return nil
				}
				at := n/streams - 1
				return c.WriteData(stream(n%streams), false, message[min(at, len(message)-2):min(at+1, len(message)-1)])
			})
		}},
		{"health watches", holding("/grpc.health.v1.Health/Watch", rawgrpc.Frame(nil))},
		{"order watches", holding(checkoutv1.OrderService_WatchOrders_FullMethodName, rawgrpc.Frame(nil))},
		// Requests that are taken back, or whose answers are not read.
		{"rapid reset", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, place)
			return v.speak(ctx, reading, func(c *session, n int) error {
				return errors.Join(
					c.headers(stream(n), block, false),
					c.WriteRSTStream(stream(n), http2.ErrCodeCancel))
			})
		}},
		{"rapid reset of orders", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, place)
			return v.speak(ctx, reading, func(c *session, n int) error {
				return errors.Join(
					c.headers(stream(n), block, false),
					c.WriteData(stream(n), true, whole(v, n)),
					c.WriteRSTStream(stream(n), http2.ErrCodeCancel))
			})
		}},
		{"abandoned orders", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, place)
			return v.speak(ctx, reading, func(c *session, n int) error {
				err := errors.Join(
					c.headers(stream(n), block, false),
					c.WriteData(stream(n), true, whole(v, n)))
				if n%16 == 15 {
					err = errors.Join(err, c.Flush(), io.EOF) // and it comes again
				}
				return err
			})
		}},
		{"answers without a window", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, "/grpc.health.v1.Health/Check")
			return v.speak(ctx, reading, func(c *session, n int) error {
				if n >= streams {
					return nil
				}
				return errors.Join(
					c.headers(stream(n), block, false),
					c.WriteData(stream(n), true, rawgrpc.Frame(nil)))
			}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		}},
		{"answers that are not read", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, "/no.such.Service/Method")
			return v.speak(ctx, deaf, func(c *session, n int) error {
				return c.headers(stream(n), block, true)
			})
		}},
		{"broken requests", func(ctx context.Context, v *victim) error { // each is answered with RST_STREAM
			return v.speak(ctx, deaf, func(c *session, n int) error {
				return c.headers(stream(n), rawgrpc.Block("", ""), true)
			})
		}},
		// Frames of control.
		{"pings", func(ctx context.Context, v *victim) error {
			return v.speak(ctx, reading, func(c *session, _ int) error { return c.WritePing(false, [8]byte{1}) })
		}},
		{"pings that are not read", func(ctx context.Context, v *victim) error {
			return v.speak(ctx, deaf, func(c *session, _ int) error { return c.WritePing(false, [8]byte{1}) })
		}},
		{"settings", func(ctx context.Context, v *victim) error {
			return v.speak(ctx, reading, func(c *session, n int) error {
				return c.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(n%2) << 31}) //nolint:gosec // 0 or 1
			})
		}},
		{"settings that are not read", func(ctx context.Context, v *victim) error {
			return v.speak(ctx, deaf, func(c *session, _ int) error { return c.WriteSettings() })
		}},
		{"window updates", func(ctx context.Context, v *victim) error {
			return v.speak(ctx, reading, func(c *session, n int) error {
				if n < 1<<10 {
					return c.WriteWindowUpdate(0, 1)
				}
				return c.WriteWindowUpdate(0, 1<<31-1) // more than there may be
			})
		}},
		{"empty frames", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, place)
			return v.speak(ctx, reading, func(c *session, n int) error {
				if n == 0 {
					return c.headers(1, block, false)
				}
				return c.WriteData(1, false, nil)
			})
		}},
		{"priorities and unknown frames", func(ctx context.Context, v *victim) error {
			return v.speak(ctx, reading, func(c *session, n int) error {
				return errors.Join(
					c.WritePriority(stream(n), http2.PriorityParam{StreamDep: stream(n + 1), Weight: 255}),
					c.WriteRawFrame(http2.FrameType(0x42), 0, stream(n), make([]byte, 512)))
			})
		}},
		// Headers.
		{"huge metadata", holding(place, nil, rawgrpc.Field{Name: "x-filler", Value: strings.Repeat("x", 15<<10)})},
		{"more metadata than is allowed", func(ctx context.Context, v *victim) error {
			block := rawgrpc.Block(v.addr, place, rawgrpc.Field{Name: "x-filler", Value: strings.Repeat("x", 1<<20)})
			return v.speak(ctx, reading, func(c *session, n int) error { return c.part(stream(n/80), block, n%80, 80) })
		}},
		{"headers that never end", func(ctx context.Context, v *victim) error { // CONTINUATION flood
			filler := fields(bytes.Repeat([]byte{'x'}, 12<<10))
			return v.speak(ctx, reading, func(c *session, n int) error {
				if n == 0 {
					return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: rawgrpc.Block(v.addr, place)})
				}
				return c.WriteContinuation(1, false, filler)
			})
		}},
		{"header bomb", func(ctx context.Context, v *victim) error { // one byte stands for 4 KiB (HPACK)
			big := fields(bytes.Repeat([]byte{'x'}, 4000))
			big[0] = 0x40 // to be remembered
			block := append(append(rawgrpc.Block(v.addr, place)[1:], big...), bytes.Repeat([]byte{0x80 | 62}, 8<<10)...)
			return v.speak(ctx, reading, func(c *session, n int) error {
				return c.headers(stream(n), block, false)
			})
		}},
		// Whole requests, as many as possible.
		{"empty orders", func(ctx context.Context, v *victim) error {
			block, frame := rawgrpc.Block(v.addr, place), rawgrpc.Frame(nil)
			return v.speak(ctx, reading, func(c *session, n int) error {
				return errors.Join(
					c.headers(stream(n), block, false),
					c.WriteData(stream(n), true, frame))
			})
		}},
		{"health checks", func(ctx context.Context, v *victim) error {
			block, frame := rawgrpc.Block(v.addr, "/grpc.health.v1.Health/Check"), rawgrpc.Frame(nil)
			return v.speak(ctx, reading, func(c *session, n int) error {
				return errors.Join(
					c.headers(stream(n), block, false),
					c.WriteData(stream(n), true, frame))
			})
		}},
	}
}

// stream is the id of the n-th request of a connection.
func stream(n int) uint32 { return uint32(2*n+1) & (1<<31 - 1) } //nolint:gosec // cut on purpose

// fields is a header field of a name and a value that are not remembered, in HPACK.
func fields(value []byte) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	_ = encoder.WriteField(hpack.HeaderField{Name: "x-filler", Value: string(value), Sensitive: true}) // a buffer takes everything
	return block.Bytes()
}

// unfinished is the beginning of a message that says that it is longer.
func unfinished(sent, said int) []byte {
	framed := make([]byte, 5+sent)
	binary.BigEndian.PutUint32(framed[1:], uint32(said)) //nolint:gosec // below 2³²
	return framed
}

// requestBytes is a connection with one request, to be sent in pieces.
func requestBytes(addr string) []byte {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&b, nil)
	_ = errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{ // a buffer takes everything
		StreamID: 1, BlockFragment: rawgrpc.Block(addr, oteldemo.CheckoutService_PlaceOrder_FullMethodName), EndHeaders: true,
	}))
	return b.Bytes()
}

// holding begins requests of a method, with the same data each, and does not finish them: as many as an attacker may, and
// then one more now and then, for those that the server has ended.
func holding(method string, data []byte, more ...rawgrpc.Field) func(ctx context.Context, v *victim) error {
	return func(ctx context.Context, v *victim) error {
		block := rawgrpc.Block(v.addr, method, more...)
		return v.speak(ctx, reading, func(c *session, n int) error {
			if n >= streams && !wait.For(ctx, 2*tick) {
				return nil
			}
			if err := c.headers(stream(n), block, false); err != nil {
				return err
			}
			return c.data(ctx, stream(n), data)
		})
	}
}
