package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"checkout/internal/certs"
	"checkout/internal/redact"
	"checkout/internal/web"
)

// settings are what the environment and the flags over it say.
type settings struct {
	addr                                  string
	adminAddr                             string
	admin                                 []string // its parts
	serviceCA                             string
	serviceCert, serviceKey, serviceToken string
	tls                                   bool
	token                                 string
	tokenFile                             string
	cert, key                             string
	clientCA                              string
	catalogAddr                           string
	traceURL                              string
}

// flags adds the settings as flags, with the environment as their defaults.
func (s *settings) flags(flags *pflag.FlagSet, getenv func(string) string) {
	for _, f := range []struct {
		into             *string
		name, env, usage string
		otherwise        string
	}{
		{&s.addr, "addr", "CHECKOUT_CONSOLE_ADDR", "`host:port` to listen on; beyond loopback it requires a token or --client-ca", "127.0.0.1:8070"},
		{&s.adminAddr, "admin-addr", "CHECKOUT_ADMIN_ADDR", "`host:port,...` of the operators' listeners of the services", "127.0.0.1:5051"},
		{&s.serviceCA, "admin-ca", "CHECKOUT_ADMIN_CA", "PEM `file` of the CA for verifying the services; none: the system's", ""},
		{&s.serviceCert, "admin-cert", "CHECKOUT_ADMIN_CERT", "PEM `file` of the client certificate for the services", ""},
		{&s.serviceKey, "admin-key", "CHECKOUT_ADMIN_KEY", "PEM `file` of its private key", ""},
		{&s.serviceToken, "admin-token-file", "CHECKOUT_ADMIN_TOKEN_FILE", "`file` with the token for the services", ""},
		{&s.tokenFile, "token-file", "CHECKOUT_CONSOLE_TOKEN_FILE", "`file` with the token for users, instead of CHECKOUT_CONSOLE_TOKEN", ""},
		{&s.cert, "tls-cert", "CHECKOUT_CONSOLE_TLS_CERT", "PEM `file` of the console's certificate; none: plaintext", ""},
		{&s.key, "tls-key", "CHECKOUT_CONSOLE_TLS_KEY", "PEM `file` of its private key", ""},
		{&s.clientCA, "client-ca", "CHECKOUT_CONSOLE_CLIENT_CA", "PEM `file` of the CA for verifying client certificates; none: no certificate is required", ""},
		{&s.catalogAddr, "catalog-addr", "PRODUCT_CATALOG_ADDR", "`host:port` of the product catalog, for products' names; none: they are not shown", ""},
		{&s.traceURL, "trace-url", "CHECKOUT_TRACE_URL", "`URL` of a trace, with {trace} in place of its id", ""},
	} {
		flags.StringVar(f.into, f.name, cmp.Or(getenv(f.env), f.otherwise), f.usage+" ("+f.env+")")
	}
	flags.BoolVar(&s.tls, "admin-tls", getenv("CHECKOUT_TLS_CERT") != "", "use TLS for the services (CHECKOUT_TLS_CERT)")
}

// complete reads and checks what the flags name. Its error names all that is wrong.
func (s *settings) complete(getenv func(string) string) error {
	s.admin, s.token = strings.Split(s.adminAddr, ","), getenv("CHECKOUT_CONSOLE_TOKEN")
	return errors.Join(s.readToken(), s.check())
}

func (s *settings) readToken() error {
	if s.tokenFile == "" {
		return nil
	}
	var err error
	if s.token, err = certs.ReadSecret(s.tokenFile); err != nil {
		return fmt.Errorf("CHECKOUT_CONSOLE_TOKEN_FILE: %w", err)
	}
	return nil
}

func (s *settings) check() error {
	var problems []error
	address := func(name, addr, example string) {
		if host, _, err := net.SplitHostPort(addr); err != nil || host == "" && name != "CHECKOUT_CONSOLE_ADDR" {
			problems = append(problems, fmt.Errorf("%s=%q: must be host:port, such as %s", name, addr, example))
		}
	}
	address("CHECKOUT_CONSOLE_ADDR", s.addr, "127.0.0.1:8070")
	for i, addr := range s.admin {
		s.admin[i] = strings.TrimSpace(addr)
		address("CHECKOUT_ADMIN_ADDR", s.admin[i], "127.0.0.1:5051")
	}
	if s.catalogAddr != "" {
		address("PRODUCT_CATALOG_ADDR", s.catalogAddr, "product-catalog:3550")
	}
	if (s.cert == "") != (s.key == "") {
		problems = append(problems, fmt.Errorf("CHECKOUT_CONSOLE_TLS_CERT=%q, CHECKOUT_CONSOLE_TLS_KEY=%q: set both or neither", s.cert, s.key))
	}
	if s.clientCA != "" && s.cert == "" {
		problems = append(problems, fmt.Errorf("CHECKOUT_CONSOLE_CLIENT_CA=%q: requires CHECKOUT_CONSOLE_TLS_CERT", s.clientCA))
	}
	if !web.IsLoopback(s.addr) && s.token == "" && s.clientCA == "" {
		problems = append(problems, fmt.Errorf(
			"CHECKOUT_CONSOLE_ADDR=%q: is not a loopback address; set CHECKOUT_CONSOLE_TOKEN (at least 16 bytes) or CHECKOUT_CONSOLE_CLIENT_CA", s.addr))
	}
	return redact.Error(errors.Join(problems...))
}

// secure is the TLS of the console's own site; nil without a certificate.
func (s *settings) secure() (*tls.Config, error) {
	if s.cert == "" {
		return nil, nil
	}
	source, err := certs.Load(certs.Files{Cert: s.cert, Key: s.key, CA: s.clientCA}, nil)
	if err != nil {
		return nil, fmt.Errorf("CHECKOUT_CONSOLE_TLS_CERT, CHECKOUT_CONSOLE_TLS_KEY, CHECKOUT_CONSOLE_CLIENT_CA: %w", err)
	}
	config := source.Server(tls.RequireAndVerifyClientCert)
	config.NextProtos = []string{"http/1.1"}
	return config, nil
}

// listen listens on the address.
func (s *settings) listen(ctx context.Context) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("CHECKOUT_CONSOLE_ADDR=%q: %w", s.addr, err)
	}
	return listener, nil
}

// dialOptions are how the services are spoken to.
func (s *settings) dialOptions() ([]grpc.DialOption, error) {
	options := []grpc.DialOption{grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}, // a person waits
		MinConnectTimeout: time.Second,
	})}
	if s.serviceToken != "" {
		token, err := certs.ReadSecret(s.serviceToken)
		if err != nil {
			return nil, fmt.Errorf("CHECKOUT_ADMIN_TOKEN_FILE: %w", err)
		}
		options = append(options, grpc.WithPerRPCCredentials(certs.Token(token)))
	}
	if !s.tls && s.serviceCA == "" {
		return append(options, grpc.WithTransportCredentials(insecure.NewCredentials())), nil
	}
	source, err := certs.Load(certs.Files{Cert: s.serviceCert, Key: s.serviceKey, CA: s.serviceCA}, nil)
	if err != nil {
		return nil, fmt.Errorf("CHECKOUT_ADMIN_CA, CHECKOUT_ADMIN_CERT, CHECKOUT_ADMIN_KEY: %w", err)
	}
	return append(options, grpc.WithTransportCredentials(source.Credentials())), nil
}
