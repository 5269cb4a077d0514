package rpc

import (
	"context"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// authenticated are the options of a server whose callers must present a token that check accepts, as metadata
// "authorization: Bearer TOKEN" (RFC 6750, §2.1). Health checks need none.
func authenticated(check func(token string) error, log *slog.Logger) []grpc.ServerOption {
	if check == nil {
		return nil
	}
	authenticate := func(ctx context.Context, method string) error {
		if strings.HasPrefix(method, "/grpc.health.v1.Health/") {
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
		if err := check(token); err != nil {
			log.WarnContext(ctx, "operator's token refused", "method", method, "error", err)
			return status.Error(codes.Unauthenticated, "the token is not accepted")
		}
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := authenticate(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := authenticate(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return handle(srv, stream)
		}),
	}
}
