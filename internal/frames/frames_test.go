package frames_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"checkout/internal/frames"
	"checkout/internal/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects to a service over connections in memory.
func dial(t *testing.T, connect func(context.Context) (net.Conn, error)) grpc_health_v1.HealthClient {
	t.Helper()
	return grpc_health_v1.NewHealthClient(nettest.DialGRPC(t, "passthrough:///service", grpc.WithTransportCredentials(frames.Limit(insecure.NewCredentials())),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return connect(ctx) })))
}

// floods are frames that a client has to read, and that bring it nothing.
func floods() map[string]func(*http2.Framer) error {
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "103"}) // a buffer takes everything
	return map[string]func(*http2.Framer) error{
		"settings": func(f *http2.Framer) error { return f.WriteSettings() },
		"settings of streams": func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		},
		"acknowledgements":    func(f *http2.Framer) error { return f.WriteSettingsAck() },
		"pings":               func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) },
		"answers to no ping":  func(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) },
		"window updates":      func(f *http2.Framer) error { return f.WriteWindowUpdate(99, 1) },
		"window updates of 0": func(f *http2.Framer) error { return f.WriteWindowUpdate(99, 0) },
		"priorities":          func(f *http2.Framer) error { return f.WritePriority(1, http2.PriorityParam{}) },
		"unknown frames":      func(f *http2.Framer) error { return f.WriteRawFrame(0x77, 0, 1, nil) },
		"resets":              func(f *http2.Framer) error { return f.WriteRSTStream(99, http2.ErrCodeCancel) },
		"farewells":           func(f *http2.Framer) error { return f.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil) },
		"empty data":          func(f *http2.Framer) error { return f.WriteData(1, false, nil) },
		"data for no call":    func(f *http2.Framer) error { return f.WriteData(99, false, nil) },
		"early hints": func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		},
	}
}

// flood serves a connection: it sends frames, with an end that is far away, and returns how many were read.
func flood(conn net.Conn, send func(*http2.Framer) error) (sent int) {
	defer func() { _ = conn.Close() }()
	framer := http2.NewFramer(conn, nil)
	framer.AllowIllegalWrites = true
	_, _ = io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	defer func() { _ = conn.Close() }()
	if err := framer.WriteSettings(); err != nil {
		return 0
	}
	for sent < 100_000 && send(framer) == nil {
		sent++
	}
	return sent
}

func TestAServiceThatSendsFramesWithoutAnEndIsLeft(t *testing.T) {
	t.Parallel()
	for name, send := range floods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var serving sync.WaitGroup
				defer serving.Wait()
				client := dial(t, func(context.Context) (net.Conn, error) {
					here, there := net.Pipe()
					serving.Go(func() {
						if sent := flood(there, send); sent > 2000 {
							t.Errorf("%d frames were read", sent)
						}
					})
					return here, nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := client.Check(ctx, nil)
				if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "HTTP/2 frames more than its answers need") {
					t.Errorf("the call ends with %v, want why the connection was closed", err)
				}
			})
		})
	}
}

func TestAServiceThatFloodsIsConnectedToOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var serving sync.WaitGroup
		defer serving.Wait()
		var floods atomic.Int32
		client := dial(t, func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			serving.Go(func() {
				if flood(there, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }) > 0 {
					floods.Add(1)
				}
			})
			return here, nil
		})
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
			if _, err := client.Check(t.Context(), nil); !strings.Contains(err.Error(), "HTTP/2 frames more than its answers need") {
				t.Fatalf("the call ends with %v", err)
			}
		}
		if n := floods.Load(); n < 5 || n > 20 {
			t.Errorf("it was connected to %d times in 20 s", n)
		}
	})
}

func TestAServiceThatTakesNoCallIsConnectedToSomeTimesASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var serving sync.WaitGroup
		defer serving.Wait()
		var connections atomic.Int32
		client := dial(t, func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			connections.Add(1)
			serving.Go(func() {
				flood(there, func(f *http2.Framer) error {
					time.Sleep(time.Millisecond) // the connection is used by then
					_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
					return io.EOF
				})
			})
			return here, nil
		})
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
			if _, err := client.Check(t.Context(), nil); err == nil {
				t.Fatal("nobody answers, and the call succeeds")
			}
		}
		if n := connections.Load(); n > 10*20+5 {
			t.Errorf("%d connections in 10 s, want at most 20 a second", n)
		}
	})
}

// A connection to a service that answers lasts, whatever the number of its calls and of its pings.
func TestAServiceThatAnswersIsNotLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(64 << 10)
		nettest.ServeGRPCOn(t, listener, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) })
		var dials atomic.Int32
		client := dial(t, func(ctx context.Context) (net.Conn, error) {
			dials.Add(1)
			return listener.DialContext(ctx)
		})
		for range 5000 {
			if _, err := client.Check(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}
