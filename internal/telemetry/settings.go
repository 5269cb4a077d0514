package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// The exporters read OTEL_EXPORTER_OTLP_… by themselves, each once for itself, and go on without what they cannot use: with
// the system's certificates, to localhost. What they say of that names neither variable nor file, and a header's secret
// value in full. So the settings are looked at before, and said once what is wrong with them.

// checkExporters warns of what the exporters cannot use. It tells whether they need not say so, too: that is known.
func (e env) checkExporters() (known bool) {
	seen := make(map[string]bool)
	warn := func(err error, variable string, more ...any) {
		if err != nil && !seen[variable] {
			seen[variable] = true
			e.log.Warn("setting of an exporter is unusable", append(more, "variable", variable, "error", err)...)
		}
	}
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		switch strings.ToLower(e.get("OTEL_" + signal + "_EXPORTER")) {
		case console, none:
			continue
		}
		if key, value := e.ofExporter(signal, "ENDPOINT"); value != "" {
			warn(checkEndpoint(value), key)
		}
		if key, file := e.ofExporter(signal, "CERTIFICATE"); file != "" {
			warn(checkAuthorities(file), key, "path", file)
		}
		key, file := e.ofExporter(signal, "CLIENT_CERTIFICATE")
		keyOfKey, keyFile := e.ofExporter(signal, "CLIENT_KEY")
		switch {
		case file != "" && keyFile != "":
			_, err := tls.LoadX509KeyPair(file, keyFile)
			warn(err, key, "path", file)
		case file != "":
			warn(errors.New("there is no key to the certificate"), key, "path", file)
		case keyFile != "":
			warn(errors.New("there is no certificate to the key"), keyOfKey, "path", keyFile)
		}
		if key, value := e.ofExporter(signal, "HEADERS"); value != "" {
			_, err := parseHeaders(value)
			warn(err, key)
			known = true // they are read here
		}
		if key, value := e.ofExporter(signal, "TIMEOUT"); value != "" {
			_, err := strconv.Atoi(value)
			warn(err, key)
		}
	}
	return known || len(seen) > 0
}

// ofExporter is the variable that sets something of a signal's exporter, the signal's own or else that of all, and its
// value.
func (e env) ofExporter(signal, what string) (key, value string) {
	own, all := "OTEL_EXPORTER_OTLP_"+signal+"_"+what, "OTEL_EXPORTER_OTLP_"+what
	if value := e.get(own); value != "" {
		return own, value
	}
	return all, e.get(all)
}

// checkEndpoint checks an endpoint, without repeating it: there may be a password in it.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil { // which quotes what it cannot read
		return errors.New("it is not a URL")
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" {
			return errors.New("it has no host")
		}
	case "unix": // gRPC's, on the same machine
	default:
		return errors.New("it does not begin with http:// or https://")
	}
	return nil
}

func checkAuthorities(file string) error {
	pem, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = errors.New("there is no certificate in it")
	}
	return err
}

// headers are those of a signal's exporter. They are read here, because the exporters read them differently: for a comma at the
// end one of them drops them all.
func (e env) headers(signal string) map[string]string {
	_, list := e.ofExporter(signal, "HEADERS")
	headers, _ := parseHeaders(list)
	return headers
}

// parseHeaders reads headers as W3C Baggage writes them, which the OTLP specification borrows. Its error says what was left
// out, and repeats no value: it may be a secret.
func parseHeaders(list string) (headers map[string]string, err error) {
	headers = make(map[string]string)
	for header := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(header) == "" {
			continue
		}
		name, value, ok := strings.Cut(header, "=")
		name = strings.TrimSpace(name)
		value, wrong := url.PathUnescape(strings.TrimSpace(value))
		switch {
		case !ok:
			err = errors.New("a header has no =")
		case name == "" || strings.ContainsFunc(name, notOfToken):
			err = errors.New("a header has a name that cannot be")
		case wrong != nil:
			err = fmt.Errorf("the value of the header %s is not percent-encoded", name)
		default:
			headers[name] = value
		}
	}
	return headers, err
}

// notOfToken tells whether r stands in no token (RFC 9110, §5.6.2).
func notOfToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// hush silences OpenTelemetry, until handleErrors.
func hush() {
	otel.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
}
