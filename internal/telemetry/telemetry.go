// Package telemetry provides everything about the service that can be watched: the start-up of OpenTelemetry, every name
// that is emitted (names.go, conventions.go, metrics.go), the log, and what rides on the seams of the program: handlers for gRPC servers and
// clients, a transport for HTTP, hooks for Kafka and for flags, and decorators around the ports of package order.
//
// Nothing here can make an order fail. A setting that is not understood is a warning, a collector that is away costs a
// bounded queue, and no card or e-mail address is ever emitted.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"checkout/internal/container"

	"checkout/internal/redact"
)

const (
	// shutdownLimit is how long Shutdown waits for the collector to take what is left.
	shutdownLimit = 3 * time.Second
	// abortLimit is how long the exports may take to notice that they have been broken off.
	abortLimit = 300 * time.Millisecond
)

// Options is what Start needs of the process.
type Options struct {
	// Getenv reads the environment. What OpenTelemetry's SDK itself understands (endpoints, timeouts,
	// certificates, samplers, limits) it reads from the process's environment, whatever Getenv says.
	Getenv func(string) string
	// Stdout gets the log, as lines of JSON, and what the console exporters write.
	Stdout io.Writer
	// Names is the dialect of an order's attributes: "app" (the default) as in the demo's release 2.1, "demo" as in later
	// ones, or "both".
	Names string
	// Baggage is the keys of the callers' baggage that goes on to the neighbours and into the record; none: all.
	Baggage []string
	// Synthetic tells whether the caller may send the baggage synthetic_request; nil: everybody may.
	Synthetic func(ctx context.Context) bool
	// Version is service.version unless the environment sets it; empty: none.
	Version string
	// Collect says that Telemetry.Collect will be called: metrics are kept even when none are exported.
	Collect bool
}

// Telemetry is the telemetry of one process. Its methods may be called by many goroutines.
type Telemetry struct {
	tracer      trace.Tracer
	meter       metric.Meter
	logger      *slog.Logger
	events      log.Logger // of the log, by name; OTLP alone has them
	propagator  propagation.TextMapPropagator
	names       dialect
	conventions conventions
	steps       steps
	reports     sync.Map // report → *limiter

	local    sdkmetric.Reader              // for Collect; nil: nothing is kept
	shutdown []func(context.Context) error // of the providers
	abort    context.CancelFunc            // breaks off every export
}

// Start makes the telemetry that the environment asks for, by the variables of the OpenTelemetry specification.
// It does not wait for a collector, and it never fails: what cannot be had is replaced by nothing, with a warning.
//
// OpenTelemetry's error handler and inner log are global by its API; Start directs them to stdout. No other global is
// touched.
func Start(ctx context.Context, o Options) *Telemetry {
	level := new(slog.LevelVar)
	out := &shared{w: o.Stdout}
	stdout := toStdout(out, level)
	e := env{getenv: o.Getenv, log: stdout, version: o.Version, baggage: o.Baggage, synthetic: o.Synthetic}
	level.Set(e.logLevel())
	handleErrors(stdout, e)

	exports, abort := context.WithCancel(context.Background())
	p := e.providers(ctx, pipeline{stop: exports, stdout: out, resource: e.resource(ctx), collect: o.Collect})
	t := assemble(p, e.propagator(), toBoth(stdout, p.logs, level), newDialect(o.Names), e.conventions())
	t.abort = abort
	t.observeProcess()
	t.observeRuntime()
	t.observeContainer(container.OwnMemory)
	if err := runtime.Start(runtime.WithMeterProvider(p.meters), runtime.WithMinimumReadMemStatsInterval(time.Second)); err != nil {
		stdout.WarnContext(ctx, "no runtime metrics", "error", err)
	}
	return t
}

// providers make the three signals.
type providers struct {
	traces trace.TracerProvider
	meters metric.MeterProvider
	logs   log.LoggerProvider
	local  sdkmetric.Reader // of meters; may be nil
}

// silent are providers that make nothing and cost nothing.
func silent() providers {
	return providers{traces: tracenoop.NewTracerProvider(), meters: metricnoop.NewMeterProvider(), logs: lognoop.NewLoggerProvider()}
}

// providers starts the signals that are asked for.
func (e env) providers(ctx context.Context, p pipeline) providers {
	ps := silent()
	if e.disabled() {
		e.getenv = func(string) string { return none } // every OTEL_…_EXPORTER
	}
	if e.checkExporters() {
		hush() // it is said
		defer handleErrors(e.log, e)
	}
	if tp := e.traces(ctx, p); tp != nil {
		ps.traces = tp
	}
	if mp, local := e.metrics(ctx, p); mp != nil {
		ps.meters, ps.local = mp, local
	}
	if lp := e.logs(ctx, p); lp != nil {
		ps.logs = lp
	}
	return ps
}

// assemble makes a Telemetry of its parts.
func assemble(p providers, propagator propagation.TextMapPropagator, logger *slog.Logger, names dialect, c conventions) *Telemetry {
	t := &Telemetry{
		tracer:      p.traces.Tracer(scope),
		meter:       p.meters.Meter(scope),
		logger:      logger,
		events:      p.logs.Logger(scope),
		propagator:  propagator,
		names:       names,
		conventions: c,
		local:       p.local,
		abort:       func() {},
	}
	t.steps = t.newSteps()
	for _, provider := range []any{p.traces, p.meters, p.logs} {
		if s, ok := provider.(interface{ Shutdown(context.Context) error }); ok {
			t.shutdown = append(t.shutdown, s.Shutdown)
		}
	}
	return t
}

// Logger is the log: JSON on stdout, with trace_id and span_id, and OTLP.
func (t *Telemetry) Logger() *slog.Logger { return t.logger }

// Shutdown sends what is left and stops. It takes no longer than 3.3 seconds, or than ctx, whatever the collector does;
// what could not be sent by then is lost, and the error says so. Nothing runs any more when it returns.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	// When time is up the exports are broken off, rather than the providers: so these come to an orderly end.
	defer context.AfterFunc(ctx, t.abort)()
	defer t.abort()
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit+abortLimit)
	defer cancel()

	errs := make([]error, len(t.shutdown))
	var all sync.WaitGroup
	for i, shutdown := range t.shutdown {
		all.Go(func() { errs[i] = shutdown(hard) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		errs = append(errs, fmt.Errorf("telemetry left unsent: %w", err))
	}
	return errors.Join(errs...)
}

// pipeline is what the exporters of all signals share.
type pipeline struct {
	stop     context.Context // done when every export shall be broken off
	stdout   io.Writer
	resource *resource.Resource
	collect  bool // metrics are also read in this process
}

// during is ctx until stop is done.
func during(ctx, stop context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(stop, cancel)
	return ctx, func() { release(); cancel() }
}

// handleErrors brings the SDK's errors into the log on stdout (not into OTLP: it is what has failed). Without an
// endpoint nobody may be listening on the default one, and nobody needs to hear of that twice.
func handleErrors(log *slog.Logger, e env) {
	every := time.Minute
	if cmp.Or(e.get("OTEL_EXPORTER_OTLP_ENDPOINT"), e.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
		e.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), e.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")) == "" {
		every = forever
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	l := limiter{every: every}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if skipped, ok := l.allow(); ok {
			attrs := append(message(redact.Text(err.Error()), skipped), errorType.String(errorKind(err)))
			log.LogAttrs(context.Background(), slog.LevelWarn, "telemetry was lost", fields(attrs)...)
		}
	}))
}
