package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/internal/certs"
	"checkout/internal/redact"
)

// remote is a server, as the flags of a command name it, and how it is spoken to.
type remote struct {
	addr      string
	secure    bool
	ca        string
	cert, key string
	tokenFile string
	timeout   time.Duration
}

// shop sets the flags of a command that speaks to the service as the shop does.
func (r *remote) shop(flags *flag.FlagSet, getenv func(string) string) {
	flags.StringVar(&r.addr, "addr", "localhost:"+port(getenv), "`host:port` of the checkout service (CHECKOUT_PORT)")
	r.common(flags, getenv)
}

// admin sets the flags of a command for operators.
func (r *remote) admin(flags *flag.FlagSet, getenv func(string) string) {
	flags.StringVar(&r.addr, "admin-addr", getenv("CHECKOUT_ADMIN_ADDR"), "`host:port` of the checkout service's listener for operators (CHECKOUT_ADMIN_ADDR)")
	flags.StringVar(&r.tokenFile, "token-file", getenv("CHECKOUT_ADMIN_TOKEN_FILE"), "`file` with the operators' token (CHECKOUT_ADMIN_TOKEN_FILE)")
	r.common(flags, getenv)
}

func (r *remote) common(flags *flag.FlagSet, getenv func(string) string) {
	flags.BoolVar(&r.secure, "tls", getenv("CHECKOUT_TLS_CERT") != "", "speak TLS (CHECKOUT_TLS_CERT)")
	flags.StringVar(&r.ca, "ca", "", "PEM `file` of the server's certificate authority; none: the system's")
	flags.StringVar(&r.cert, "cert", "", "PEM `file` of the certificate to present")
	flags.StringVar(&r.key, "key-file", "", "PEM `file` of its private key")
	flags.DurationVar(&r.timeout, "timeout", 15*time.Second, "`time` to wait for the answer")
}

// port is the service's port. A link to a service, which Kubernetes sets in the same variable, names another one.
func port(getenv func(string) string) string {
	if set := getenv("CHECKOUT_PORT"); set != "" && !strings.Contains(set, "://") {
		return set
	}
	return "5050"
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
		return nil, fmt.Errorf("-ca=%q, -cert=%q, -key-file=%q: need -tls", r.ca, r.cert, r.key)
	}
	if r.addr == "" {
		return nil, errors.New("-admin-addr is missing, and CHECKOUT_ADMIN_ADDR is not set: commands for operators have a listener of their own")
	}
	var options []grpc.DialOption
	if r.tokenFile != "" {
		token, err := certs.ReadSecret(r.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("-token-file: %w", err)
		}
		options = append(options, grpc.WithPerRPCCredentials(certs.Token(token)))
	}
	conn, err := dial(r.addr, creds, options...)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", redact.URL(r.addr), err)
	}
	return conn, nil
}

// dial makes a connection to host:port, where no host is this one.
func dial(addr string, creds credentials.TransportCredentials, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	if strings.HasPrefix(addr, ":") {
		addr = "localhost" + addr
	}
	if strings.Contains(addr, "@") { // gRPC would quote it, and the password in it
		return nil, errors.New("is not host:port")
	}
	return grpc.NewClient(addr, append(options,
		grpc.WithTransportCredentials(creds),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(), // a proxy would read the card
	)...)
}

// refused prints why a command was refused: to people in words, to programs as the google.rpc.Status.
func (p process) refused(command string, err error, asJSON bool) int {
	told := status.Convert(err)
	if asJSON {
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(told.Proto()))
		return failed
	}
	_ = p.fail(failed, "%s: %s: %s", command, told.Code(), clean(told.Message()))
	if told.Code() == codes.Unimplemented {
		_, _ = fmt.Fprintln(p.stderr, "  is this the listener for operators (CHECKOUT_ADMIN_ADDR), and not the port of PlaceOrder (CHECKOUT_PORT)?")
	}
	for _, detail := range told.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			p.reason(d)
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				_, _ = fmt.Fprintf(p.stderr, "  %s %s\n", clean(v.GetField()), clean(v.GetDescription()))
			}
		case *errdetails.RetryInfo:
			_, _ = fmt.Fprintf(p.stderr, "  try again in %v\n", d.GetRetryDelay().AsDuration())
		}
	}
	return failed
}

func (p process) reason(d *errdetails.ErrorInfo) {
	_, _ = fmt.Fprintf(p.stderr, "  reason %s", d.GetReason())
	if moved := d.GetMetadata()["money_moved"]; moved != "" {
		_, _ = fmt.Fprintf(p.stderr, ", money moved: %s", moved)
	}
	if id := d.GetMetadata()["order_id"]; id != "" {
		_, _ = fmt.Fprintf(p.stderr, ", order %s", id)
	}
	_, _ = fmt.Fprintln(p.stderr)
}
