package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"checkout/internal/certs"
	"checkout/internal/frames"
	"checkout/internal/rpc"
)

// Security configures who may call the service, and TLS to other services. All files are read again when they change.
type Security struct {
	TLSCert, TLSKey string   // of both listeners; none: plaintext
	ClientCA        string   // for the callers of PlaceOrder
	ClientNames     []string // none: every name
	SyntheticNames  []string // of the callers whose baggage synthetic_request counts

	AdminClientCA    string
	AdminClientNames []string
	AdminToken       string // the file that contains it
	PublicOrders     bool   // OrderService is on the port of PlaceOrder, too

	OutgoingCA, OutgoingCert, OutgoingKey string // for the services that are called

	KafkaTLS                                 bool
	KafkaMechanism, KafkaUser, KafkaPassword string // the last is a file
	FlagdTLS                                 bool
}

func (s *Security) settings() []setting {
	*s = Security{KafkaMechanism: noSASL}
	const may = false
	return []setting{
		{"CHECKOUT_TLS_CERT", text{&s.TLSCert}, may, "PEM `file` of the server certificate; none: plaintext"},
		{"CHECKOUT_TLS_KEY", text{&s.TLSKey}, may, "PEM `file` of its private key"},
		{"CHECKOUT_TLS_CLIENT_CA", text{&s.ClientCA}, may, "PEM `file` of the CA for verifying callers' certificates; none: no certificate is required"},
		{"CHECKOUT_TLS_CLIENT_NAMES", names{&s.ClientNames}, may, "accepted callers by the DNS `names` or URIs of their certificates, comma-separated; none: all"},
		{"CHECKOUT_TLS_SYNTHETIC_NAMES", names{&s.SyntheticNames}, may, "`names` of callers, comma-separated, whose baggage synthetic_request=true is propagated, so that payment skips the charge; requires CHECKOUT_TLS_CLIENT_CA"},
		{"CHECKOUT_ADMIN_CLIENT_CA", text{&s.AdminClientCA}, may, "PEM `file` of the CA for verifying operators' certificates"},
		{"CHECKOUT_ADMIN_CLIENT_NAMES", names{&s.AdminClientNames}, may, "`names` of accepted operators, comma-separated; none: all"},
		{"CHECKOUT_ADMIN_TOKEN_FILE", text{&s.AdminToken}, may, "`file` with a token of at least 16 bytes that operators must present"},
		{"CHECKOUT_PUBLIC_ORDERS", boolean{&s.PublicOrders}, may, "serve checkout.v1.OrderService, which shows every order, on CHECKOUT_PORT as well"},
		{"CHECKOUT_OUTGOING_CA", text{&s.OutgoingCA}, may, "PEM `file` of the CA of called services; none: the system's"},
		{"CHECKOUT_OUTGOING_CERT", text{&s.OutgoingCert}, may, "PEM `file` of the client certificate for them"},
		{"CHECKOUT_OUTGOING_KEY", text{&s.OutgoingKey}, may, "PEM `file` of its private key"},
		{"KAFKA_TLS", boolean{&s.KafkaTLS}, may, "connect to the brokers over TLS"},
		{"KAFKA_SASL_MECHANISM", choice{&s.KafkaMechanism, []string{noSASL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}}, may, "SASL `mechanism` for the brokers: none, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		{"KAFKA_SASL_USERNAME", text{&s.KafkaUser}, may, "`name` to authenticate with"},
		{"KAFKA_SASL_PASSWORD_FILE", text{&s.KafkaPassword}, may, "`file` with the password"},
		{"FLAGD_TLS", boolean{&s.FlagdTLS}, may, "connect to flagd over TLS"},
	}
}

const noSASL = "none"

// check returns what does not fit together. admin is where operators are served.
func (s *Security) check(admin string) (problems []error) {
	for _, pair := range []struct{ cert, key, name string }{
		{s.TLSCert, s.TLSKey, "CHECKOUT_TLS"}, {s.OutgoingCert, s.OutgoingKey, "CHECKOUT_OUTGOING"},
	} {
		if (pair.cert == "") != (pair.key == "") {
			problems = append(problems, fmt.Errorf("%[1]s_CERT=%[2]q, %[1]s_KEY=%[3]q: set both or neither", pair.name, pair.cert, pair.key))
		}
	}
	for _, needs := range []struct {
		set         bool
		name, needs string
		missing     bool
	}{
		{s.ClientCA != "", "CHECKOUT_TLS_CLIENT_CA", "CHECKOUT_TLS_CERT", s.TLSCert == ""},
		{s.AdminClientCA != "", "CHECKOUT_ADMIN_CLIENT_CA", "CHECKOUT_TLS_CERT", s.TLSCert == ""},
		{s.ClientNames != nil, "CHECKOUT_TLS_CLIENT_NAMES", "CHECKOUT_TLS_CLIENT_CA", s.ClientCA == ""},
		{s.SyntheticNames != nil, "CHECKOUT_TLS_SYNTHETIC_NAMES", "CHECKOUT_TLS_CLIENT_CA", s.ClientCA == ""},
		{s.AdminClientNames != nil, "CHECKOUT_ADMIN_CLIENT_NAMES", "CHECKOUT_ADMIN_CLIENT_CA", s.AdminClientCA == ""},
		{s.KafkaUser != "", "KAFKA_SASL_USERNAME", "KAFKA_SASL_MECHANISM", s.KafkaMechanism == noSASL},
		{s.KafkaMechanism != noSASL, "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD_FILE", s.KafkaUser == "" || s.KafkaPassword == ""},
	} {
		if needs.set && needs.missing {
			problems = append(problems, fmt.Errorf("%s needs %s, which is not set", needs.name, needs.needs))
		}
	}
	if admin != "" && !loopback(admin) && s.AdminClientCA == "" && s.AdminToken == "" {
		problems = append(problems, fmt.Errorf("CHECKOUT_ADMIN_ADDR=%q can be reached from other machines: set CHECKOUT_ADMIN_CLIENT_CA or CHECKOUT_ADMIN_TOKEN_FILE, or use an address such as 127.0.0.1:5051", admin))
	}
	return problems
}

// loopback reports whether only this machine can reach the address.
func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// identities are the certificates of the service and what it trusts, for one purpose each.
type identities struct {
	shop, operators *certs.Source // nil: plaintext
	outgoing        *certs.Source
}

// notReloaded logs that a changed certificate cannot be used.
func notReloaded(log *slog.Logger) func(error) {
	return func(err error) { log.Error("certificate not reloaded", "error", err) }
}

// load reads the files of the settings. A changed file that cannot be used is logged.
func (s *Security) load(log *slog.Logger) (i identities, err error) {
	failed := notReloaded(log)
	source := func(variables string, f certs.Files) (source *certs.Source) {
		source, problem := certs.Load(f, failed)
		if problem != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", variables, problem))
		}
		return source
	}
	if s.TLSCert != "" {
		i.shop = source("CHECKOUT_TLS_CERT, CHECKOUT_TLS_KEY, CHECKOUT_TLS_CLIENT_CA", certs.Files{Cert: s.TLSCert, Key: s.TLSKey, CA: s.ClientCA})
		i.operators = source("CHECKOUT_TLS_CERT, CHECKOUT_TLS_KEY, CHECKOUT_ADMIN_CLIENT_CA", certs.Files{Cert: s.TLSCert, Key: s.TLSKey, CA: s.AdminClientCA})
	}
	i.outgoing = source("CHECKOUT_OUTGOING_CA, CHECKOUT_OUTGOING_CERT, CHECKOUT_OUTGOING_KEY", certs.Files{Cert: s.OutgoingCert, Key: s.OutgoingKey, CA: s.OutgoingCA})
	if s.AdminToken != "" {
		if _, problem := s.readToken(); problem != nil {
			err = errors.Join(err, fmt.Errorf("CHECKOUT_ADMIN_TOKEN_FILE: %w", problem))
		}
	}
	if s.KafkaPassword != "" {
		if _, problem := certs.ReadSecret(s.KafkaPassword); problem != nil {
			err = errors.Join(err, fmt.Errorf("KAFKA_SASL_PASSWORD_FILE: %w", problem))
		}
	}
	return i, err
}

// synthetic reports whether a caller may send the baggage synthetic_request. While callers have no identity, all may.
func (s *Security) synthetic() func(context.Context) bool {
	if s.ClientCA == "" {
		return nil
	}
	return func(ctx context.Context) bool { return rpc.Named(ctx, s.SyntheticNames) }
}

// leastToken is how many bytes a token must have: fewer could be guessed.
const leastToken = 16

// tokenCheck is how the operators' token is checked; nil when there is none. The file is read for each call, so that a new
// token counts at once.
func (s *Security) tokenCheck() func(presented string) error {
	if s.AdminToken == "" {
		return nil
	}
	return func(presented string) error {
		token, err := s.readToken()
		if err != nil {
			return err
		}
		got, want := sha256.Sum256([]byte(presented)), sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return errors.New("the token is not the one in the file")
		}
		return nil
	}
}

// readToken is the operators' token.
func (s *Security) readToken() (string, error) {
	token, err := certs.ReadSecret(s.AdminToken)
	if err == nil && len(token) < leastToken {
		return "", fmt.Errorf("the token in %q has fewer than %d bytes", s.AdminToken, leastToken)
	}
	return token, err
}

// listenerCredentials are those of a listener; nil for plaintext.
func listenerCredentials(s *certs.Source) credentials.TransportCredentials {
	if s == nil {
		return nil
	}
	return credentials.NewTLS(s.Server(tls.VerifyClientCertIfGiven)) // the call requires it where needed: the health probe has none
}

// dialing is the gRPC target of an address, and the options to connect to it: https:// in front of it means TLS.
func (i identities) dialing(address string, opts []grpc.DialOption) (string, []grpc.DialOption) {
	if target, ok := strings.CutPrefix(address, "https://"); ok {
		return target, append(opts[:len(opts):len(opts)], grpc.WithTransportCredentials(frames.Limit(i.outgoing.Credentials())))
	}
	return address, opts
}

// dialTLS connects to a service that speaks HTTP over TLS.
func (i identities) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	return i.outgoing.Dial(ctx, &net.Dialer{Timeout: dialTLSTime}, network, address, "http/1.1")
}

// dialTLSTime is how long it may take to connect over TLS.
const dialTLSTime = 2 * time.Second

// kafka are the options of a client of the brokers.
func (s *Security) kafka(i identities) (opts []kgo.Opt) {
	if s.KafkaTLS {
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			return i.outgoing.Dial(ctx, &net.Dialer{Timeout: dialTLSTime}, network, address)
		}))
	}
	shared := func() (scram.Auth, error) {
		password, err := certs.ReadSecret(s.KafkaPassword)
		return scram.Auth{User: s.KafkaUser, Pass: password}, err
	}
	switch s.KafkaMechanism {
	case "PLAIN":
		opts = append(opts, kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
			auth, err := shared()
			return plain.Auth{User: auth.User, Pass: auth.Pass}, err
		})))
	case "SCRAM-SHA-256":
		opts = append(opts, kgo.SASL(scram.Sha256(func(context.Context) (scram.Auth, error) { return shared() })))
	case "SCRAM-SHA-512":
		opts = append(opts, kgo.SASL(scram.Sha512(func(context.Context) (scram.Auth, error) { return shared() })))
	}
	return opts
}
