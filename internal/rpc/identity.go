package rpc

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"checkout/internal/certs"
)

// Callers says who may call a server. The zero value is all callers. Health checks are answered in any case: whether the
// service serves is no secret, and the probe has no identity.
type Callers struct {
	// Certificates: a verified certificate is needed. Names, unless it is empty, are those that are accepted.
	Certificates bool
	Names        []string
	// Token checks the token that is presented as metadata "authorization: Bearer TOKEN" (RFC 6750, §2.1). It returns why it
	// is not accepted, for the log. Nil: none is needed.
	Token func(presented string) error
}

// authenticated are the options of a server that only these callers may call.
func (c Callers) authenticated(log *slog.Logger) []grpc.ServerOption {
	if !c.Certificates && c.Token == nil {
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := c.authenticate(ctx, info.FullMethod, log); err != nil {
				return nil, err
			}
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := c.authenticate(stream.Context(), info.FullMethod, log); err != nil {
				return err
			}
			return handle(srv, stream)
		}),
	}
}

func (c Callers) authenticate(ctx context.Context, method string, log *slog.Logger) error {
	if strings.HasPrefix(method, "/grpc.health.v1.Health/") {
		return nil
	}
	if c.Certificates {
		switch {
		case peerNames(ctx) == nil:
			return status.Error(codes.Unauthenticated, "a client certificate is needed")
		case len(c.Names) > 0 && !Named(ctx, c.Names):
			return status.Error(codes.PermissionDenied, "the client certificate has none of the accepted names")
		}
	}
	if c.Token == nil {
		return nil
	}
	presented := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(presented) != 1 {
		return status.Error(codes.Unauthenticated, `metadata "authorization: Bearer TOKEN" is missing`)
	}
	scheme, token, _ := strings.Cut(presented[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return status.Error(codes.Unauthenticated, `metadata "authorization" must be "Bearer TOKEN"`)
	}
	if err := c.Token(token); err != nil {
		log.WarnContext(ctx, "operator's token refused", "method", method, "error", err)
		return status.Error(codes.Unauthenticated, "the token is not accepted")
	}
	return nil
}

// peerNames are the names in the caller's verified certificate; nil without one.
func peerNames(ctx context.Context) []string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	return certs.Names(info.State)
}

// Named reports whether the caller's verified certificate has one of the names.
func Named(ctx context.Context, names []string) bool {
	return slices.ContainsFunc(peerNames(ctx), func(name string) bool { return slices.Contains(names, name) })
}
