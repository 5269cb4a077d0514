package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"

	"checkout/internal/redact"
)

// env reads the environment as OpenTelemetry specifies: an empty variable is unset, values of enumerations ignore case, and an
// unknown value is a warning and ignored.
type env struct {
	Options
	log *slog.Logger
}

func (e env) get(key string) string { return strings.TrimSpace(e.Getenv(key)) }

// choice is the value of the variable key if it is one of those given, or else the first of them.
func (e env) choice(key string, known ...string) string {
	value := strings.ToLower(e.get(key))
	switch {
	case slices.Contains(known, value):
		return value
	case value != "":
		e.unknown(key, value)
	}
	return known[0]
}

func (e env) unknown(key, value string) {
	e.log.Warn("setting ignored: unknown value", "variable", key, "value", redact.URL(value))
}

func (e env) disabled() bool {
	return e.choice("OTEL_SDK_DISABLED", "false", "true") == "true"
}

// number is the value of the variable key if it is a positive number, or else fallback.
func (e env) number(key string, fallback int) int {
	value := e.get(key)
	if value == "" {
		return fallback
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n <= 0 {
		e.unknown(key, value)
		return fallback
	}
	return int(n)
}

// milliseconds is number for a duration.
func (e env) milliseconds(key string, fallback time.Duration) time.Duration {
	return time.Duration(e.number(key, int(fallback.Milliseconds()))) * time.Millisecond
}

// The values of OTEL_…_EXPORTER and of OTEL_EXPORTER_OTLP_…_PROTOCOL.
const (
	overOTLP = "otlp"
	console  = "console"
	none     = "none"

	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
	protocolJSON = "http/json"
)

// exporter is the exporter of a signal (TRACES, METRICS, LOGS).
func (e env) exporter(signal string) string {
	return e.choice("OTEL_"+signal+"_EXPORTER", overOTLP, console, none)
}

// overHTTP reports whether OTLP is sent over HTTP for a signal. Without a protocol the endpoint's port decides (by the OTLP
// specification 4317 is gRPC's and 4318 HTTP's), then a path, which only HTTP has. The default is gRPC.
func (e env) overHTTP(signal string) bool {
	fallback := protocolGRPC
	_, endpoint := e.ofExporter(signal, "ENDPOINT")
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		if port := u.Port(); port == "4318" || port != "4317" && strings.Trim(u.Path, "/") != "" {
			fallback = protocolHTTP
		}
	}
	key, protocol := e.ofExporter(signal, "PROTOCOL")
	if protocol == "" {
		return fallback == protocolHTTP
	}
	return e.choice(key, protocolGRPC, protocolHTTP, protocolJSON) != protocolGRPC
}

// propagator propagates what OTEL_PROPAGATORS lists, by default trace context and baggage.
func (e env) propagator() propagation.TextMapPropagator {
	const key = "OTEL_PROPAGATORS"
	var all []propagation.TextMapPropagator
	for name := range strings.SplitSeq(strings.ToLower(cmp.Or(e.get(key), "tracecontext,baggage")), ",") {
		switch name = strings.TrimSpace(name); name {
		case "tracecontext":
			all = append(all, propagation.TraceContext{})
		case "baggage":
			all = append(all, propagation.Baggage{})
		case none:
		default:
			e.unknown(key, name)
		}
	}
	return inbound{propagation.NewCompositeTextMapPropagator(all...), e.Baggage, e.Synthetic}
}

// resource describes the process. The command line and the user are left out, as they may contain secrets.
func (e env) resource(ctx context.Context) *resource.Resource {
	service := []attribute.KeyValue{attribute.String("service.name", "checkout"), attribute.String("host.arch", runtime.GOARCH)}
	if e.Version != "" {
		service = append(service, attribute.String("service.version", e.Version))
	}
	r, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithOS(),
		resource.WithHost(),
		resource.WithContainer(),
		resource.WithProcessPID(),
		resource.WithProcessExecutableName(),
		resource.WithProcessExecutablePath(),
		resource.WithProcessRuntimeName(),
		resource.WithProcessRuntimeVersion(),
		resource.WithProcessRuntimeDescription(),
		resource.WithService(), // a random service.instance.id
		resource.WithAttributes(service...),
	)
	r, conflict := resource.Merge(r, resource.Environment()) // the latter has precedence
	if err = errors.Join(err, conflict); err != nil {
		e.log.WarnContext(ctx, "some resource attributes are unknown", "error", err)
	}
	return r
}

// checkAttributes warns of what is no attribute in OTEL_RESOURCE_ATTRIBUTES, and reports whether there is any.
func (e env) checkAttributes() (wrong bool) {
	const key = "OTEL_RESOURCE_ATTRIBUTES"
	attributes := e.get(key)
	if attributes == "" {
		return false
	}
	for pair := range strings.SplitSeq(attributes, ",") {
		_, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); ok && err == nil {
			continue
		}
		wrong = true
		if pair != "" { // after a comma at the end
			e.unknown(key, pair)
		}
	}
	return wrong
}
