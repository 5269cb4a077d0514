package gateway

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"checkout/internal/redact"
)

// dialTimeout is how long one attempt to connect may take, over gRPC, HTTP and Kafka alike. An attempt that fails fast
// is the difference between an answer and a deadline.
const dialTimeout = time.Second

// Dial makes a connection to a gRPC neighbour at host:port, in plaintext unless opts hold credentials; opts also bring
// the telemetry, which observes each try. It connects with the first call and never waits itself: it fails only for a target
// or an option that cannot be.
func Dial(target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return connect(target, maskStatus, opts...)
}

// connect is Dial with an interceptor between the telemetry and the wire, which keeps cards out of what the neighbour says.
func connect(target string, discreet grpc.UnaryClientInterceptor, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = slices.Concat(dialOptions(), opts, []grpc.DialOption{grpc.WithChainUnaryInterceptor(discreet)})
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", redact.URL(target), err)
	}
	return conn, nil
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // cards go straight to where they belong
		grpc.WithChainUnaryInterceptor(new(retry).call),
		grpc.WithDisableRetry(),         // other than that
		grpc.WithDisableServiceConfig(), // the one from DNS: nobody there decides what is repeated
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: dialTimeout,
		}),
		// The timeout is also TCP_USER_TIMEOUT, and that is what finds a dead peer first. Pings are rarer than any call is
		// long, so that no server takes offence at them.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1 << 20)),
		grpc.WithMaxHeaderListSize(16 << 10),
		// Calls are small, and the process has 20 MB in all. Fixed windows of the smallest size save the probing pings; the
		// write buffer is given back while a connection is quiet, which is gRPC's default.
		grpc.WithStaticStreamWindowSize(64 << 10),
		grpc.WithStaticConnWindowSize(64 << 10),
		grpc.WithWriteBufferSize(4 << 10),
		grpc.WithReadBufferSize(4 << 10),
	}
}
