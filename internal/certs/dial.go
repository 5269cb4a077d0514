package certs

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
)

// Credentials are for gRPC clients: each connection uses the files as they are at that moment.
func (s *Source) Credentials() credentials.TransportCredentials {
	return transport{credentials.NewTLS(s.Client("")), s}
}

type transport struct {
	credentials.TransportCredentials

	source *Source
}

// ClientHandshake implements credentials.TransportCredentials.
func (t transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(t.source.Client("")).ClientHandshake(ctx, authority, conn) // the name is the authority's
}

// Clone implements credentials.TransportCredentials.
func (t transport) Clone() credentials.TransportCredentials { return t }

// Dial connects to address, host:port, and completes the handshake. protocols are those of ALPN.
func (s *Source) Dial(ctx context.Context, dialer *net.Dialer, network, address string, protocols ...string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := s.Client(host)
	config.NextProtos = protocols
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, address)
}
