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

// The exporters read OTEL_EXPORTER_OTLP_… by themselves, and ignore what is invalid: they go on with the system's certificates,
// or to localhost. Their messages name neither variable nor file, but quote secret headers. So the settings are checked
// before, with one warning each.

// checkExporters warns of invalid settings. It reports whether the exporters' own messages are to be dropped.
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
			warn(errors.New("the certificate's key is not set"), key, "path", file)
		case keyFile != "":
			warn(errors.New("the key's certificate is not set"), keyOfKey, "path", keyFile)
		}
		if key, value := e.ofExporter(signal, "HEADERS"); value != "" {
			_, err := parseHeaders(value)
			warn(err, key)
			known = true // they are parsed here
		}
		if key, value := e.ofExporter(signal, "TIMEOUT"); value != "" {
			_, err := strconv.Atoi(value)
			warn(err, key)
		}
	}
	return known || len(seen) > 0
}

// ofExporter is the variable for a signal's exporter, the signal's own or else that of all signals, and its value.
func (e env) ofExporter(signal, what string) (key, value string) {
	own, all := "OTEL_EXPORTER_OTLP_"+signal+"_"+what, "OTEL_EXPORTER_OTLP_"+what
	if value := e.get(own); value != "" {
		return own, value
	}
	return all, e.get(all)
}

// checkEndpoint checks an endpoint. Its error does not quote it, as it may contain a password.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil { // err quotes it
		return errors.New("not a URL")
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" {
			return errors.New("the URL has no host")
		}
	case "unix": // a socket, for gRPC
	default:
		return errors.New("not a URL with http:// or https://")
	}
	return nil
}

func checkAuthorities(file string) error {
	pem, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = errors.New("no certificate in the file")
	}
	return err
}

// headers are those of a signal's exporter. They are parsed here because the exporters differ: one drops all headers for a comma
// at the end.
func (e env) headers(signal string) map[string]string {
	_, list := e.ofExporter(signal, "HEADERS")
	headers, _ := parseHeaders(list)
	return headers
}

// parseHeaders parses headers in the format of W3C Baggage, as OTLP specifies. Its error says what is ignored, and quotes no
// value, as it may be a secret.
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
			err = errors.New("a header without =")
		case name == "" || strings.ContainsFunc(name, notOfToken):
			err = errors.New("a header with an invalid name")
		case wrong != nil:
			err = fmt.Errorf("the value of the header %s is not percent-encoded", name)
		default:
			headers[name] = value
		}
	}
	return headers, err
}

// notOfToken reports whether r cannot be in a token (RFC 9110, §5.6.2).
func notOfToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// hush silences OpenTelemetry, until handleErrors.
func hush() {
	otel.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
}
