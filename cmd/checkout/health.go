package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"checkout/internal/redact"
)

// The exit statuses of grpc_health_probe, which container definitions rely on.
const (
	probeMisuse      = 1
	probeUnreachable = 2
	probeFailed      = 3
	probeUnhealthy   = 4
)

// health asks a server whether it serves.
func (p process) health(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("checkout health", flag.ContinueOnError)
	addr := flags.String("addr", ":"+port(p.getenv), "`host:port` of the server")
	secure := flags.Bool("tls", p.getenv("CHECKOUT_TLS_CERT") != "", "ask over TLS, without a look at the certificate (CHECKOUT_TLS_CERT)")
	service := flags.String("service", "", "`name` of the service to ask for; none: the whole server")
	timeout := flags.Duration("timeout", time.Second, "`time` to wait for the answer")
	if status, done := p.parse(flags, args); done {
		return min(status, probeMisuse)
	}
	creds := insecure.NewCredentials()
	if *secure { // whether it serves is no secret, and no secret is told to it
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
	}
	conn, err := dial(*addr, creds)
	if err != nil {
		return p.fail(probeMisuse, "health: -addr=%q: %w", redact.URL(*addr), err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: *service})
	switch {
	case status.Code(err) == codes.Unavailable:
		return p.fail(probeUnreachable, "health: %s cannot be reached: %w", *addr, err)
	case err != nil:
		return p.fail(probeFailed, "health: %s: %w", *addr, err)
	case resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return p.fail(probeUnhealthy, "health: %s is %s", *addr, resp.GetStatus())
	}
	_, _ = fmt.Fprintf(p.stdout, "status: %s\n", resp.GetStatus())
	return ok
}
