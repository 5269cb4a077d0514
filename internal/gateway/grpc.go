package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"checkout/internal/frames"
	"checkout/internal/redact"
)

// dialTimeout bounds one attempt to connect over gRPC, HTTP or Kafka, so that there is time for another before the deadline.
const dialTimeout = time.Second

// retriedReads is the service config (gRFC A6) by which gRPC repeats a read that found no server, as long as most calls on
// the connection succeed. Methods that are not listed are sent once.
const retriedReads = `{
	"methodConfig": [{
		"name": [
			{"service": "oteldemo.CartService", "method": "GetCart"},
			{"service": "oteldemo.ProductCatalogService", "method": "GetProduct"},
			{"service": "oteldemo.CurrencyService", "method": "GetSupportedCurrencies"},
			{"service": "oteldemo.CurrencyService", "method": "Convert"},
			{"service": "checkout.v1.PaymentLedger", "method": "Lookup"}
		],
		"retryPolicy": {
			"maxAttempts": 3,
			"initialBackoff": "0.025s",
			"maxBackoff": "0.25s",
			"backoffMultiplier": 4,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}],
	"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
}`

// Dial makes a connection to the gRPC service at host:port, in plaintext unless opts hold credentials; opts also bring the
// telemetry, which observes a call with its retries. It connects with the first call: it fails only for an invalid target or
// option.
func Dial(target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return connect(target, maskStatus, opts...)
}

// connect is Dial with an interceptor between telemetry and transport that removes card data from what the service answers.
func connect(target string, mask grpc.UnaryClientInterceptor, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = slices.Concat(dialOptions(), opts, []grpc.DialOption{grpc.WithChainUnaryInterceptor(mask)})
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", redact.URL(target), err)
	}
	return conn, nil
}

// maskStatus is a grpc.UnaryClientInterceptor that masks card numbers and e-mail addresses in the text of an error.
func maskStatus(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := next(ctx, method, req, reply, conn, opts...)
	s := status.Convert(err)
	if text := redact.Text(s.Message()); text != s.Message() {
		return status.Error(s.Code(), text)
	}
	return err
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(frames.Limit(insecure.NewCredentials())),
		grpc.WithNoProxy(), // card data goes to the payment service directly
		grpc.WithDefaultServiceConfig(retriedReads),
		grpc.WithDisableServiceConfig(), // of DNS, which must not decide what is repeated
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: dialTimeout,
		}),
		// The timeout is also TCP_USER_TIMEOUT, which finds a dead peer first. The interval is above every call's deadline, so
		// that no server rejects the pings as too many.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxBody)),
		grpc.WithMaxHeaderListSize(16 << 10),
		// Messages are small, and so is the container. Fixed windows save the pings that probe the bandwidth.
		grpc.WithStaticStreamWindowSize(64 << 10),
		grpc.WithStaticConnWindowSize(64 << 10),
		grpc.WithWriteBufferSize(4 << 10),
		grpc.WithReadBufferSize(4 << 10),
	}
}
