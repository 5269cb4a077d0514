package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"checkout/internal/cli"
	"checkout/internal/redact"
)

// The exit statuses of grpc_health_probe, which container definitions rely on.
const (
	probeMisuse      = 1
	probeUnreachable = 2
	probeFailed      = 3
	probeUnhealthy   = 4
)

// probe is what the flags of `checkout health` say.
type probe struct {
	addr    string
	secure  bool
	service string
	timeout time.Duration
}

func (p process) healthCommand() *cobra.Command {
	var h probe
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Check the health of a server",
		Long: `Check the health of a server by the gRPC health protocol.

The executable is also this command under the name grpc_health_probe, with the same exit status: 0 SERVING, 1 the command
line is wrong, 2 the server is unreachable, 3 the call failed, 4 the server is not SERVING.`,
		Example: `  checkout health --addr :5050`,
		Args:    probeArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, status, err := h.check(cmd.Context())
			if err != nil {
				return &cli.Error{Status: status, Err: err}
			}
			_, _ = fmt.Fprintf(p.stdout, "status: %s\n", answer)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&h.addr, "addr", ":"+port(p.getenv), "`host:port` of the server (CHECKOUT_PORT)")
	flags.BoolVar(&h.secure, "tls", p.getenv("CHECKOUT_TLS_CERT") != "", "use TLS, without verifying the certificate (CHECKOUT_TLS_CERT)")
	flags.StringVar(&h.service, "service", "", "`name` of the service to check; none: the whole server")
	flags.DurationVar(&h.timeout, "timeout", time.Second, "`time` to wait for the answer")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &cli.Error{Status: probeMisuse, Err: cli.FlagError(cmd, err)}
	})
	return cmd
}

func probeArgs(cmd *cobra.Command, args []string) error {
	if err := cli.Args()(cmd, args); err != nil {
		return &cli.Error{Status: probeMisuse, Err: err}
	}
	return nil
}

// check returns the server's health, or an error and the exit status for it.
func (h *probe) check(ctx context.Context) (answer grpc_health_v1.HealthCheckResponse_ServingStatus, exit int, err error) {
	creds := insecure.NewCredentials()
	if h.secure { // health is no secret, and no secret is sent
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
	}
	conn, err := dial(h.addr, creds)
	if err != nil {
		return 0, probeMisuse, fmt.Errorf("--addr=%q: %w", redact.URL(h.addr), err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: h.service})
	switch {
	case status.Code(err) == codes.Unavailable:
		return 0, probeUnreachable, fmt.Errorf("%s is unreachable: %s", h.addr, status.Convert(err).Message())
	case err != nil:
		return 0, probeFailed, fmt.Errorf("%s: %s: %s", h.addr, status.Code(err), status.Convert(err).Message())
	case resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return 0, probeUnhealthy, fmt.Errorf("%s is %s", h.addr, resp.GetStatus())
	}
	return resp.GetStatus(), cli.OK, nil
}
