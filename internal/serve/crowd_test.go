package serve_test

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// occupy opens so many connections and leaves them as begin does.
func occupy(t *testing.T, addr string, n int, begin func(net.Conn) error) {
	t.Helper()
	for range n {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := begin(conn); err != nil {
			t.Fatal(err)
		}
	}
}

// greet begins HTTP/2, and waits until the server has taken it up.
func greet(conn net.Conn) (*http2.Framer, error) {
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(); err != nil {
		return nil, err
	}
	for { // the server's settings, and that it has ours
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && s.IsAck() {
			return f, nil
		}
	}
}

// watch begins a call that stays, unless there are too many of the kind.
func watch(conn net.Conn) error {
	f, err := greet(conn)
	if err != nil {
		return err
	}
	var header strings.Builder
	encoder := hpack.NewEncoder(&header)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "checkout"},
		{Name: ":path", Value: "/grpc.health.v1.Health/Watch"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(header.String()), EndHeaders: true}); err != nil {
		return err
	}
	if err := f.WriteData(1, true, make([]byte, 5)); err != nil { // an empty message
		return err
	}
	for { // until it is answered
		frame, err := f.ReadFrame()
		if err != nil || frame.Header().StreamID == 1 {
			return err
		}
	}
}

// A liveness check that cannot connect kills a healthy service.
func TestTheProbeAndOrdersGetInHoweverManyConnectionsThereAre(t *testing.T) {
	for name, begin := range map[string]func(net.Conn) error{
		"silent":   func(net.Conn) error { return nil },
		"idle":     func(conn net.Conn) error { _, err := greet(conn); return err },
		"watching": watch,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			occupy(t, s.addr, 300, begin)
			resp, err := grpc_health_v1.NewHealthClient(dial(t, s.addr)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("the probe: %v, %v", resp, err)
			}
			if _, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1}); err != nil {
				t.Errorf("an order: %v", err)
			}
			if !strings.Contains(s.log.String(), "too many connections: one was closed to make room") {
				t.Error("nothing is logged of the connections that were closed")
			}
		})
	}
}
