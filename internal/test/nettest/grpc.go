package nettest

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// ServeGRPC runs a gRPC server on the loopback interface until the test ends, and returns its address, 127.0.0.1:port.
func ServeGRPC(t testing.TB, register func(*grpc.Server), options ...grpc.ServerOption) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ServeGRPCOn(t, listener, register, options...)
	return listener.Addr().String()
}

// ServeGRPCOn is ServeGRPC with a listener.
func ServeGRPCOn(t testing.TB, listener net.Listener, register func(*grpc.Server), options ...grpc.ServerOption) {
	t.Helper()
	server := grpc.NewServer(append(options, grpc.WaitForHandlers(true))...)
	register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// DialGRPC connects to a gRPC server until the test ends, in plaintext unless an option says otherwise.
func DialGRPC(t testing.TB, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	return conn
}
