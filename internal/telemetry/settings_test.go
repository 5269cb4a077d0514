package telemetry

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/test/nettest"
)

// An invalid setting is logged once, with the variable and without secrets, and the service starts.
func TestASettingThatAnExporterCannotUseIsAWarningOnly(t *testing.T) {
	const all, noPEM = "OTEL_EXPORTER_OTLP_", "settings.go"
	for name, test := range map[string]struct {
		set                     []string
		variable, path, problem string
	}{
		"a certificate that is not there": {[]string{all + "CERTIFICATE", "/nowhere/ca.pem"}, all + "CERTIFICATE", "/nowhere/ca.pem", "no such file"},
		"a certificate that is none":      {[]string{all + "CERTIFICATE", noPEM}, all + "CERTIFICATE", noPEM, "no certificate in the file"},
		"of one signal":                   {[]string{all + "LOGS_CERTIFICATE", "/nowhere/ca.pem"}, all + "LOGS_CERTIFICATE", "/nowhere/ca.pem", "no such file"},
		"a client's certificate":          {[]string{all + "CLIENT_CERTIFICATE", noPEM, all + "CLIENT_KEY", noPEM}, all + "CLIENT_CERTIFICATE", noPEM, "failed to find any PEM data"},
		"a client's without its key":      {[]string{all + "CLIENT_CERTIFICATE", noPEM}, all + "CLIENT_CERTIFICATE", noPEM, "key is not set"},
		"a key alone":                     {[]string{all + "CLIENT_KEY", noPEM}, all + "CLIENT_KEY", noPEM, "certificate is not set"},
		"an endpoint without a scheme":    {[]string{all + "ENDPOINT", "collector:4317"}, all + "ENDPOINT", "", "http://"},
		"an endpoint of nobody":           {[]string{all + "ENDPOINT", "http:///v1"}, all + "ENDPOINT", "", "no host"},
		"an endpoint that is no URL":      {[]string{all + "TRACES_ENDPOINT", "http://me:secret@collector:port"}, all + "TRACES_ENDPOINT", "", "not a URL"},
		"a password with a slash":         {[]string{all + "ENDPOINT", "http://me:secret/1@collector:4317"}, all + "ENDPOINT", "", "not a URL"},
		"an endpoint that is an address":  {[]string{all + "ENDPOINT", "127.0.0.1:4317"}, all + "ENDPOINT", "", "not a URL"},
		"a header without a value":        {[]string{all + "HEADERS", "a=1,secret"}, all + "HEADERS", "", "without ="},
		"a header's name":                 {[]string{all + "HEADERS", "a b=secret"}, all + "HEADERS", "", "name"},
		"a header's value":                {[]string{all + "HEADERS", "key=secret%zz"}, all + "HEADERS", "", "of the header key"},
		"a time":                          {[]string{all + "METRICS_TIMEOUT", "5s"}, all + "METRICS_TIMEOUT", "", "invalid syntax"},
	} {
		for _, protocol := range []string{"grpc", "http/protobuf"} {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				stdout := new(syncBuffer)
				tel := startWith(t, stdout, append(test.set, all+"PROTOCOL", protocol)...)
				tel.Logger().InfoContext(t.Context(), "a line")
				lines := stdout.lines(t)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_ = tel.Shutdown(ctx) // what is left has nowhere to go
				var told []string
				for _, line := range lines {
					told = append(told, fmt.Sprint(line["msg"]))
				}
				if diff := cmp.Diff([]string{"setting of an exporter is unusable", "a line"}, told); diff != "" {
					t.Fatalf("the log (-want +got):\n%s\n%s", diff, stdout)
				}
				warning := lines[0]
				path, _ := warning["path"].(string)
				if warning["variable"] != test.variable || path != test.path || !strings.Contains(fmt.Sprint(warning["exception.message"]), test.problem) {
					t.Errorf("the warning is %v, want it to name %s %s: %s", warning, test.variable, test.path, test.problem)
				}
				if strings.Contains(stdout.String(), "secret") {
					t.Errorf("a secret is told:\n%s", stdout)
				}
			})
		}
	}
}

func TestSettingsThatExportersCanUseAreNoWarning(t *testing.T) {
	stdout := new(syncBuffer)
	tel := startWith(t, stdout, "OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317", "OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1",
		"OTEL_EXPORTER_OTLP_TIMEOUT", "500", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://collector:4317")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = tel.Shutdown(ctx) // nobody is there
	for _, line := range stdout.lines(t) {
		if line["variable"] != nil {
			t.Errorf("a warning: %v", line)
		}
	}
	stdout = new(syncBuffer)
	tel = startWith(t, stdout, "OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem", "OTEL_TRACES_EXPORTER", "none", "OTEL_METRICS_EXPORTER", "none", "OTEL_LOGS_EXPORTER", "none")
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); got != "" {
		t.Errorf("nothing is exported, and yet there is a warning: %s", got)
	}
}

func TestAnEndpointWithAPasswordIsNotQuoted(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf", "http://me:secret@collector"} {
		stdout := new(syncBuffer)
		tel := startWith(t, stdout, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@"+nettest.Reserve(t), "OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "LOG_LEVEL", "debug")
		tel.Logger().InfoContext(t.Context(), "a line")
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_ = tel.Shutdown(ctx) // nobody is there
		cancel()
		if strings.Contains(stdout.String(), "secret") {
			t.Errorf("over %s the password is logged:\n%s", protocol, stdout)
		}
	}
}
