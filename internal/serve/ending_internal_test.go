package serve

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// ask asks a server over a new connection whether it serves.
func ask(t *testing.T, l *bufconn.Listener) (grpc_health_v1.HealthCheckResponse_ServingStatus, codes.Code) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	return resp.GetStatus(), status.Code(err)
}

// After the signal load balancers read NOT_SERVING at once, and until they act on it nobody is turned away.
func TestConnectionsAreAcceptedUntilTheDelayIsOver(t *testing.T) {
	for name, test := range map[string]struct {
		hurry time.Duration // a second signal; 0: none
		want  time.Duration
	}{
		"by itself":        {0, 2 * time.Second},
		"by second signal": {time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := bufconn.Listen(1 << 16)
				s := &servers{health: health.NewServer(), draining: func() {}}
				g := grpc.NewServer()
				grpc_health_v1.RegisterHealthServer(g, s.health)
				s.all = []server{{"the shop", g, l}}
				s.serve()
				if is, code := ask(t, l); is != grpc_health_v1.HealthCheckResponse_SERVING {
					t.Fatalf("before the signal it is %v, %v", is, code)
				}
				hurry := make(chan struct{})
				if test.hurry > 0 {
					time.AfterFunc(test.hurry, func() { close(hurry) })
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					s.announce(2*time.Second, hurry)
					s.drain(t.Context(), time.Second, func() {}, func(context.Context) {})
				}()
				synctest.Wait()
				for _, after := range []time.Duration{0, test.want - time.Millisecond} {
					time.Sleep(after)
					if is, code := ask(t, l); is != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
						t.Errorf("%v after the signal it is %v, %v; want NOT_SERVING", after, is, code)
					}
				}
				time.Sleep(2 * time.Millisecond)
				if is, code := ask(t, l); code != codes.Unavailable {
					t.Errorf("after the delay it is %v, %v; want a refused connection", is, code)
				}
				<-ended
			})
		})
	}
}

// Docker and Compose kill 10 s after the signal.
func TestTheDefaultsEndTheServiceWithinNineSeconds(t *testing.T) {
	t.Parallel()
	var c Config
	c.settings()
	if all := c.Delay + c.Drain + lastTime; all > 9*time.Second {
		t.Errorf("delay, drain and the rest together are %v", all)
	}
}
