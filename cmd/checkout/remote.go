package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/internal/certs"
	"checkout/internal/cli"
	"checkout/internal/redact"
)

// operators is where operators are served unless CHECKOUT_ADMIN_ADDR says otherwise; the console asks there, too.
const operators = "127.0.0.1:5051"

// remote is a server that a command calls.
type remote struct {
	addr      string
	admin     bool // the operators' listener
	secure    bool
	ca        string
	cert, key string
	tokenFile string
	timeout   time.Duration
	output    cli.Output
}

// shopFlags adds the flags of a command that calls the service as the shop does.
func (r *remote) shopFlags(cmd *cobra.Command, getenv func(string) string) {
	cmd.Flags().StringVar(&r.addr, "addr", "localhost:"+port(getenv), "`host:port` of the checkout service (CHECKOUT_PORT)")
	r.flags(cmd, getenv)
}

// adminFlags adds the flags of a command that calls the operators' listener, with more formats than text and JSON.
func (r *remote) adminFlags(cmd *cobra.Command, getenv func(string) string, more ...cli.Output) {
	r.admin = true
	cmd.Flags().StringVar(&r.addr, "admin-addr", cmp.Or(getenv("CHECKOUT_ADMIN_ADDR"), operators), "`host:port` of the operators' listener (CHECKOUT_ADMIN_ADDR)")
	cmd.Flags().StringVar(&r.tokenFile, "token-file", getenv("CHECKOUT_ADMIN_TOKEN_FILE"), "`file` with the operators' token (CHECKOUT_ADMIN_TOKEN_FILE)")
	r.flags(cmd, getenv, more...)
}

func (r *remote) flags(cmd *cobra.Command, getenv func(string) string, more ...cli.Output) {
	flags := cmd.Flags()
	flags.BoolVar(&r.secure, "tls", getenv("CHECKOUT_TLS_CERT") != "", "use TLS (CHECKOUT_TLS_CERT)")
	flags.StringVar(&r.ca, "ca", "", "PEM `file` of the CA for verifying the server; none: the system's")
	flags.StringVar(&r.cert, "cert", "", "PEM `file` of the client certificate")
	flags.StringVar(&r.key, "key-file", "", "PEM `file` of its private key")
	flags.DurationVar(&r.timeout, "timeout", 15*time.Second, "`time` to wait for the answer")
	r.output.Flag(cmd, more...)
}

// port is the service's port. A link to a service, which Kubernetes sets in the same variable, names another one.
func port(getenv func(string) string) string {
	if set := getenv("CHECKOUT_PORT"); set != "" && !strings.Contains(set, "://") {
		return set
	}
	return "5050"
}

// call connects to the server and calls it within the timeout.
func (p process) call(ctx context.Context, r *remote, do func(context.Context, *grpc.ClientConn) error) error {
	conn, err := r.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err = do(ctx, conn)
	if _, explained := errors.AsType[*cli.Error](err); explained || err == nil {
		return err
	}
	return p.refused(r, err)
}

// dial makes a connection to the server. Nothing is sent yet.
func (r *remote) dial() (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	switch {
	case r.secure:
		source, err := certs.Load(certs.Files{Cert: r.cert, Key: r.key, CA: r.ca}, nil)
		if err != nil {
			return nil, err
		}
		creds = source.Credentials()
	case r.ca != "" || r.cert != "" || r.key != "":
		return nil, fmt.Errorf("--ca=%q, --cert=%q, --key-file=%q: add --tls", r.ca, r.cert, r.key)
	}
	var options []grpc.DialOption
	if r.tokenFile != "" {
		token, err := certs.ReadSecret(r.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		options = append(options, grpc.WithPerRPCCredentials(certs.Token(token)))
	}
	conn, err := dial(r.addr, creds, options...)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", r.flag(), redact.URL(r.addr), err)
	}
	return conn, nil
}

// flag is the flag that the address comes from.
func (r *remote) flag() string {
	if r.admin {
		return "--admin-addr"
	}
	return "--addr"
}

// dial makes a connection to host:port, where no host is this one.
func dial(addr string, creds credentials.TransportCredentials, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	if strings.HasPrefix(addr, ":") {
		addr = "localhost" + addr
	}
	example := "localhost:5050"
	page, _ := url.Parse(addr)
	_, noPort := strconv.ParseUint(addr, 10, 16)
	switch {
	case noPort == nil:
		example = "localhost:" + addr
	case page != nil && page.Host != "":
		example = page.Host
	case !strings.Contains(addr, ":"), strings.Contains(addr, "@"): // gRPC would quote it, and the password in it
	default:
		return grpc.NewClient(addr, append(options,
			grpc.WithTransportCredentials(creds),
			grpc.WithDisableServiceConfig(),
			grpc.WithNoProxy(), // a proxy would read the card
		)...)
	}
	return nil, errors.New("must be host:port, such as " + example)
}

// refused explains a failed call: to people in words, to programs as the google.rpc.Status on stdout.
func (p process) refused(r *remote, err error) *cli.Error {
	answer := status.Convert(err)
	if r.output == cli.JSON {
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(answer.Proto()))
		return &cli.Error{Status: cli.Failed}
	}
	lines := []string{fmt.Sprintf("%s: %s", answer.Code(), clean(answer.Message()))}
	if hint := r.hint(answer); hint != "" {
		lines = append(lines, "  "+hint)
	}
	for _, detail := range answer.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			lines = append(lines, "  "+reason(d))
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				if !strings.Contains(answer.Message(), v.GetDescription()) {
					lines = append(lines, fmt.Sprintf("  %s %s", clean(v.GetField()), clean(v.GetDescription())))
				}
			}
		case *errdetails.RetryInfo:
			lines = append(lines, fmt.Sprintf("  try again in %v", max(d.GetRetryDelay().AsDuration().Round(time.Second), time.Second)))
		}
	}
	return &cli.Error{Status: cli.Failed, Err: errors.New(strings.Join(lines, "\n"))}
}

// hint says which address is meant when a server does not know the method, and what to check when there is none.
func (r *remote) hint(answer *status.Status) string {
	switch {
	case answer.Code() == codes.Unimplemented && r.admin:
		return fmt.Sprintf("%s is not the operators' listener, perhaps the shop's port (CHECKOUT_PORT); operators use CHECKOUT_ADMIN_ADDR or --admin-addr", r.addr)
	case answer.Code() == codes.Unimplemented:
		return fmt.Sprintf("%s is not the shop's port, perhaps the operators' listener (CHECKOUT_ADMIN_ADDR); orders are placed at CHECKOUT_PORT or --addr", r.addr)
	case answer.Code() == codes.Unavailable && strings.Contains(answer.Message(), "HTTP/1"):
		return r.addr + " speaks HTTP, not gRPC, as a web page does"
	case answer.Code() == codes.Unavailable && r.admin && len(answer.Details()) == 0:
		return "is the service running? It listens for operators if CHECKOUT_ADMIN_ADDR is set; --admin-addr or CHECKOUT_ADMIN_ADDR says where"
	case answer.Code() == codes.Unavailable && len(answer.Details()) == 0:
		return "is the service running? --addr or CHECKOUT_PORT says where it listens"
	case answer.Code() == codes.DeadlineExceeded:
		return fmt.Sprintf("no answer within %v; --timeout allows more", r.timeout)
	}
	return ""
}

// reason is what an error says beside its code.
func reason(d *errdetails.ErrorInfo) string {
	line := "reason " + d.GetReason()
	if moved := d.GetMetadata()["money_moved"]; moved != "" {
		line += ", money moved: " + moved
	}
	if id := d.GetMetadata()["order_id"]; id != "" {
		line += ", order " + id
	}
	return line
}

// require makes a command refuse to run without these flags.
func require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		cmd.Flags().Lookup(name).Usage += "; required"
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		var missing []error
		for _, name := range names {
			if f := cmd.Flags().Lookup(name); !f.Changed || f.Value.Type() == "string" && f.Value.String() == "" {
				what, _ := pflag.UnquoteUsage(f)
				missing = append(missing, fmt.Errorf("missing --%s %s", name, strings.ToUpper(what)))
			}
		}
		return errors.Join(missing...)
	}
}
