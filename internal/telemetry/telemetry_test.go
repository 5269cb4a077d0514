package telemetry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"

	"checkout/internal/test/nettest"
)

// startWith starts telemetry in an environment. The SDK reads that of the process, so that such tests run alone.
func startWith(t *testing.T, stdout io.Writer, variables ...string) *Telemetry {
	t.Helper()
	for i := 0; i < len(variables); i += 2 {
		t.Setenv(variables[i], variables[i+1])
	}
	return Start(t.Context(), Options{Getenv: environ(variables...), Stdout: stdout})
}

// emit makes some of each signal.
func emit(t *testing.T, tel *Telemetry) {
	t.Helper()
	ctx, span := tel.tracer.Start(t.Context(), "a span")
	tel.Logger().InfoContext(ctx, "a line")
	tel.size("a.metric").Record(ctx, 1)
	span.End()
}

// emitted is what a collector got of some of each signal, in an environment, and the telemetry that sent it.
func emitted(t *testing.T, stdout io.Writer, variables ...string) (*collector, *Telemetry) {
	t.Helper()
	c := newCollector()
	tel := startWith(t, stdout, append(variables, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+nettest.ServeGRPC(t, c.register))...)
	emit(t, tel)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, tel
}

func TestAllSignalsReachTheCollectorWithOneResource(t *testing.T) {
	grpcCollector, httpCollector := newCollector(), newCollector()
	overGRPC := nettest.ServeGRPC(t, grpcCollector.register)
	overHTTP := httptest.NewServer(httpCollector)
	t.Cleanup(overHTTP.Close)

	for name, test := range map[string]struct {
		*collector
		variables []string
	}{
		"grpc by default": {grpcCollector, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://" + overGRPC}},
		"http by name": {httpCollector, []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT", overHTTP.URL, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout := new(syncBuffer)
			tel := startWith(t, stdout, append(test.variables, "OTEL_RESOURCE_ATTRIBUTES", "service.namespace=shop,service.version=1.2.3")...)
			emit(t, tel)
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatalf("shut down: %v\n%s", err, stdout)
			}
			for signal, want := range map[string][]string{
				"traces": {"a span"}, "logs": {"a line"}, "metrics": {"a.metric", "go.goroutine.count", "go.memory.used"},
			} {
				for _, name := range want {
					if !slices.Contains(test.names[signal], name) {
						t.Errorf("%s: got %q, want %q among them", signal, test.names[signal], name)
					}
				}
			}
			got := attributesOf(test.resources["traces"])
			for _, signal := range []string{"metrics", "logs"} {
				if diff := cmp.Diff(got, attributesOf(test.resources[signal])); diff != "" {
					t.Errorf("the resource of %s differs (-traces +%s):\n%s", signal, signal, diff)
				}
			}
			for key, want := range map[string]string{"service.name": "checkout", "service.namespace": "shop", "service.version": "1.2.3"} {
				if got[key] != want {
					t.Errorf("resource: %s=%q, want %q", key, got[key], want)
				}
			}
			for _, key := range []string{"service.instance.id", "host.name", "host.arch", "os.type", "process.pid", "process.executable.name", "process.runtime.version"} {
				if got[key] == "" {
					t.Errorf("resource: no %s", key)
				}
			}
			for _, key := range []string{"process.command_args", "process.command_line", "process.owner"} {
				if v, ok := got[key]; ok {
					t.Errorf("resource: %s=%q, and it must not be there", key, v)
				}
			}
		})
	}
}

func TestAWrongResourceAttributeIsNamedWithItsVariableAndTheOthersAreUsed(t *testing.T) {
	stdout := new(syncBuffer)
	c, _ := emitted(t, stdout, "OTEL_RESOURCE_ATTRIBUTES", "no value,a=100%,service.namespace=shop,")
	if got := attributesOf(c.resources["traces"])["service.namespace"]; got != "shop" {
		t.Errorf("service.namespace=%q, want shop", got)
	}
	for _, wrong := range []string{"no value", "a=100%"} {
		if want := `"msg":"setting ignored: unknown value","variable":"OTEL_RESOURCE_ATTRIBUTES","value":"` + wrong + `"`; strings.Count(stdout.String(), want) != 1 {
			t.Errorf("the log is\n%s\nwant once %s", stdout, want)
		}
	}
	if strings.Count(stdout.String(), `"level":"WARN"`) != 2 {
		t.Errorf("the log is\n%s\nwant a warning for each wrong attribute alone", stdout)
	}
}

func TestTheNameOfTheServiceIsTheOperators(t *testing.T) {
	c, _ := emitted(t, io.Discard, "OTEL_SERVICE_NAME", "till")
	if got := attributesOf(c.resources["traces"])["service.name"]; got != "till" {
		t.Errorf("service.name=%q, want till", got)
	}
}

func TestTheOldRuntimeMetricsCanBeHad(t *testing.T) {
	c, _ := emitted(t, io.Discard, "OTEL_GO_X_DEPRECATED_RUNTIME_METRICS", "true")
	for _, want := range []string{"process.runtime.go.mem.heap_alloc", "process.runtime.go.gc.count", "process.runtime.go.goroutines"} {
		if !slices.Contains(c.names["metrics"], want) {
			t.Errorf("no %s among %q", want, c.names["metrics"])
		}
	}
}

func TestACollectorThatIsAwayIsMentionedOnceAMinute(t *testing.T) {
	for _, test := range []struct {
		endpoint string
		want     int
	}{{"http://collector:4317", 3}, {"", 1}} {
		synctest.Test(t, func(t *testing.T) {
			stdout := new(syncBuffer)
			handleErrors(toStdout(stdout, slog.LevelInfo), env{Options: Options{Getenv: environ("OTEL_EXPORTER_OTLP_ENDPOINT", test.endpoint)}})
			for range 121 { // seconds
				otel.Handle(errors.New("connection refused"))
				<-time.After(time.Second)
			}
			if got := len(stdout.lines(t)); got != test.want {
				t.Errorf("endpoint %q: %d lines in two minutes, want %d:\n%s", test.endpoint, got, test.want, stdout)
			}
		})
	}
}

func TestNoneAndDisabledCostNothing(t *testing.T) {
	for name, variables := range map[string][]string{
		"disabled": {"OTEL_SDK_DISABLED", "true"},
		"none":     {"OTEL_TRACES_EXPORTER", "none", "OTEL_METRICS_EXPORTER", "None", "OTEL_LOGS_EXPORTER", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout := new(syncBuffer)
			tel := startWith(t, stdout, variables...)
			if len(tel.shutdown) != 0 {
				t.Errorf("%d providers are running", len(tel.shutdown))
			}
			ctx, span := tel.tracer.Start(t.Context(), "a span")
			if span.IsRecording() || tel.size("x").Enabled(ctx) {
				t.Error("something is recorded")
			}
			tel.Logger().InfoContext(ctx, "a line")
			if got := stdout.lines(t); len(got) != 1 || got[0]["msg"] != "a line" {
				t.Errorf("stdout has %v, want a line", got)
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheConsoleShowsWhatIsExported(t *testing.T) {
	stdout := new(syncBuffer)
	tel := startWith(t, stdout, "OTEL_TRACES_EXPORTER", "console", "OTEL_METRICS_EXPORTER", "console", "OTEL_LOGS_EXPORTER", "console")
	emit(t, tel)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := stdout.String()
	for _, want := range []string{`"Name":"a span"`, `"Name":"a.metric"`, `"msg":"a line"`} {
		if !strings.Contains(got, want) {
			t.Errorf("stdout has no %s:\n%s", want, got)
		}
	}
}

func TestUnknownValuesAreWarningsOnly(t *testing.T) {
	stdout := new(syncBuffer)
	unknown := []string{
		"OTEL_TRACES_EXPORTER", "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon", "OTEL_PROPAGATORS", "b3,tracecontext",
		"LOG_LEVEL", "loud", "OTEL_SDK_DISABLED", "perhaps",
	}
	c, tel := emitted(t, stdout, unknown...)
	warned := map[any]bool{}
	for _, line := range stdout.lines(t) {
		warned[line["variable"]] = true
	}
	for i := 0; i < len(unknown); i += 2 {
		if !warned[unknown[i]] {
			t.Errorf("no warning of %s", unknown[i])
		}
	}
	if !slices.Contains(c.names["traces"], "a span") {
		t.Error("the defaults are not in force")
	}
	if got := tel.propagator.Fields(); !slices.Contains(got, "traceparent") || slices.Contains(got, "baggage") {
		t.Errorf("propagated fields %q, want those of tracecontext", got)
	}
}

func TestTheProtocolFollowsTheVariablesThenThePortThenThePath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		variables []string
		http      bool
	}{
		{nil, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:9999"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:8443/otlp"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/otlp/"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:9999/"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317/otlp"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:8443/otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "unix:///run/collector.sock"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, false},
		{[]string{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}, true},
		{[]string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"}, true},
	} {
		e := env{Options{Getenv: environ(test.variables...)}, toStdout(io.Discard, slog.LevelInfo)}
		if got := e.overHTTP("TRACES"); got != test.http {
			t.Errorf("%q: over HTTP %t, want %t", test.variables, got, test.http)
		}
	}
}

func TestTheConventionsAreChosenByTheOptIn(t *testing.T) {
	t.Parallel()
	const oldRPC, stableRPC, oldSpan, newSpan = "rpc.server.duration", "rpc.server.call.duration", "orders publish", "send orders"
	for _, test := range []struct {
		optIn string
		want  []string
	}{
		{"", []string{oldRPC, oldSpan, "HTTP POST"}},
		{"http", []string{oldRPC, oldSpan, "POST"}},
		{"RPC", []string{stableRPC, oldSpan, "HTTP POST"}},
		{"http, rpc/dup", []string{oldRPC, stableRPC, oldSpan, "POST"}},
		{"rpc/dup,rpc", []string{oldRPC, stableRPC, oldSpan, "HTTP POST"}},
		{"http/dup,http", []string{oldRPC, oldSpan, "HTTP POST"}},
		{"messaging", []string{oldRPC, newSpan, "HTTP POST"}},
		{"messaging,messaging/dup", []string{oldRPC, oldSpan, newSpan, "HTTP POST"}},
	} {
		var got []string
		c := env{Options: Options{Getenv: environ("OTEL_SEMCONV_STABILITY_OPT_IN", test.optIn)}}.conventions()
		for _, c := range c.rpc {
			got = append(got, c.server.duration)
		}
		for _, c := range c.messaging {
			got = append(got, c.span("orders"))
		}
		got = append(got, c.http+"POST")
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("opt-in %q (-want +got):\n%s", test.optIn, diff)
		}
	}
}

func TestAnErrorHasTheSameNamesOnStdoutAsInOTLP(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("open the record: %w", &fs.PathError{Op: "open", Path: "orders.db", Err: errors.New("no such file")})
	for name, log := range map[string]func(*slog.Logger){
		"in the line": func(l *slog.Logger) { l.WarnContext(t.Context(), "it failed", "path", "orders.db", "error", err) },
		"in all lines": func(l *slog.Logger) {
			l.With("path", "orders.db", "err", err).WarnContext(t.Context(), "it failed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t)
			log(r.Logger())
			want := map[string]any{
				"path":              "orders.db",
				"exception.type":    "*fs.PathError",
				"exception.message": "open the record: open orders.db: no such file",
			}
			stdout := r.lines(t)[0]
			for _, own := range []string{"time", "level", "msg"} {
				delete(stdout, own)
			}
			otlp := map[string]any{}
			r.logs.records[0].WalkAttributes(func(a attribute.KeyValue) bool {
				otlp[string(a.Key)] = a.Value.AsInterface()
				return true
			})
			if diff := cmp.Diff(want, stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, otlp); diff != "" {
				t.Errorf("OTLP (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheLevelIsOfBothLogs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		variables []string
		want      string
	}{
		{nil, "info warn error"},
		{[]string{"OTEL_LOG_LEVEL", "DEBUG"}, "debug info warn error"},
		{[]string{"OTEL_LOG_LEVEL", "debug", "LOG_LEVEL", "error"}, "error"},
		{[]string{"LOG_LEVEL", "warn"}, "warn error"},
		{[]string{"LOG_LEVEL", "none"}, ""},
	} {
		r := record(t)
		stdout := new(syncBuffer)
		level := (env{Options: Options{Getenv: environ(test.variables...)}}).logLevel()
		logger := toBoth(toStdout(stdout, level), r.logProvider, level).With("common", true)
		ctx := t.Context()
		logger.DebugContext(ctx, "debug")
		logger.InfoContext(ctx, "info")
		logger.WarnContext(ctx, "warn")
		logger.ErrorContext(ctx, "error")
		var printed, exported []string
		for _, line := range stdout.lines(t) {
			printed = append(printed, fmt.Sprint(line["msg"]))
		}
		for _, record := range r.logs.records {
			exported = append(exported, record.Body().AsString())
		}
		for log, got := range map[string][]string{"stdout": printed, "OTLP": exported} {
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("%q: %s has %q, want %q", test.variables, log, got, test.want)
			}
		}
	}
}
